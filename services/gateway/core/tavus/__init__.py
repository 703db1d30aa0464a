"""Conversations at Tavus: what a client wishes, what Tavus answers, what OnAir has to end."""
