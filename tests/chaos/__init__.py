"""Programs that break things under a running show: each holds one promise against real processes and a real broker."""
