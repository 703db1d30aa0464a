"""Doubles of the brokers, and the model of what must hold."""
