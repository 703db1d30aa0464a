"""The engine and the images: without an engine these tests are skipped, in CI they fail."""

import os
from collections.abc import Iterator

import pytest

from tests.compose.stack import Stack, missing, stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder starts containers."""
    for item in items:
        if "tests/compose" in str(item.path):
            item.add_marker("e2e")
            item.add_marker("slow")
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def images() -> None:
    """The six images of this tree."""
    if why := missing():
        assert not os.environ.get("CI"), f"CI needs a Docker engine: {why}"
        pytest.skip(why)
    Stack("onair-build", {}).compose("build")


@pytest.fixture(scope="module")
def demo(images: None) -> Iterator[Stack]:  # noqa: ARG001  it has to be there
    """The project as it is shipped, with nothing set but its ports."""
    with stack() as made:
        yield made


@pytest.fixture(scope="module")
def stage(images: None) -> Iterator[Stack]:  # noqa: ARG001  it has to be there
    """The project with rooms that speak slowly, with a range of ports for gateways."""
    with stack(ONAIR_CONFIG="tests/compose/stage.yaml", TTS_ENGINES="scripted") as made:
        yield made
