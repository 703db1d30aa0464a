"""Attending calls on real brokers, with ears that hear any sound."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.asr.adapters.scripted import Scripted, ScriptedDetector
from services.asr.core.patience import Rule
from services.asr.handlers import call as call_module
from services.asr.handlers import calls as calls_module
from services.asr.handlers.call import Ears
from services.asr.handlers.calls import Calls
from services.contract import streams
from services.contract.asr import Transcribed, VoiceBegan
from services.contract.failure import Code, Failed, Failure
from services.contract.gateway import CallOpened
from services.contract.message import Message
from services.runtime import envelope
from services.runtime.attend import Attend
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.delivery import Delivery
from services.runtime.mic import Mic
from services.runtime.sessions import Sessions
from services.runtime.work import Work
from tests.asr.caller import Caller
from tests.asr.core.test_attendance import sound

FIXED = Rule(adaptive=False)
ONE = sound((True, 960), (False, 800))


@pytest.fixture
async def bus(broker_url: str, live_url: str) -> AsyncIterator[Bus]:
    bus = Bus(broker_url, [live_url])
    yield bus
    await bus.close()


@dataclass
class Worker:
    """One worker of asr, without its process."""

    bus: Bus
    recogniser: Scripted = field(default_factory=lambda: Scripted(["one", "two", "three", "four"]))
    most: int = 16
    ahead: bool = False

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator["Worker"]:
        """Until the end of the block, where it is told to end."""
        work = Work(self.bus.work)
        self.delivery = Delivery(self.bus, work, "asr")
        ears = Ears(Sessions(self.bus), Mic(self.bus), ScriptedDetector, self.recogniser, FIXED, self.ahead)
        self.calls = Calls(work, ears, lambda session: Attend(self.bus.work, session, self.delivery.me), self.most)
        calls_module.attach(self.delivery, self.calls)
        await self.delivery.start()
        running = asyncio.create_task(self.calls.run())
        await asyncio.sleep(0)
        try:
            yield self
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self.delivery.drain()


def kinds(told: list[Message]) -> list[str]:
    return [f"{one.type}{'!' if isinstance(one, Transcribed) and one.final else ''}" for one in told]


async def test_a_call_is_attended(bus: Bus) -> None:
    """It begins, its words come while it is spoken, then its text, with its place and the time of its last sound."""
    caller = Caller(bus, "call-a")
    async with Worker(bus, Scripted(["what is the weather", "two"])).listening():
        await caller.order()
        await caller.listened()
        await caller.say(ONE)
        (final,) = await caller.heard(1)
        told = await caller.messages()
    assert kinds(told) == ["VoiceBegan", *["Transcribed"] * 4, "Transcribed!"]
    assert told[0] == VoiceBegan(utterance="call-a-0", at_sample=0)
    partials = [one.text for one in told[1:-1] if isinstance(one, Transcribed)]
    assert partials == ["what", "what is", "what is the", "what is the weather"]
    last_sound = next(ms for at, ms in caller.written if at >= 960 * 16)
    assert final.ended_ms == last_sound
    assert last_sound <= final.decided_ms <= now_ms()
    assert final.model_copy(update={"ended_ms": 0, "decided_ms": 0}) == Transcribed(
        utterance="call-a-0",
        text="what is the weather",
        final=True,
        language="en",
        engine="scripted",
        until_sample=(30 + 16) * 512,
    )
    assert await bus.work.xlen(streams.CALLS.key()) == 0


async def test_an_order_is_short(bus: Bus) -> None:
    """It is done as soon as the lease is held; further orders of the same call change nothing."""
    caller = Caller(bus, "call-a")
    async with Worker(bus).listening():
        for _ in range(3):
            await caller.order()
        who = await caller.listened()
        await nothing_ordered(bus)
        await caller.say(ONE, fast=True)
        assert len(await caller.heard(1)) == 1
        assert await caller.attended() == who
        ttl: Any = await bus.work.pttl(streams.ATTEND.of("call-a"))
        assert 0 < ttl <= streams.LEASE_MS


async def nothing_ordered(bus: Bus) -> None:
    async with asyncio.timeout(20):
        while await bus.work.xlen(streams.CALLS.key()):
            await asyncio.sleep(0.01)


async def test_an_order_that_is_too_old(bus: Bus) -> None:
    """Whoever holds the call has asked again: it is done with, and nobody listens."""
    async with Worker(bus).listening():
        old = CallOpened(session="call-a", deadline_ms=now_ms() - 1)
        await bus.work.xadd(streams.CALLS.key(), {"__data__": envelope.encode(old)})
        await nothing_ordered(bus)
        assert await Caller(bus, "call-a").attended() is None


async def test_the_end_of_a_worker(bus: Bus) -> None:
    """Told to end it gives every lease back at once; the next one goes on after the last utterance, in mid-word too."""
    caller = Caller(bus, "call-a")
    async with Worker(bus).listening():
        await caller.order()
        await caller.say(ONE + sound((True, 400)), fast=True)
        await caller.heard(1)
        assert len(await caller.until(lambda told: kinds(told).count("VoiceBegan") == 2)) >= 3
    assert await caller.attended() is None
    async with Worker(bus, Scripted(["again"])).listening():
        await caller.order()
        await caller.say(sound((True, 300), (False, 800)), fast=True)
        first, second = await caller.heard(2)
    assert (first.text, second.text) == ("one", "again")
    began = [one.utterance for one in await caller.began()]
    assert began == [first.utterance, second.utterance, second.utterance]
    assert second.until_sample == caller.at - 800 * 16 + 16 * 512 + (-(caller.at - 800 * 16) % 512)


async def test_a_full_worker_leaves_calls_to_others(bus: Bus) -> None:
    """A call too many is handed back, and attended by who has room."""
    callers = [Caller(bus, f"call-{number}") for number in range(3)]
    async with Worker(bus, most=1).listening(), Worker(bus, most=2).listening() as roomy:
        for caller in callers:
            await caller.order()
        owners = [await caller.listened() for caller in callers]
    assert len({owner.rpartition(b"-")[0] for owner in owners}) == 2
    assert sum(owner.startswith(roomy.delivery.me.encode()) for owner in owners) == 2


async def test_a_call_that_is_left_makes_room(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call from which nothing comes is left with its lease given back; the next one gets its place."""
    monkeypatch.setattr(call_module, "IDLE_S", 0.3)
    callers = [Caller(bus, f"call-{number}") for number in range(2)]
    async with Worker(bus, most=1).listening():
        for caller in callers:
            await caller.order()
        for caller in callers:
            await caller.listened()
        async with asyncio.timeout(20):
            while any([await caller.attended() for caller in callers]):
                await asyncio.sleep(0.02)


