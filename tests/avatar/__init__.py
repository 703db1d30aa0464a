"""Tests of the avatar."""
