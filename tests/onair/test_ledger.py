"""The ledger: every paid event is somewhere, and the command says so."""

from pathlib import Path

import pytest

from onair import brokers, ledger
from onair.drive import DONE, FAILED
from onair.processes import Family
from services.contract.failure import Code, Failure
from services.contract.ingest import LedgerRow
from services.runtime.bus import connect
from services.runtime.show import Show
from tests.onair.test_show import event


def row(id_: str, state: str) -> LedgerRow:
    return LedgerRow.model_validate({"event": event(id_), "state": state, "at_ms": 0})


def test_the_law_holds_where_everything_is_somewhere() -> None:
    """Settled rows count by their state, others as waiting while the lane still has them."""
    states = {"a": "spoken", "b": "withdrawn", "c": "failed", "d": "received", "e": "aired"}
    found = ledger.law({id_: row(id_, state) for id_, state in states.items()}, frozenset("de"))
    assert found == ledger.Law(received=5, spoken=1, withdrawn=1, failed=1, waiting=2)
    assert found.holds
    assert str(found) == "5 received = 1 spoken + 1 withdrawn + 1 failed + 2 waiting"


def test_the_law_finds_what_was_lost() -> None:
    """An event that is neither settled nor in the lane was lost; so was one in the lane without a row."""
    assert not ledger.law({"a": row("a", "chosen")}, frozenset()).holds
    found = ledger.law({}, frozenset("a"))
    assert not found.holds
    assert "≠" in str(found)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of its own, and an environment that names no broker."""
    for name in ("REDIS_URL", "WORK_REDIS_URL", "ONAIR_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def receive(url: str, *ids: str) -> None:
    redis = connect(url)
    for id_ in ids:
        assert await Show(redis).receive(event(id_, amount_fen=3_000))
    await redis.aclose()


@pytest.mark.usefixtures("bare")
async def test_the_ledger_of_a_running_broker(
    broker_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The environment's broker is asked; the rows and the law are printed; a lost row gives exit code 1."""
    monkeypatch.setenv("WORK_REDIS_URL", broker_url)
    monkeypatch.setenv("COLUMNS", "200")
    await receive(broker_url, "bilibili:super_chat:[7]", "bilibili:super_chat:8")
    assert await ledger.ledger("demo", None) == DONE
    told = capsys.readouterr().out
    assert "bilibili:super_chat:[7]" in told
    assert "30.00" in told
    assert "2 received = 0 spoken + 0 withdrawn + 0 failed + 2 waiting" in told
    redis = connect(broker_url)
    await redis.delete("paid:demo")
    await redis.aclose()
    assert await ledger.ledger("demo", None) == FAILED


async def test_the_ledger_of_a_running_and_of_a_stopped_onair(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder's ledger is read from its running broker, and when nothing runs from what the broker has kept."""
    async with Family(bare, print) as family:
        urls = await brokers.start(family)
        await receive(urls.work, "a", "b", "c")
        assert await ledger.ledger("demo", bare) == DONE
    assert await ledger.ledger("demo", bare) == DONE
    assert capsys.readouterr().out.count("3 received = 0 spoken + 0 withdrawn + 0 failed + 3 waiting") == 2


async def test_a_folder_without_a_show(bare: Path) -> None:
    """A folder where nothing was kept is said to be one, and nothing is made in it."""
    with pytest.raises(Failure, match="no show has kept anything") as caught:
        await ledger.ledger("demo", bare / "none")
    assert caught.value.code is Code.NOT_FOUND
    assert not (bare / "none").exists()


@pytest.mark.usefixtures("bare")
async def test_a_broker_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that the environment names and that does not answer is a Failure."""
    monkeypatch.setenv("WORK_REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(Failure, match="the work broker does not answer"):
        await ledger.ledger("demo", None)
