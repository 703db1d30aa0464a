"""Tests of the rules of listening."""