async def test_frames_that_stop_coming_end_the_utterance(bus: Bus) -> None:
    """They are silence by the clock; what comes later is heard, from where it goes on."""
    caller = Caller(bus, "call-a")
    async with Worker(bus).listening():
        await caller.order()
        await caller.say(sound((True, 1_000)), fast=True)
        (first,) = await caller.heard(1)
        await caller.say(sound((True, 1_000)), fast=True)
        _, second = await caller.heard(2)
    assert first.until_sample == 1_000 * 16 // 512 * 512
    assert second.utterance == f"call-a-{first.until_sample}"


async def test_a_lost_lease(bus: Bus) -> None:
    """Who lost it stops, and says nothing more: neither of what he hears nor of what he has heard."""
    caller = Caller(bus, "call-a")
    slow = Slow(["late"])
    async with Worker(bus, slow).listening():
        await caller.order()
        await caller.listened()
        await caller.say(ONE, fast=True)
        await slow.begun.wait()
        await bus.work.set(streams.ATTEND.of("call-a"), "another", px=60_000)
        slow.go.set()
        async with asyncio.timeout(20):
            while [task for task in asyncio.all_tasks() if task.get_name() == "call call-a"]:
                await asyncio.sleep(0.02)
        assert await caller.finals() == []
    assert await caller.attended() == b"another"


