"""What the images hold, and what they do not."""

import pytest

from tests.compose.stack import SERVICES, docker, inspect

BASE = "python:3.11-slim-bookworm"
LIGHT_MB = 350


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_its_own_service_and_is_light(service: str) -> None:
    """Only contract, runtime and its own folder; no compiler of dependencies; at most 350 MB over the base."""
    image, base = inspect([f"onair-{service}", BASE])
    added = (image["Size"] - base["Size"]) / 1e6
    print(f"{service}: {added:.0f} MB over the base")
    assert added <= LIGHT_MB
    assert image["Config"]["User"] == "10001:10001"
    held = docker("run", "--rm", "--entrypoint", "ls", f"onair-{service}", "/onair", "/onair/services").split()
    assert set(held) == {
        "/onair:",
        "LICENSE",
        "services",
        "/onair/services:",
        "__init__.py",
        "contract",
        "runtime",
        service,
    }
    tried = docker("run", "--rm", "--entrypoint", "sh", f"onair-{service}", "-c", "command -v uv || echo none")
    assert tried == "none"
