"""Runs the gateway: python -m services.gateway."""

from services.gateway.app import build
from services.gateway.settings import read
from services.runtime.service import run

run(read, build)
