"""Facts about ingest."""
