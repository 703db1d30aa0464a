"""Speaks: reads the sentences on `speak:<pool>`, publishes their sound on the session in chunks."""
