"""The rules of speaking: pure, no I/O, time is an argument."""
