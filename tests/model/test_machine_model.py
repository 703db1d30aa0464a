"""The state machine on the model of the brokers."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Machine

OFTEN = settings(
    max_examples=400,
    stateful_step_count=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def test_nothing_is_lost_doubled_or_out_of_order() -> None:
    """Four hundred histories of crashes, zombies, delays, interrupts and losses break no rule."""
    run_state_machine_as_test(Machine, settings=OFTEN)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nor_in_many_more_histories() -> None:
    """The same for longer, never the same histories twice; HISTORIES says how many."""
    histories = int(os.environ.get("HISTORIES", "1500"))
    run_state_machine_as_test(Machine, settings=settings(OFTEN, max_examples=histories, derandomize=False))
