"""Listens: reads the clips on `listen`, publishes what was said on the session."""
