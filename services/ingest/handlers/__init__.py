"""What ingest does with a room: `keeper` keeps what was paid for, `intake` runs the sources, `room` directs, `standby` holds the lease.

With a conversation of Daily: `conversations` is in it, `answers` answers in it.
"""
