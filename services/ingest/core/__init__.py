"""The rules of ingest: pure, no I/O, no clock."""
