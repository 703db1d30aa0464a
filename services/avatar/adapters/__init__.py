"""Puppets, one file each."""
