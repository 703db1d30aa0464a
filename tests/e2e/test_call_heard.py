"""Calls that are really listened to: speech goes in by the WebSocket, words and an answer come out, whoever dies."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from services.gateway.core.call_words import HEARD_RATE
from tests.asr.speech import silence, speech
from tests.caller import FRAME, Caller, Heard, calling, names, twice
from tests.chaos.stack import Stack, Worker

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]
OWN = {"interrupt": True, "audio": "stream", "language": "en"}
STORY = "tell me a story"
NUMBERS, OTHER = "one two three four five", "stop talking and listen to me"
"""Of the first the offline recogniser understands `three four five`, of the second nothing like that."""
LOUD = (b"\0\x20\0\xe0" * HEARD_RATE)[: HEARD_RATE * 2]
"""A second that ears without a detector hear as a voice."""


def configured(*heard: str) -> dict[str, Any]:
    """`heard`: what is heard, whatever is said; none: what the offline recogniser makes of it."""
    engines = {"asr": {"scripted": {"texts": heard}}} if heard else {}
    return {
        "personas": {"friend": {"language": "en", "voice": "slow", "prompt": "Be a friend."}},
        "voices": {"slow": {"engines": [{"scripted": {"pace": 0.02}}]}, "quick": {"engines": [{"scripted": {}}]}},
        "engines": engines,
        "gateway": {"persona": "friend"},
    }


@asynccontextmanager
async def house(folder: Path, *heard: str, ears: int = 1) -> AsyncGenerator[tuple[Stack, int]]:
    """A whole house on brokers of its own; the gateway's port."""
    async with Stack(folder, configured(*heard)) as stack:
        for service in ("llm", "tts", *["asr"] * ears):
            await stack.start(service)
        gateway = await stack.start("gateway", {"CALL_AUDIO": "wav"})
        await stack.ready()
        yield stack, int(gateway.env["GATEWAY_PORT"])


@dataclass
class Person:
    """Who calls: his microphone never stops, and he says what lies in front of him."""

    caller: Caller
    script: bytearray = field(default_factory=bytearray)

    def say(self, pcm: bytes) -> None:
        self.script += pcm

    async def live(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            pcm = bytes(self.script[:FRAME])
            del self.script[:FRAME]
            await self.caller.socket.send(twice(pcm.ljust(FRAME, b"\0")))
            due += FRAME / 2 / HEARD_RATE
            await asyncio.sleep(max(0, due - clock()))


@asynccontextmanager
async def talking(port: int, sid: str, **config: Any) -> AsyncGenerator[Person]:
    """Somebody who is on the line."""
    async with calling(port, f"?sid={sid}") as caller:
        await caller.send("BotUpdateConfig", **config)
        person = Person(caller)
        living = asyncio.create_task(person.live())
        try:
            yield person
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)


async def heard(person: Person) -> str:
    """Wait for what was understood."""
    return (await person.caller.until("SentenceRecognized"))[-1].payload["sentence"]


