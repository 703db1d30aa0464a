"""Tests of the avatar's rules."""
