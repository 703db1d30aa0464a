"""Rooms: reads what the platforms send, keeps it in lanes, decides what is answered next, and puts turns on `turns`; joins conversations."""
