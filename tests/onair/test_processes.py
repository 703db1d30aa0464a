"""Processes: readiness, restart, giving up, stopping, and that nothing outlives the command."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from onair import ready, services
from onair.processes import BROKER, Family, Part, ending, given_up, held, tail, take
from services.contract.failure import Code, Failure
from tests.onair.helpers import NOWHERE, alive, plan, until

STOP_S = 5.0


def part(data: Path, name: str, *argv: str, rank: int = 0) -> Part:
    return Part(name, argv, os.environ, data / "logs" / f"{name}.log", rank)


def sleeper(data: Path, name: str, rank: int = 0) -> Part:
    return part(data, name, sys.executable, "-c", "import time; time.sleep(300)", rank=rank)


async def test_ready_when_all_are_ready(tmp_path: Path) -> None:
    """Services are ready together with their notes, and are gone when the block is left."""
    told: list[str] = []
    async with Family(tmp_path, told.append) as family:
        notes = await services.start(family, plan(tmp_path, actor=2), NOWHERE, ["actor"])
        pids = [child.pid for child in family.children.values()]
        assert sorted(notes) == ["actor-1", "actor-2"]
        assert sorted(int(note["pid"]) for note in notes.values()) == sorted(pids)
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)
    assert sum("ready after" in line for line in told) == 2


async def test_what_is_not_ready_is_named_with_its_reason(tmp_path: Path) -> None:
    """A service that stays unready is told with its own problem and the end of its log."""
    async with Family(tmp_path, print) as family:
        family.start(services.parts(plan(tmp_path, "never"), NOWHERE, ["actor"])[0])
        pid = family.children["actor-1"].pid
        await until((tmp_path / "run" / f"actor-{pid}.json").exists)
        with pytest.raises(
            Failure, match=r"actor-1 is not ready after 0\.3 s: engine: the engine is missing"
        ) as caught:
            await ready.wait(family, ["actor-1"], limit_s=0.3)
    assert caught.value.code is Code.EXPIRED
    assert "ends: this is never" in caught.value.sentence


async def test_one_that_leaves_no_note_is_named(tmp_path: Path) -> None:
    """A process that never says where it answers is told so."""
    async with Family(tmp_path, print) as family:
        family.start(sleeper(tmp_path, "mute-1"))
        with pytest.raises(Failure, match="it has not said yet where it answers"):
            await ready.wait(family, ["mute-1"], limit_s=0.2)


async def test_one_that_crashed_is_started_again(tmp_path: Path) -> None:
    """A service that dies is started again and becomes ready; the restart is told."""
    told: list[str] = []
    marker = tmp_path / "crashed"
    async with Family(tmp_path, told.append) as family:
        await services.start(family, plan(tmp_path, f"once:{marker}"), NOWHERE, ["actor"])
        assert len(family.children["actor-1"].deaths) == 1
    assert any("ended (exit code 1), starting it again" in line for line in told)


async def test_one_that_was_killed_is_started_again(tmp_path: Path) -> None:
    """A ready service that is killed runs again under another pid."""
    async with Family(tmp_path, print) as family:
        await services.start(family, plan(tmp_path), NOWHERE, ["actor"])
        first = family.children["actor-1"].pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: family.children["actor-1"].pid != first)
        await ready.wait(family, ["actor-1"], limit_s=20)
        assert not alive(first)


async def test_wrong_configuration_is_not_tried_again(tmp_path: Path) -> None:
    """A service that exits with 2 ends everything at once, with the sentence that it wrote."""
    pids: list[int] = []

    async def run() -> None:
        async with Family(tmp_path, print) as family:
            pids.append(family.start(sleeper(tmp_path, "other-1")).pid)
            await services.start(family, plan(tmp_path, "usage"), NOWHERE, ["actor"])

    with pytest.raises(Failure, match=r"actor-1 cannot run: persona 'x' is unknown; add it to onair\.yaml") as caught:
        await run()
    assert caught.value.code is Code.BAD_CONFIG
    assert not alive(pids[0])


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """A part without its program is a Failure, not a traceback."""
    with pytest.raises(Failure, match="ghost-1 cannot be started"):
        async with Family(tmp_path, print) as family:
            family.start(part(tmp_path, "ghost-1", str(tmp_path / "nowhere")))


def test_too_many_deaths_are_given_up(tmp_path: Path) -> None:
    """Six deaths within a minute end it, with the end of the log; five do not."""
    crashed = part(tmp_path, "actor-1", "x")
    crashed.log.parent.mkdir()
    crashed.log.write_text("one\n\ntwo\nthree\n")
    assert given_up(crashed, 1, 5) is None
    failure = given_up(crashed, -9, 6)
    assert failure
    assert failure.code is Code.WORKER_LOST
    assert "died 6 times" in failure.sentence
    assert "SIGKILL" in failure.sentence
    assert failure.sentence.endswith("two / three")


def test_a_broker_that_exits_with_2_is_tried_again(tmp_path: Path) -> None:
    """Exit code 2 means wrong configuration only where a service says it."""
    assert given_up(part(tmp_path, "work", "x", rank=BROKER), 2, 1) is None


def test_endings_and_tails(tmp_path: Path) -> None:
    """Exit statuses are words; the tail of a log that is not there is empty."""
    assert [ending(3), ending(-15), ending(-77)] == ["exit code 3", "SIGTERM", "signal 77"]
    assert tail(tmp_path / "none.log", 3) == []


@pytest.mark.slow
async def test_stubborn_ones_and_grandchildren_are_stopped_in_time(tmp_path: Path) -> None:
    """A stop takes less than 5 s whatever the processes do, and reaches the children of the services too."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    async with Family(tmp_path, told.append) as family:
        await services.start(family, plan(tmp_path, "stubborn"), NOWHERE, ["actor"])
        child = family.children["actor-1"].pid
        parents = Part("parent-1", *_like(tmp_path, "parent"))
        family.start(parents)
        parent = family.children["parent-1"].pid
        note = tmp_path / "run" / f"actor-{parent}.json"
        await until(lambda: note.exists() and bool(note.read_text()))
        grandchild = int(json.loads(note.read_text())["child"])
        family.start(sleeper(tmp_path, "broker", BROKER))
        broker = family.children["broker"].pid
        began = loop.time()
    assert loop.time() - began < STOP_S
    assert any("actor-1 did not stop" in line for line in told)
    await until(lambda: not any(alive(pid) for pid in (child, parent, grandchild, broker)))


