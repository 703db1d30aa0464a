"""Runs asr: python -m services.asr."""

from services.asr.app import build
from services.asr.settings import read
from services.runtime.service import run

run(read, build)
