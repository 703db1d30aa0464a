"""Runs llm: python -m services.llm."""

from services.llm.app import build
from services.llm.settings import read
from services.runtime.service import run

run(read, build)
