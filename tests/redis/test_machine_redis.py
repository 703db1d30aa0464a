"""The same state machine on the real brokers and the real scripts."""

import asyncio
from collections.abc import Iterator
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from services.runtime.bus import Bus
from tests.model.ground import Ground, RealGround
from tests.model.machine import Machine

REAL = settings(
    max_examples=120,
    stateful_step_count=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class RealMachine(Machine):
    """Work and live are the brokers of this run."""

    runner: ClassVar[asyncio.Runner]
    bus: ClassVar[Bus]

    def new_ground(self) -> Ground:
        """The brokers, with streams of this example's own."""
        return RealGround(self.runner, self.bus)


@pytest.fixture
def machine(broker_url: str, live_url: str) -> Iterator[type[RealMachine]]:
    """The machine, connected."""
    with asyncio.Runner() as runner:
        RealMachine.runner, RealMachine.bus = runner, Bus(broker_url, [live_url])
        yield RealMachine
        runner.run(RealMachine.bus.close())


@pytest.mark.timeout(300)
def test_the_scripts_keep_the_same_promises(machine: type[RealMachine]) -> None:
    """A hundred and twenty histories on the real brokers break no rule."""
    run_state_machine_as_test(machine, settings=REAL)
