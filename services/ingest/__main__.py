"""Runs ingest: python -m services.ingest."""

from services.ingest.app import build
from services.ingest.settings import read
from services.runtime.service import run

run(read, build)
