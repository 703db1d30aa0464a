"""What was said in a session before: read as it was heard, written down as it is settled."""

from collections.abc import Sequence

from services.contract import streams
from services.contract.ingest import TurnRequested
from services.llm.core import memory
from services.llm.handlers.desk import Desk
from services.runtime.work import Answer


async def recall(
    desk: Desk, request: TurnRequested, lines: Sequence[bytes]
) -> tuple[list[memory.Past], list[memory.Past]]:
    """Earlier turns of the session as they were heard, and those of them that are settled now and not written down.

    `lines` are those of its history.
    """
    pasts, settled = list[memory.Past](), list[memory.Past]()
    for past in memory.load(lines)[-memory.TURNS :]:
        if past.turn == request.turn:
            continue
        if past.heard is not None:
            pasts.append(past)
            continue
        answer = await desk.work.answer(past.turn)
        interrupted = request.epoch > past.epoch or bool(answer.dropped)
        played = await _played(desk, request, past, answer) if interrupted else None
        heard = memory.heard(answer.sentences, answer.spoken, interrupted=interrupted, played=played)
        pasts.append(memory.settle(past, heard))
        if interrupted or answer.complete:
            settled.append(pasts[-1])
    return pasts, settled


async def _played(desk: Desk, request: TurnRequested, past: memory.Past, answer: Answer) -> int | None:
    items = [(item.ms, item.message) for item in await desk.sessions.range(request.session, past.since)]
    return memory.played(past, items, answer.spoken, marks=request.kind == "call")


async def remember(desk: Desk, request: TurnRequested, pasts: list[memory.Past]) -> None:
    """Add lines to the session's history; a call's is forgotten after a day, a room's is kept."""
    key = streams.HISTORY.of(request.session)
    pipe = desk.bus.work.pipeline(transaction=True)
    pipe.rpush(key, *map(memory.dump, pasts))
    pipe.ltrim(key, -memory.LINES, -1)
    if request.kind != "room":
        pipe.expire(key, streams.TURN_KEPT_S)
    await pipe.execute()
