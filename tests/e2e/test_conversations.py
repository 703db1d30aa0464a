"""Conversations of Daily through real processes, which are killed; the cloud is a stand-in."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.conversations import House, house, listening, told
from tests.ingest.cloud import Cloud, cloud

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]
JOINED = "onair.joined"


@pytest.fixture
def meetings() -> Iterator[Cloud]:
    with cloud() as made:
        yield made


@pytest.fixture
def here(tmp_path: Path, broker_url: str, live_url: str, meetings: Cloud) -> Iterator[House]:
    with house(tmp_path, broker_url, live_url, meetings) as made:
        yield made


def utterance(role: str, speech: str) -> dict[str, Any]:
    properties = {"role": role, "speech": speech}
    return {"message_type": "conversation", "event_type": "conversation.utterance", "properties": properties}


async def test_a_killed_gateway_and_a_killed_ingest(here: House, meetings: Cloud) -> None:
    """The call of a gateway that is gone is left within seconds, that of another goes on; a killed ingest's is joined anew."""
    one, other, ingest = here.start("gateway"), here.start("gateway"), here.start("ingest")
    async with listening(other, "c2") as kept:
        with suppress(ConnectionClosed):
            async with listening(one, "c1") as lost, listening(other, "c1") as shared:
                for socket in (lost, shared, kept):
                    assert (await told(socket))["event_type"] == JOINED
                assert (len(meetings.in_("c1")), len(meetings.joins)) == (1, 2)
                await shared.close()
                one.kill()
                assert await asyncio.to_thread(meetings.until, "c1", 0) < 8
        assert len(meetings.in_("c2")) == 1
        ingest.kill()
        await asyncio.to_thread(meetings.until, "c2", 0)
        here.start("ingest")
        assert (await told(kept))["event_type"] == JOINED
        meetings.say("c2", utterance("user", "still there? 🎉"))
        assert (await told(kept))["properties"]["speech"] == "still there? 🎉"


async def test_an_answer_goes_back(tmp_path: Path, broker_url: str, live_url: str, meetings: Cloud) -> None:
    """A user's utterance becomes a turn, its scripted answer an app-message for the replica; the replica's are not answered."""
    with house(tmp_path, broker_url, live_url, meetings, "{answer: true, by: echo, persona: teacher}") as here:
        gateway = here.start("gateway")
        for service in ("ingest", "llm"):
            here.start(service)
        async with listening(gateway, "c1") as socket:
            assert (await told(socket))["event_type"] == JOINED
            meetings.say("c1", utterance("replica", "Hello, what can I do for you?"))
            for speech in ("What is", "What is the weather?"):
                meetings.say("c1", utterance("user", speech))
            (guest,) = meetings.in_("c1")
            async with asyncio.timeout(60):
                while not guest.sent:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            (answer,) = guest.sent
    assert {**answer, "properties": {**answer["properties"], "text": ""}} == {
        "message_type": "conversation",
        "event_type": "conversation.echo",
        "conversation_id": "c1",
        "properties": {"modality": "text", "text": ""},
    }
    assert answer["properties"]["text"].strip()


async def test_without_the_sdk(here: House) -> None:
    """Who listens with `?v=2` is told what to install; so is who asks whether it can be joined, by an exit code too."""
    here.sdk = False
    gateway = here.start("gateway")
    here.start("ingest")
    async with listening(gateway, "c1") as socket:
        failed = await told(socket)
    assert failed["event_type"] == "onair.error"
    assert "pip install 'onair[daily]'" in failed["properties"]["reason"]
    asked = here.onair("rooms", "check", "daily:c1", "--server", gateway.url)
    out, err = await asyncio.to_thread(asked.communicate, timeout=60)
    assert (asked.returncode, out) == (2, "")
    assert "pip install 'onair[daily]'" in err


async def test_the_terminal_listens(here: House, meetings: Cloud) -> None:
    """Runs of one side are one line; an end, Ctrl-C and a conversation that is not there have their exit codes."""
    gateway = here.start("gateway")
    here.start("ingest")
    meetings.refusals["gone"] = "The meeting you're trying to join does not exist."
    checks = [here.onair("rooms", "check", f"daily:{name}", "--server", gateway.url) for name in ("c0", "gone")]
    both = [await asyncio.to_thread(check.communicate, timeout=60) for check in checks]
    assert [check.returncode for check in checks] == [0, 1]
    assert both[0][0] == "ok: c0 of Daily was joined, and left again\n"
    assert "does not exist" in both[1][1]
    screens = [here.onair("listen", "c1", "--server", gateway.url) for _ in range(2)]
    await asyncio.to_thread(meetings.until, "c1", 1)
    for screen in screens:
        assert screen.stderr
        assert "listening to c1" in await asyncio.to_thread(screen.stderr.readline)
    for role, speech in (("user", "你好"), ("replica", "Hi"), ("replica", "Hi there."), ("user", "bye")):
        meetings.say("c1", utterance(role, speech))
    assert screens[0].stdout
    lines = [await asyncio.to_thread(screens[0].stdout.readline) for _ in range(2)]
    assert lines == ["user: 你好\n", "replica: Hi there.\n"]
    screens[0].send_signal(signal.SIGINT)
    out, _ = await asyncio.to_thread(screens[0].communicate, timeout=60)
    assert (screens[0].returncode, out) == (130, "user: bye\n")
    meetings.end("c1", "the room was deleted")
    out, err = await asyncio.to_thread(screens[1].communicate, timeout=60)
    assert (screens[1].returncode, out) == (1, "user: 你好\nreplica: Hi there.\nuser: bye\n")
    assert "the room was deleted" in err
