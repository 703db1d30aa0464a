"""Tests of the rules of answering."""