class Slow(Scripted):
    """Waits to be told before it says what it heard."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(texts)
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.asked = 0

    async def recognise(self, pcm16k: bytes, language: str) -> str:
        self.begun.set()
        self.asked += 1
        await self.go.wait()
        return await super().recognise(pcm16k, language)


async def test_a_voice_is_told_while_another_is_recognised(bus: Bus) -> None:
    """A slow engine holds up texts, in order, not the beginnings of what comes next."""
    caller, slow = Caller(bus, "call-a"), Slow(["one", "two"])
    async with Worker(bus, slow).listening():
        await caller.order()
        await caller.say(ONE + ONE, fast=True)
        await caller.until(lambda told: kinds(told).count("VoiceBegan") == 2)
        assert await caller.finals() == []
        slow.go.set()
        assert [one.text for one in await caller.heard(2)] == ["one", "two"]


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Failure(Code.ENGINE_MISSING, "start the engine"), Code.ENGINE_MISSING),
        (ValueError("a bug"), Code.INTERNAL),
        (None, Code.ENGINE_SILENT),
    ],
)
async def test_an_engine_that_fails(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, failure: Exception | None, code: Code
) -> None:
    """It is told, the utterance is done with, and the call goes on."""
    monkeypatch.setattr(call_module, "RECOGNISE_S", 0.2 if failure is None else 20)

    class Broken(Scripted):
        broken = True

        async def recognise(self, pcm16k: bytes, language: str) -> str:  # noqa: ARG002  the port's
            if not self.broken:
                return "well again"
            self.broken = False
            if failure:
                raise failure
            await asyncio.get_running_loop().create_future()
            return ""

    caller = Caller(bus, "call-a")
    async with Worker(bus, Broken()).listening():
        await caller.order()
        await caller.say(ONE + ONE, fast=True)
        first, second = await caller.heard(2)
        (told,) = [one for one in await caller.messages() if isinstance(one, Failed)]
    assert told.code is code
    assert (first.text, second.text) == ("", "well again")
    assert 0 < first.until_sample < second.until_sample


PAUSE = sound((True, 640), (False, 320), (True, 640), (False, 800))
"""One utterance with a pause in it."""


async def test_a_text_is_asked_for_ahead(bus: Bus) -> None:
    """The engine is asked while the end is waited for, and once: its text is told as soon as the end is decided."""
    caller, slow = Caller(bus, "call-a"), Slow(["one", "two"])
    async with Worker(bus, slow, ahead=True).listening():
        await caller.order()
        await caller.say(ONE[: -2 * 16 * 500], fast=True)
        await slow.begun.wait()
        slow.go.set()
        while not slow.heard:
            await asyncio.sleep(0.01)
        assert await caller.finals() == []
        await caller.say(ONE[-2 * 16 * 500 :], fast=True)
        (final,) = await caller.heard(1)
    assert final.text == "one"
    assert final.until_sample == (30 + 16) * 512
    assert [len(heard) // 1_024 for heard in slow.heard] == [30 + 8]


async def test_a_text_that_was_asked_for_in_vain(bus: Bus) -> None:
    """Who goes on after a pause is heard to his end: what the engine said, or failed of, in the pause is told to nobody."""
    caller = Caller(bus, "call-a")

    class Hasty(Scripted):
        async def recognise(self, pcm16k: bytes, language: str) -> str:
            text = await super().recognise(pcm16k, language)
            if len(self.heard) == 1:
                raise Failure(Code.ENGINE_BROKEN, "not in a pause")
            return text

    hasty = Hasty(["half", "whole"])
    async with Worker(bus, hasty, ahead=True).listening():
        await caller.order()
        await caller.say(PAUSE, fast=True)
        (final,) = await caller.heard(1)
        told = await caller.messages()
    assert final.text == "whole"
    assert [one for one in told if isinstance(one, Failed)] == []
    assert [len(heard) // 1_024 for heard in hasty.heard] == [28, 58]


async def test_an_engine_that_fails_ahead(bus: Bus) -> None:
    """It is told once, when the utterance is over, and the call goes on."""
    caller = Caller(bus, "call-a")
    broken = Scripted(failure=Failure(Code.ENGINE_MISSING, "start the engine"))
    async with Worker(bus, broken, ahead=True).listening():
        await caller.order()
        await caller.say(ONE + ONE, fast=True)
        await caller.heard(2)
        told = [one for one in await caller.messages() if not isinstance(one, VoiceBegan)]
    assert kinds(told) == ["Failed", "Transcribed!"] * 2


async def test_an_engine_that_is_asked_too_often(bus: Bus) -> None:
    """While two texts are asked for and do not come no third is asked for ahead; every text comes all the same."""
    caller, slow = Caller(bus, "call-a"), Slow([])
    async with Worker(bus, slow, ahead=True).listening():
        await caller.order()
        await caller.say(sound(*[(True, 320), (False, 320)] * 4, (True, 320), (False, 300)), fast=True)
        await caller.until(lambda told: "VoiceBegan" in kinds(told))
        await slow.begun.wait()
        while slow.asked != call_module.AHEAD:
            await asyncio.sleep(0.01)
        await caller.say(bytes(16 * 2 * 500), fast=True)
        slow.go.set()
        (final,) = await caller.heard(1)
    assert slow.asked == call_module.AHEAD + 1
    assert final.text == f"something of {len(slow.heard[-1]) / 32_000:.1f} seconds"
    assert len(slow.heard[-1]) // 1_024 == (final.until_sample - int(final.utterance.rpartition("-")[2])) // 512


async def test_words_that_fail_harm_nothing(bus: Bus) -> None:
    """An engine that fails while somebody speaks still gives the text in the end."""

    class Mute(Scripted):
        def listen(self, language: str) -> Any:
            follower = super().listen(language)

            async def feed(pcm16k: bytes) -> str:  # noqa: ARG001  the port's
                raise Failure(Code.ENGINE_BROKEN, "no words")

            follower.feed = feed
            return follower

    caller = Caller(bus, "call-a")
    async with Worker(bus, Mute(["the text"])).listening():
        await caller.order()
        await caller.say(ONE, fast=True)
        (final,) = await caller.heard(1)
    assert final.text == "the text"
    assert kinds(await caller.messages()) == ["VoiceBegan", "Transcribed!"]


async def test_an_attendance_that_breaks(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told; the call is free again when the lease has ended, and no sooner."""

    class Deaf(ScriptedDetector):
        def probability(self, frame: bytes) -> float:
            raise RuntimeError(f"cannot hear {len(frame)} bytes")

    caller = Caller(bus, "call-a")
    worker = Worker(bus)
    async with worker.listening():
        deaf = Ears(Sessions(bus), Mic(bus), Deaf, Scripted(), FIXED)
        monkeypatch.setattr(worker.calls, "_ears", deaf)
        await caller.order()
        await caller.say(ONE, fast=True)
        await caller.until(lambda told: any(isinstance(one, Failed) and "cannot hear" in one.sentence for one in told))
        assert await caller.attended()
        async with asyncio.timeout(20):
            while await caller.attended():
                await asyncio.sleep(0.05)


