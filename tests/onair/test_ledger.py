"""The ledger: every paid event is somewhere, and the command says so."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from onair import brokers, ledger
from onair.drive import DONE, FAILED
from onair.ledger import Wanted
from onair.processes import Family
from services.contract.failure import Code, Failure
from services.contract.ingest import LedgerRow, LiveEvent
from services.runtime.bus import connect
from services.runtime.clock import now_ms
from services.runtime.show import Show
from tests.onair.test_show import event


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
    assert "lost" in capsys.readouterr().out


@pytest.fixture
async def told(broker_url: str, monkeypatch: pytest.MonkeyPatch, bare: Path) -> Path:
    """A ledger with a row in each state: spoken an hour ago, failed now, and one that waits."""
    monkeypatch.setenv("WORK_REDIS_URL", broker_url)
    monkeypatch.setenv("COLUMNS", "200")
    await receive(broker_url, "waits")
    rows = (
        LedgerRow(event=dated("old", 3_600_000), state="spoken", turn="demo-1", at_ms=now_ms(), samples=36_000),
        LedgerRow(event=dated("new", 0), state="failed", reason="sound_lost", turn="demo-2", at_ms=now_ms()),
    )
    redis = connect(broker_url)
    await redis.hset("ledger:demo", mapping={row.event.id: row.to_json() for row in rows})  # pyright: ignore[reportGeneralTypeIssues]  redis-py leaves it open
    await redis.aclose()
    return bare


def dated(id_: str, ago_ms: int) -> LiveEvent:
    return event(id_, amount_fen=500).model_copy(update={"at_ms": now_ms() - ago_ms})


@pytest.mark.usefixtures("told")
async def test_what_was_heard_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    """A spoken row says how long it was heard, a failed one why; the law is the last line."""
    assert await ledger.ledger("demo", None) == DONE
    said = capsys.readouterr().out
    assert "1.50 s" in next(line for line in said.splitlines() if "old" in line)
    assert "sound_lost" in next(line for line in said.splitlines() if "new" in line)
    assert said.splitlines()[-1] == "3 received = 1 spoken + 0 withdrawn + 1 failed + 1 waiting"


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Wanted(["failed"]), ["new"]),
        (Wanted(["failed", "spoken"]), ["old", "new"]),
        (Wanted(since="30m"), ["new"]),
        (Wanted(["lost"]), []),
    ],
)
async def test_only_some_rows(wanted: Wanted, ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """By state and by time; the law is about all of them all the same."""
    assert await ledger.ledger("demo", None, replace(wanted, json=True)) == DONE
    found = json.loads(capsys.readouterr().out)
    assert [row["event"]["id"] for row in found["rows"] if row["event"]["id"] != "waits"] == ids
    assert found["law"] == {"received": 3, "spoken": 1, "withdrawn": 0, "failed": 1, "waiting": 1, "holds": True}


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [(Wanted(["gone"]), "no such state; known: received, chosen"), (Wanted(since="often"), "is no duration; write")],
)
async def test_a_wrong_filter_is_told(wanted: Wanted, sentence: str) -> None:
    """Before anything is asked for."""
    with pytest.raises(Failure, match=sentence) as caught:
        await ledger.ledger("demo", None, wanted)
    assert caught.value.code is Code.BAD_INPUT


async def test_the_ledger_of_a_running_and_of_a_stopped_onair(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder's ledger is read from its running broker, and when nothing runs from what the broker has kept."""
    async with Family(bare, print) as family:
        urls = await brokers.start(family)
        await receive(urls.work, "a", "b", "c")
        assert await ledger.ledger("demo", bare) == DONE
    assert await ledger.ledger("demo", bare) == DONE
    assert capsys.readouterr().out.count("3 received = 0 spoken + 0 withdrawn + 0 failed + 3 waiting") == 2


async def test_the_ledger_of_an_onair_with_a_broker_of_yours(bare: Path) -> None:
    """Its address, which may hold a password, was not noted: it has to be named again, by the variable that is said."""
    async with Family(bare, print) as family:
        await brokers.start(family, work="redis://:canary@127.0.0.1:9/0", lives=("redis://127.0.0.1:9/0",))
        with pytest.raises(Failure, match="name it by WORK_REDIS_URL") as caught:
            await ledger.ledger("demo", bare)
    assert caught.value.code is Code.NOT_FOUND


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
