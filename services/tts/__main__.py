"""Runs tts: python -m services.tts."""

from services.runtime.service import run
from services.tts.app import build
from services.tts.settings import read

run(read, build)
