"""Tests of asr."""
