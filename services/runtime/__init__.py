"""How a service runs: brokers, delivery, sessions, settings, logs, health. Not a service."""
