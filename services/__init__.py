"""OnAir's services, what they say to each other (contract) and how they run (runtime)."""

__version__ = "0.1.0"
"""OnAir's version, in images too, where the distribution is not installed."""
