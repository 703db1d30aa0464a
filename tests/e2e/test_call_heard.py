"""Calls that are really listened to: speech goes in by the WebSocket, words and an answer come out, whoever dies."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.contract.asr import Transcribed
from services.gateway.core.call_words import HEARD_RATE
from services.runtime.sessions import Sessions
from tests.asr.speech import silence, speech
from tests.caller import FRAME, Caller, Heard, calling, names, twice
from tests.chaos.stack import Stack, Worker
from tests.conftest import watched

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]
OWN = {"interrupt": True, "audio": "stream", "language": "en"}
STORY = "tell me a story"
"""Its answer takes ten seconds."""
NUMBERS, OTHER = "one two three four five", "stop talking and listen to me"
"""Of the first the offline recogniser understands `three four five`, of the second nothing like that."""
LOUD = (b"\0\x20\0\xe0" * HEARD_RATE)[: HEARD_RATE * 2]
"""A second that ears without a detector hear as a voice."""
BACKCHANNELS = ("uh huh", "嗯，对")


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
async def house(folder: Path, *heard: str) -> AsyncGenerator[tuple[Stack, int]]:
    """A whole house on brokers of its own; the gateway's port."""
    async with Stack(folder, configured(*heard)) as stack:
        for service in ("llm", "tts", "asr"):
            await stack.start(service)
        gateway = await stack.start("gateway", {"CALL_AUDIO": "wav"})
        await stack.ready()
        yield stack, int(gateway.env["GATEWAY_PORT"])


@pytest_asyncio.fixture(loop_scope="module")
async def no_task_left() -> AsyncIterator[None]:
    """As everywhere, on the loop that the house lives in."""
    async for _ in watched():
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Stack, int]]:
    """The house of this module: whatever a test does to it, it lives on."""
    async with house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def home(lasting: tuple[Stack, int]) -> tuple[Stack, int]:
    """The same, when all of it is ready."""
    await lasting[0].ready()
    return lasting


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


async def test_what_the_original_client_says(home: tuple[Stack, int]) -> None:
    """Its bytes, its events: what was said as text, each sentence with a complete file, the end; and again."""
    async with talking(home[1], "a", speaker="quick", language="en") as person:
        for _ in range(2):
            person.say(silence(300) + await speech(NUMBERS))
            frames = await person.caller.until("TTSDone")
            events = [name for name in names(frames) if name != "BotReady"]
            assert events[0] == "SentenceRecognized"
            assert events[1:-1] == ["TTSSentenceStart", "audio"] * ((len(events) - 2) // 2)
            assert len(events) > 2
            assert "four" in frames[names(frames).index("SentenceRecognized")].payload["sentence"]
            assert all(frame.sound[:4] == b"RIFF" for frame in frames if frame.event == "audio")


async def test_a_second_utterance_interrupts(home: tuple[Stack, int]) -> None:
    """Real speech into the answer: it is held at once, ends, and the next answer is to what was said into it."""
    async with talking(home[1], "b", **OWN) as person:
        await person.caller.send("TextInput", text=STORY)
        await person.caller.until("audio")
        await person.caller.send("BotUpdateConfig", speaker="quick")  # the next answer is not waited for
        await asyncio.sleep(0.4)  # an answer's first moment is its echo's
        person.say(await speech(NUMBERS))
        assert names(await person.caller.until("PlaybackPause")).count("VoiceBegan") == 1
        ended = names(await person.caller.until("TTSDone"))
        assert ended[-2:] == ["PlaybackStop", "TTSDone"]
        assert "four" in await heard(person)
        done = (await person.caller.until("TTSDone"))[-1]
        assert done.payload["latency"]["total_ms"] > 0


async def test_a_back_channel_does_not_interrupt(tmp_path: Path) -> None:
    """Two calls, a back-channel each: the answer is held, goes on, and is heard to its end; nothing is asked."""

    async def one(port: int, sid: str) -> None:
        async with talking(port, sid, **OWN) as person:
            await person.caller.send("TextInput", text="hello")
            await person.caller.until("audio")
            await asyncio.sleep(0.4)  # as above
            person.say(LOUD[: HEARD_RATE * 2 * 4 // 10])
            frames = await person.caller.until("TTSDone")
            assert [name for name in names(frames) if name.startswith("Playback")] == [
                "PlaybackPause",
                "PlaybackResume",
            ]
            assert "SentenceRecognized" not in names(frames)

    async with house(tmp_path, *BACKCHANNELS) as (stack, port):
        await asyncio.gather(one(port, "c1"), one(port, "c2"))
        async with stack.bus() as bus:
            told = [item.message for sid in ("c1", "c2") for item in await Sessions(bus).range(f"call-{sid}")]
    finals = [one.text for one in told if isinstance(one, Transcribed) and one.final]
    assert sorted(finals) == sorted(BACKCHANNELS)


async def test_two_calls_share_nothing(home: tuple[Stack, int]) -> None:
    """Both speak at once, each is answered what he said, and hears nothing of the other's turn."""

    async def one(port: int, sid: str, text: str) -> tuple[str, set[str]]:
        async with talking(port, sid, speaker="quick", **OWN) as person:
            person.say(silence(300) + await speech(text))
            frames = await person.caller.until("TTSDone")
        turns = {frame.payload["turn"] for frame in frames if "turn" in frame.payload}
        return next(frame.payload["sentence"] for frame in frames if frame.event == "SentenceRecognized"), turns

    first, second = await asyncio.gather(one(home[1], "d1", NUMBERS), one(home[1], "d2", OTHER))
    assert "four" in first[0]
    assert second[0]
    assert "four" not in second[0]
    assert [len(turns) for _, turns in (first, second)] == [1, 1]
    assert first[1].pop().startswith("call-d1-")
    assert second[1].pop().startswith("call-d2-")


@pytest.mark.parametrize("lost", ["work", "live"])
async def test_a_broker_killed_in_a_call(home: tuple[Stack, int], lost: str) -> None:
    """It is back after two seconds: who was speaking and who was being answered stay connected, are heard and are answered."""
    stack, port = home
    broker = stack.work if lost == "work" else stack.live
    async with (
        talking(port, f"f1-{lost}", speaker="quick", **OWN) as speaker,
        talking(port, f"f2-{lost}", **OWN) as listener,
    ):
        await listener.caller.send("TextInput", text=STORY)
        await listener.caller.until("audio")
        speaker.say(silence(300) + await speech(NUMBERS))
        await speaker.caller.until("VoiceBegan")
        await broker.kill()
        await asyncio.sleep(2)
        await broker.start()
        if lost == "work":
            assert "three four five" in await heard(speaker), "the sound was kept meanwhile"
            await speaker.caller.until("TTSDone")
        await stack.ready()
        await listener.caller.send("BotUpdateConfig", speaker="quick")
        answered = await asyncio.gather(again(speaker), again(listener))
    assert all("audio" in names(frames) for frames in answered)


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


async def test_a_listener_killed_in_mid_utterance(home: tuple[Stack, int]) -> None:
    """Kill -9: another takes the call over, and the whole utterance is answered, once."""
    stack, port = home
    await stack.start("asr")
    await stack.ready()
    async with talking(port, "e", speaker="quick", **OWN) as person:
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
