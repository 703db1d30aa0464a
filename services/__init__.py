"""OnAir's services, what they say to each other (contract) and how they run (runtime)."""
