"""The state machine on the model of the brokers."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Machine

OFTEN = settings(
    max_examples=300, stateful_step_count=60, deadline=None, database=None, suppress_health_check=HealthCheck.all()
)


def test_nothing_is_lost_doubled_or_out_of_order() -> None:
    """Three hundred histories of crashes, zombies, delays, interrupts and losses break no rule."""
    run_state_machine_as_test(Machine, settings=OFTEN)
