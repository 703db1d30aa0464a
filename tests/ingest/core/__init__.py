"""Facts about the rules of ingest."""
