"""The bytes and states of the clients' protocols: pure."""
