"""The doubles behave as the brokers do where the machine does not look."""

import asyncio

from services.contract.gateway import Interrupted, Mark
from services.contract.llm import SentenceReady
from services.runtime.sessions import Item
from services.runtime.work import Entry
from tests.model.sessions import ModelSessions
from tests.model.work import ModelWork

MARK = Mark(turn="t1", index=0, played_ms=1)
READY = SentenceReady(turn="t1", no=1, session="s", epoch=0, index=0, text="a", speak="a", voice="v", deadline_ms=0)


async def collect(sessions: ModelSessions, after: str, count: int) -> list[Item]:
    reader = sessions.read("s", after)
    return [await anext(reader) for _ in range(count)]


async def test_ids_grow_with_the_clock_and_within_it() -> None:
    """An id is the clock and a number; a clock that goes back does not make a lower id."""
    sessions = ModelSessions(clock=1_000)
    ids = [await sessions.publish("s", MARK), await sessions.publish("s", MARK)]
    sessions.clock = 2_000
    ids.append(await sessions.publish("s", MARK))
    sessions.clock = 1_500
    ids.append(await sessions.publish("s", MARK))
    assert ids == ["1000-0", "1000-1", "2000-0", "2000-1"]
    assert [item.ms for item in await sessions.range("s")] == [1_000, 1_000, 2_000, 2_000]


async def test_a_range_begins_after_an_id() -> None:
    """Bytes come with their entry; another session's entries do not."""
    sessions = ModelSessions()
    first = await sessions.publish("s", MARK, b"ab")
    second = await sessions.publish("s", MARK)
    await sessions.publish("another", MARK)
    assert [(item.id, item.blob) for item in await sessions.range("s")] == [(first, b"ab"), (second, b"")]
    assert [item.id for item in await sessions.range("s", first)] == [second]
    assert (await sessions.last_id("s"), await sessions.last_id("none")) == (second, "0-0")


async def test_a_reader_waits_for_what_comes() -> None:
    """It gives what is there, then what is published while it waits, also after a loss."""
    sessions = ModelSessions()
    await sessions.publish("s", MARK)
    task = asyncio.ensure_future(collect(sessions, "0-0", 2))
    await asyncio.sleep(0)
    assert not task.done()
    sessions.lose("s")
    await sessions.publish("s", MARK)
    items = await asyncio.wait_for(task, 5)
    assert [item.id for item in items] == ["1000-0", "1000-1"]
    assert len(sessions.messages("s")) == 1


async def test_an_interrupt_is_told() -> None:
    """The epoch rises on work, and the session says so."""
    sessions, work = ModelSessions(), ModelWork()
    assert await sessions.interrupt(work, "s", "client") == 1
    assert (await work.epoch("s"), sessions.messages("s")) == (1, [Interrupted(epoch=1, by="client")])


async def test_an_entry_is_delivered_once_and_claimed_after_that() -> None:
    """Reading gives what was never delivered; claiming gives it to another and counts."""
    work = ModelWork()
    id_ = await work.add("speak", READY)
    assert await work.read_group("speak", "tts", "a") == (Entry("speak", "tts", id_, "a"), READY)
    assert await work.read_group("speak", "tts", "a") is None
    mine = Entry("speak", "tts", id_, "b")
    assert await work.claim("speak", "tts", id_, "b") == (mine, READY)
    assert (await work.deliveries(mine), await work.length("speak")) == (2, 1)
    assert list(await work.pending("speak", "tts")) == [id_]
    await work.finish(mine)
    assert (await work.length("speak"), await work.claim("speak", "tts", id_, "a")) == (0, None)
