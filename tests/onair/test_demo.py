"""Which port the demo's page gets."""

import socket

import pytest

from onair import brokers, demo
from onair.demo import Wanted, choose_port
from services.contract.failure import Code, Failure


def test_a_taken_port_means_the_next_free_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usual port is not free: the sentence says so and which one it is instead."""
    with socket.create_server((brokers.HOST, 0)) as taken:
        usual = taken.getsockname()[1]
        monkeypatch.setattr(demo, "PORT", usual)
        port = choose_port(Wanted(once=False))
    assert port > usual
    said = capsys.readouterr().err
    assert f"port {usual} is taken" in said
    assert str(port) in said


def test_a_named_port_is_taken_at_its_word() -> None:
    """One that was asked for and is not free is refused; 0 and a recording take any."""
    with socket.create_server((brokers.HOST, 0)) as taken, pytest.raises(Failure, match="--port") as raised:
        choose_port(Wanted(port=taken.getsockname()[1], once=False))
    assert raised.value.code is Code.BUSY
    assert choose_port(Wanted(port=0, once=False)) == choose_port(Wanted()) == 0
