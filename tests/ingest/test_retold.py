"""A director that died between its commit and the session: the next one says what was left unsaid."""

from services.contract import streams
from services.contract.ingest import TurnAired, TurnRequested
from tests.ingest.test_handlers import ROOM, Studio, paid_id, studio, super_chat

__all__ = ["studio"]


async def test_what_the_session_was_not_told_is_told_by_the_next_director(studio: Studio) -> None:
    """The request with its causes and the airing, once each; what was told already is not told again."""
    task = studio.go(super_chat(1))
    await studio.seen(TurnAired)
    await studio.stop(task)
    (asked,) = await studio.told(TurnRequested)
    items = await studio.desk.sessions.range(ROOM)
    unsaid = [item.id for item in items if isinstance(item.message, TurnRequested | TurnAired)]
    await studio.bus.live(ROOM).xdel(streams.SESSION.of(ROOM), *unsaid)
    for _ in range(2):
        task = studio.go()
        await studio.seen(TurnAired)
        await studio.stop(task)
    (again,) = await studio.told(TurnRequested)
    (aired,) = await studio.told(TurnAired)
    assert (again.turn, again.no, again.causes, again.say) == (asked.turn, asked.no, (paid_id(1),), asked.say)
    assert (aired.turn, aired.no) == (asked.turn, asked.no)