async def test_samples_that_are_counted_anew(bus: Bus) -> None:
    """A session that remembers more than the microphone has is of an older count: the call is heard from its beginning."""
    caller = Caller(bus, "call-a")
    await Sessions(bus).publish("call-a", Transcribed(utterance="x", text="x", final=True, until_sample=10**9))
    async with Worker(bus).listening():
        await caller.say(ONE, fast=True)
        await caller.order()
        _, final = await caller.heard(2)
    assert final.utterance == "call-a-0"


async def test_two_calls_at_once(bus: Bus) -> None:
    """One worker hears two calls; what is said in one is not heard in the other."""
    one, other = Caller(bus, "call-a"), Caller(bus, "call-b")
    async with Worker(bus, Scripted()).listening():
        for caller in (one, other):
            await caller.order()
        await asyncio.gather(
            one.say(sound((True, 600), (False, 900))), other.say(sound((False, 300), (True, 1_200), (False, 900)))
        )
        (first,), (second,) = await one.heard(1), await other.heard(1)
    assert (first.utterance, second.utterance) == ("call-a-0", "call-b-0")
    assert first.until_sample < second.until_sample
    assert first.text != second.text


async def test_the_language_changes_within_a_call(bus: Bus) -> None:
    """What comes with the sound counts from there on; sound that names none leaves it as it is."""
    caller, mic = Caller(bus, "call-a", language="en"), Mic(bus)
    async with Worker(bus, Scripted()).listening():
        await caller.order()
        await caller.say(ONE, fast=True)
        await mic.write("call-a", caller.at, ONE, "zh")
        caller.at += len(ONE) // 2
        await caller.say(ONE, fast=True)
        finals = await caller.heard(3)
    assert [final.language for final in finals] == ["en", "zh", "zh"]
    assert [final.text[:2] for final in finals] == ["so", "一段", "一段"]


async def test_who_speaks_on_is_told_of_before_his_words(bus: Bus) -> None:
    """An utterance that is too long is cut: the next piece's beginning comes before the text of the one before."""
    caller = Caller(bus, "call-a")
    async with Worker(bus).listening():
        await caller.order()
        await caller.say(sound((True, 40_000), (False, 800)), fast=True)
        finals = await caller.heard(2)
        told = [one for one in await caller.messages() if isinstance(one, VoiceBegan) or one in finals]
    assert kinds(told) == ["VoiceBegan", "VoiceBegan", "Transcribed!", "Transcribed!"]
