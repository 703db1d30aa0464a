"""Tests of the rules of speaking."""
