"""Tests of what services share to run."""