async def test_what_the_original_client_says(tmp_path: Path) -> None:
    """Its bytes, its events: what was said as text, each sentence with a complete file, the end; and again."""
    async with house(tmp_path) as (_, port), talking(port, "a", speaker="quick", language="en") as person:
        for _ in range(2):
            person.say(silence(300) + await speech(NUMBERS))
            frames = await person.caller.until("TTSDone")
            events = [name for name in names(frames) if name != "BotReady"]
            assert events[0] == "SentenceRecognized"
            assert events[1:-1] == ["TTSSentenceStart", "audio"] * ((len(events) - 2) // 2)
            assert len(events) > 2
            assert "four" in frames[names(frames).index("SentenceRecognized")].payload["sentence"]
            assert all(frame.sound[:4] == b"RIFF" for frame in frames if frame.event == "audio")


async def test_a_second_utterance_interrupts(tmp_path: Path) -> None:
    """Real speech into the answer: it is held at once, ends, and the next answer is to what was said into it."""
    async with house(tmp_path) as (_, port), talking(port, "b", **OWN) as person:
        await person.caller.send("TextInput", text=STORY)
        await person.caller.until("audio")
        await asyncio.sleep(0.4)  # an answer's first moment is its echo's
        person.say(await speech(NUMBERS))
        assert names(await person.caller.until("PlaybackPause")).count("VoiceBegan") == 1
        ended = names(await person.caller.until("TTSDone"))
        assert ended[-2:] == ["PlaybackStop", "TTSDone"]
        assert "four" in await heard(person)
        done = (await person.caller.until("TTSDone"))[-1]
        assert done.payload["latency"]["total_ms"] > 0


@pytest.mark.parametrize("word", ["uh huh", "嗯，对"])
async def test_a_back_channel_does_not_interrupt(tmp_path: Path, word: str) -> None:
    """The answer is held, goes on, and is heard to its end; nothing is asked."""
    async with house(tmp_path, word) as (_, port), talking(port, "c", **OWN) as person:
        await person.caller.send("TextInput", text=STORY)
        await person.caller.until("audio")
        await asyncio.sleep(0.4)  # as above
        person.say(LOUD[: HEARD_RATE * 2 * 4 // 10])
        frames = await person.caller.until("TTSDone")
        assert [name for name in names(frames) if name.startswith("Playback")] == ["PlaybackPause", "PlaybackResume"]
        assert "SentenceRecognized" not in names(frames)


async def test_two_calls_share_nothing(tmp_path: Path) -> None:
    """Both speak at once, each is answered what he said, and hears nothing of the other's turn."""

    async def one(port: int, sid: str, text: str) -> tuple[str, set[str]]:
        async with talking(port, sid, speaker="quick", **OWN) as person:
            person.say(silence(300) + await speech(text))
            frames = await person.caller.until("TTSDone")
        turns = {frame.payload["turn"] for frame in frames if "turn" in frame.payload}
        return next(frame.payload["sentence"] for frame in frames if frame.event == "SentenceRecognized"), turns

    async with house(tmp_path) as (_, port):
        first, second = await asyncio.gather(one(port, "d1", NUMBERS), one(port, "d2", OTHER))
    assert "four" in first[0]
    assert second[0]
    assert "four" not in second[0]
    assert [len(turns) for _, turns in (first, second)] == [1, 1]
    assert first[1].pop().startswith("call-d1-")
    assert second[1].pop().startswith("call-d2-")


async def test_a_listener_killed_in_mid_utterance(tmp_path: Path) -> None:
    """Kill -9: another takes the call over, and the whole utterance is answered, once."""
    async with house(tmp_path, ears=2) as (stack, port), talking(port, "e", speaker="quick", **OWN) as person:
        person.say(silence(300) + await speech(NUMBERS))
        await person.caller.until("VoiceBegan")
        await asyncio.sleep(0.8)  # in the middle of it
        (await listener(stack, "call-e")).kill()
        assert "three four five" in await heard(person)
        rest = await person.caller.until("TTSDone")
        assert "audio" in names(rest)
        person.say(await speech(NUMBERS))
        assert "four" in await heard(person)


async def listener(stack: Stack, session: str) -> Worker:
    async with stack.bus() as bus:
        owner: Any = await bus.work.get(f"attend:{session}")
    return next(worker for worker in stack.of("asr") if worker.owns(owner.decode()))


@pytest.mark.parametrize("lost", ["work", "live"])
@pytest.mark.parametrize("moment", ["listening", "answering"])
async def test_a_broker_killed_in_a_call(tmp_path: Path, lost: str, moment: str) -> None:
    """It comes back after two seconds: the connection lasts, and what is said or typed then is heard and answered."""
    async with house(tmp_path) as (stack, port), talking(port, "f", **OWN) as person:
        broker = stack.work if lost == "work" else stack.live
        if moment == "listening":
            person.say(silence(300) + await speech(NUMBERS))
            await person.caller.until("VoiceBegan")
        else:
            await person.caller.send("TextInput", text=STORY)
            await person.caller.until("audio")
        await broker.kill()
        await asyncio.sleep(2)
        await broker.start()
        if (lost, moment) == ("work", "listening"):
            assert "three four five" in await heard(person), "the sound was kept meanwhile"
            await person.caller.until("TTSDone")
        await stack.ready()
        answered = await again(person)
    assert "audio" in names(answered)


async def again(person: Person) -> list[Heard]:
    """Say it again until it is understood: what was cut may need a second try, not more."""
    for _ in range(2):
        person.say(silence(300) + await speech(NUMBERS))
        with suppress(TimeoutError):
            while "four" not in await heard(person):
                pass
            return await person.caller.until("TTSDone")
    told = [frame.payload for frame in person.caller.got if frame.event == "BotError"]
    pytest.fail(f"the call is dead: {told}; {names(person.caller.got)[-20:]}")
