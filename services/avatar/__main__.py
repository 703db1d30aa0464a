"""Runs the avatar: python -m services.avatar."""

from services.avatar.app import build
from services.avatar.settings import read
from services.runtime.service import run

run(read, build)
