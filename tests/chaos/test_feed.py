"""The platform of the fault programs: frames that ingest reads, told once to whoever listens."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from services.contract.ingest import Lane
from services.ingest import app
from services.ingest.core.events import parse
from services.ingest.core.ports import Frame
from tests.chaos.feed import Listener, Platform, danmaku, danmaku_id, listen_to_feeds, super_chat, super_chat_id


@asynccontextmanager
async def listening(door: Platform) -> AsyncGenerator[asyncio.Queue[Frame]]:
    """What one listener emits."""
    frames = asyncio.Queue[Frame]()
    task = asyncio.ensure_future(Listener(door.port).run(frames.put))
    try:
        await asyncio.wait_for(door.connected.wait(), 5)
        yield frames
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def heard(frames: asyncio.Queue[Frame]) -> str:
    """The next frame as the id of its event."""
    (event,) = parse(await asyncio.wait_for(frames.get(), 5), "r").events
    return event.id


async def test_frames_are_the_platforms_own() -> None:
    """A super chat is paid for and has its price; a comment has the time at which it was written."""
    async with Platform() as door, listening(door) as frames:
        door.tell(super_chat(7, "hello", at_ms=5_000, yuan=30))
        door.tell(danmaku(8, "hi", at_ms=6_000))
        (paid,) = parse(await frames.get(), "r").events
        (comment,) = parse(await frames.get(), "r").events
    assert (paid.id, paid.lane, paid.amount_fen, paid.text) == (super_chat_id(7), Lane.PAID, 3_000, "hello")
    assert (comment.id, comment.lane, comment.at_ms, comment.text) == (danmaku_id(8), Lane.CHAT, 6_000, "hi")


async def test_a_frame_is_told_once_to_each_who_listens() -> None:
    """Two listeners take it twice; who comes later is not told; what nobody took is known."""
    async with Platform() as door, listening(door) as first:
        async with listening(door) as second:
            while door.listeners < 2:
                await asyncio.sleep(0.005)
            both = door.tell(super_chat(1, "a", at_ms=1))
            assert (await heard(first), await heard(second)) == (super_chat_id(1), super_chat_id(1))
        while door.listeners > 1:
            await asyncio.sleep(0.005)
        one = door.tell(super_chat(2, "b", at_ms=1))
        assert await heard(first) == super_chat_id(2)
        while one not in door.taken:
            await asyncio.sleep(0.005)
    assert (door.taken[both], door.taken[one]) == (2, 1)


async def test_a_listener_comes_back() -> None:
    """After the platform hangs up it listens again; what was told between is gone."""
    async with Platform() as door, listening(door) as frames:
        door.hang_up()
        while door.listeners:
            await asyncio.sleep(0.005)
        lost = door.tell(super_chat(1, "lost", at_ms=1))
        await asyncio.wait_for(door.connected.wait(), 5)
        door.tell(super_chat(2, "kept", at_ms=1))
        assert await heard(frames) == super_chat_id(2)
    assert lost not in door.taken


def test_ingest_is_given_listeners_by_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that begins with `feed:` is a listener; all other sources stay what they are."""
    monkeypatch.setattr(app, "make_sources", app.make_sources)
    listen_to_feeds()
    sources = app.make_sources([{"api": {}}, {"replay": {"path": "feed:1"}}, {"replay": {"path": "a.jsonl"}}])
    assert [source.name for source in sources] == ["feed:1", "replay"]
