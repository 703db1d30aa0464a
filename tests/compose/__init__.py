"""The real containers, on whatever Docker engine is here."""
