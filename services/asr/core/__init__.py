"""The rules of listening: pure, no I/O, no clock."""