def _like(data: Path, mode: str) -> tuple[tuple[str, ...], dict[str, str], Path]:
    actor = services.parts(plan(data, mode), NOWHERE, ["actor"])[0]
    return actor.argv, dict(actor.env), data / "logs" / f"{mode}.log"


async def test_services_stop_before_brokers(tmp_path: Path) -> None:
    """The broker is still there when the last service has ended."""
    script = "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), os.kill({0}, 0), print('there', flush=True), sys.exit(0)))\nprint('up', flush=True)\ntime.sleep(300)"
    async with Family(tmp_path, print) as family:
        family.start(sleeper(tmp_path, "broker", BROKER))
        user = part(tmp_path, "user-1", sys.executable, "-c", script.format(family.children["broker"].pid))
        family.start(user)
        await until(lambda: tail(user.log, 1) == ["up"])
    assert tail(user.log, 1) == ["there"]


async def test_one_folder_one_onair(tmp_path: Path) -> None:
    """A second onair in the same folder is refused with the first one's pid; afterwards the folder is free."""
    assert not held(tmp_path)
    async with Family(tmp_path, print):
        assert held(tmp_path)
        with pytest.raises(Failure, match=rf"process {os.getpid()}\) works in") as caught:
            take(tmp_path)
        assert caught.value.code is Code.BUSY
    assert not held(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A data folder that cannot be made is a Failure with the remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="name another folder by --data"):
        take(tmp_path / "file" / "data")


OWNER = """\
import asyncio, sys
from pathlib import Path
from onair.processes import Family
from tests.onair.test_processes import sleeper

async def main():
    data = Path(sys.argv[1])
    async with Family(data, print) as family:
        pids = [family.start(sleeper(data, f"s-{no}")).pid for no in range(3)]
        print(*pids, flush=True)
        await asyncio.sleep(300)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_nothing_is_left_when_onair_is_killed(tmp_path: Path) -> None:
    """After kill -9 of onair the processes that it started end too, and only then is its folder free."""
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", OWNER, str(tmp_path), stdout=subprocess.PIPE)
    assert owner.stdout
    pids = [int(pid) for pid in (await owner.stdout.readline()).split()]
    assert len(pids) == 3
    assert all(alive(pid) for pid in pids)
    owner.kill()
    await owner.wait()
    await until(lambda: not held(tmp_path))
    assert not any(alive(pid) for pid in pids)
