"""The whole, as a user starts it: real processes, real brokers, real sound."""
