"""What the configuration's sources become."""

from pathlib import Path
from typing import Any

import pytest

from services.contract import streams
from services.ingest.adapters.replay import Replay
from services.ingest.app import build, make_sources, meetings_of
from services.ingest.handlers.answers import Answers
from services.ingest.handlers.room import Desk
from services.ingest.settings import Settings
from services.runtime.archive import Archive
from services.runtime.attend import Attend
from services.runtime.bus import Bus
from services.runtime.config import Config
from services.runtime.line import Line
from services.runtime.sessions import Sessions
from services.runtime.settings import common
from services.runtime.show import Show
from services.runtime.work import Work


def test_posted_events_have_no_source_of_their_own() -> None:
    """A room of `api` alone has nothing that could end; beside a recording only the recording is played."""
    assert make_sources([{"api": {}}]) == []
    both = make_sources([{"api": None}, {"replay": "a.jsonl"}])
    assert [type(source) for source in both] == [Replay]


async def test_conversations_are_taken(tmp_path: Path) -> None:
    """Orders for them are read, whether or not there is a room, and without the SDK being loaded."""
    service = build(Settings(common("ingest", {"ONAIR_DATA": str(tmp_path)}), Config()))
    assert service.delivery
    assert [duty.stream for duty in service.delivery.duties] == [streams.JOINS.key()]
    for close in [*service.closers, service.bus.close]:
        await close()


@pytest.mark.parametrize("answer", [True, False])
async def test_who_answers_in_conversations(answer: bool) -> None:  # noqa: FBT001  a parameter
    """The persona that the configuration names, or nobody."""
    bus = Bus("redis://127.0.0.1:1/0", ["redis://127.0.0.1:1/0"])
    personas = {"friend": {"voice": "v"}, "host": {"voice": "v", "language": "en"}}
    voices: dict[str, Any] = {"v": {"engines": [{"espeak": {}}]}}
    daily = {"answer": answer, "persona": "host"}
    config = Config.model_validate({"personas": personas, "voices": voices, "daily": daily})
    desk = Desk(Show(bus.work), Archive(bus.work), Work(bus.work), Sessions(bus))
    meetings = meetings_of(config, bus, desk, "ingest-1")
    line = Line("daily:c1", Attend(bus.work, "daily:c1", "ingest-1"), desk.sessions)
    assert isinstance(meetings.answering(line, "c1"), Answers) == answer
    await bus.close()
