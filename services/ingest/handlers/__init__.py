"""What ingest does with a room: `keeper` keeps what was paid for, `intake` runs the sources, `room` directs, `standby` holds the lease."""
