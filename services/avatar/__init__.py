"""Moves the puppet: reads the rooms' sessions, opens the mouth with the sound, publishes how the puppet stands."""
