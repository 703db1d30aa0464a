"""Speaking, on brokers in memory: what a sentence's readers hear, whatever its engines and its workers do."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.contract import streams
from services.contract.failure import Code, Failed, Failure
from services.contract.ingest import TurnAired
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.contract.tts import SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime import sound
from services.runtime.delivery import Job
from services.runtime.timeline import Caption, Lost, Sound, Timeline
from services.runtime.work import Entry, Fence, Verdict
from services.tts.adapters.scripted import Scripted, render
from services.tts.core.ports import Voice
from services.tts.handlers.speak import Desk, speak
from tests.model.sessions import ModelSessions
from tests.model.work import ModelWork

TEXT = "今天天气很好，we go to the park"
DUE = 100_000


@dataclass
class Studio:
    """Two engines, `a` before `b`, on one voice whose settings a test chooses."""

    settings: dict[str, object] = field(default_factory=dict[str, object])
    pools: tuple[str, ...] = ("a", "b")
    living: set[str] = field(default_factory=lambda: {"a", "b"})

    def __post_init__(self) -> None:
        self.work, self.sessions = ModelWork(), ModelSessions(DUE - 500)
        self.engines = {pool: Scripted(pool) for pool in self.pools}
        engines = [{pool: self.settings if pool == "a" else {}} for pool in self.pools]
        self.desk = Desk(
            self.work, self.sessions, {"v": engines}, self._living, lambda: self.sessions.clock, patience_s=0.05
        )

    async def _living(self) -> set[str]:
        return self.living

    async def put(self, text: str = TEXT, kind: str = "room", **more: object) -> SentenceReady:
        names = {"turn": "t", "no": 1, "session": "s", "epoch": 0, "index": 0, "voice": "v"}
        ready = SentenceReady.model_validate(
            {**names, "kind": kind, "text": text, "speak": text, "deadline_ms": DUE} | more
        )
        await self.work.add(streams.speak("a", kind), ready)
        return ready

    async def take(self, pool: str = "a", kind: str = "room", me: str = "me") -> Job[SentenceReady] | None:
        taken = await self.work.read_group(streams.speak(pool, kind), "tts", me)
        if taken is None:
            return None
        entry, ready = taken
        assert isinstance(ready, SentenceReady)
        return Job(ready, entry, Fence(ready.session, ready.epoch, ready.turn), 1)

    async def run(self, pool: str = "a", kind: str = "room") -> None:
        job = await self.take(pool, kind)
        assert job is not None
        await speak(self.desk, self.engines[pool], job)

    def told(self) -> list[str]:
        return [type(message).__name__ for message in self.sessions.messages("s")]

    def end(self, index: int = 0) -> str:
        return self.work.told("t").ends.get(index, "")

    async def waiting(self) -> int:
        names = [streams.speak(pool, kind) for pool in self.pools for kind in ("room", "call")]
        return sum([await self.work.length(name) for name in names])

    def heard(self) -> tuple[bytes, int]:
        """What a reader plays of the turn, and how many samples it misses."""
        timeline, pcm, lost = Timeline(), b"", 0
        timeline.feed(TurnAired(turn="t", no=1, epoch=0))
        for item in self.sessions.items.get("s", []):
            for out in timeline.feed(item.message, item.blob):
                pcm += out.pcm if isinstance(out, Sound) else b""
                lost += out.samples if isinstance(out, Lost) else 0
        return pcm, lost


def same_but_for_joins(found: bytes, expected: bytes) -> bool:
    """Equal, but for 20 ms after a join, where sound rises from nothing."""
    one, other = sound.samples(found), sound.samples(expected)
    return len(one) == len(other) and int((one != other).sum()) <= 480


async def test_a_sentence_is_spoken() -> None:
    """Its start, its chunks and its end are published, its length is committed, its order is done with."""
    studio = Studio()
    await studio.put()
    await studio.run()
    assert studio.told() == ["SpeechStarted", *["SpeechChunk"] * (len(studio.told()) - 2), "SpeechEnded"]
    assert studio.heard() == (render(TEXT), 0)
    assert studio.end() == f"spoken:{len(render(TEXT)) // 2}"
    assert await studio.waiting() == 0
    chunks = [item for item in studio.sessions.items["s"] if isinstance(item.message, SpeechChunk)]
    assert [len(item.blob) // 48 for item in chunks[:3]] == [80, 200, 200]


async def test_a_start_tells_what_captions_need() -> None:
    """The start has the text as captions show it, the emotion, the engine and the place of the turn."""
    studio = Studio()
    await studio.put("①②③", speak="一二三", emotion="happy", no=4, epoch=0)
    await studio.run()
    started = studio.sessions.messages("s")[0]
    assert started == SpeechStarted(
        turn="t", no=4, epoch=0, index=0, attempt=1, text="①②③", emotion="happy", engine="a"
    )


async def test_nothing_to_pronounce() -> None:
    """A sentence of marks alone is spoken at once, without an engine and without a sound."""
    studio = Studio()
    await studio.put("……！")
    await studio.run()
    assert studio.told() == ["SpeechStarted", "SpeechEnded"]
    assert studio.end() == "spoken:0"
    assert studio.engines["a"].calls == []


@pytest.mark.parametrize(
    ("kind", "more", "ahead"),
    [
        ("call", {}, True),
        ("chat", {}, True),
        ("room", {}, False),
        ("call", {"index": 1}, False),
        ("call", {"deadline_ms": 0}, False),
    ],
)
async def test_the_engine_is_asked_while_the_attempt_is_committed(
    kind: str,
    more: dict[str, Any],
    ahead: bool,  # noqa: FBT001  a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For a turn's first sentence, where a person waits for it in time; it is spoken once all the same."""
    studio, asked = Studio(), list[list[str]]()
    begin = studio.work.begin

    async def noting(entry: Entry, fence: Fence, index: int) -> tuple[Verdict, int]:
        asked.append(list(studio.engines["a"].calls))
        return await begin(entry, fence, index)

    monkeypatch.setattr(studio.work, "begin", noting)
    await studio.put(kind=kind, **more)
    await studio.run(kind=kind)
    assert asked == [[TEXT] if ahead else []]
    assert studio.engines["a"].calls == ([] if more.get("deadline_ms") == 0 else [TEXT])


async def test_what_was_asked_ahead_in_vain_is_left() -> None:
    """A turn that was interrupted meanwhile is not spoken, and the engine makes no more of it."""
    studio = Studio()
    await studio.put(kind="call")
    job = await studio.take(kind="call")
    assert job is not None
    await studio.work.raise_epoch("s")
    tasks = asyncio.all_tasks()
    await speak(studio.desk, studio.engines["a"], job)
    assert studio.told() == []
    assert await studio.waiting() == 0
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("fault", ["silence", "nothing", "short", "stop", "odd"])
async def test_one_bad_answer(fault: str) -> None:
    """An engine that spoke badly is asked again; all of the sentence is heard, none of it twice."""
    studio = Studio({"fault": fault, "after": 12, "times": 1})
    await studio.put()
    await studio.run()
    pcm, lost = studio.heard()
    assert same_but_for_joins(pcm, render(TEXT))
    assert lost == 0
    assert studio.engines["a"].calls == [TEXT, TEXT]
    assert studio.end() == f"spoken:{len(render(TEXT)) // 2}"


@pytest.mark.parametrize(("fault", "asked"), [("silence", 2), ("nothing", 2), ("mute", 1)])
async def test_an_engine_without_sound(fault: str, asked: int) -> None:
    """A sentence without a sound goes to the voice's next engine, which says all of it; silence is never aired."""
    studio = Studio({"fault": fault})
    await studio.put(kind="call")
    await studio.run(kind="call")
    assert "SpeechChunk" not in studio.told()
    assert len(studio.engines["a"].calls) == asked
    assert studio.engines["a"].open == 0
    await studio.run("b", "call")
    assert studio.heard() == (render(TEXT), 0)
    assert studio.end() == f"spoken:{len(render(TEXT)) // 2}"
    assert await studio.waiting() == 0


async def test_an_engine_that_breaks_off() -> None:
    """The remainder of a sentence is spoken by the next engine, from the words on at which the first one stopped."""
    studio = Studio({"fault": "stop", "after": 40})
    await studio.put()
    await studio.run()
    begun, _ = studio.heard()
    await studio.run("b")
    (rest,) = studio.engines["b"].calls
    assert TEXT.endswith(rest)
    assert 5 < len(rest) < len(TEXT) - 3
    assert same_but_for_joins(studio.heard()[0], begun + render(rest))
    assert studio.heard()[0].startswith(begun)


async def test_no_engine_left() -> None:
    """When the last engine has failed too, the sentence is skipped by the reason, once, for all to see."""
    studio = Studio({"fault": "silence"}, pools=("a",))
    await studio.put()
    await studio.run()
    assert studio.sessions.messages("s")[-1] == SentenceSkipped(turn="t", index=0, reason="silent")
    assert studio.end() == "skipped:silent"
    assert await studio.waiting() == 0


async def test_the_only_engine_is_asked_again_even_if_it_was_slow() -> None:
    """An engine that did not answer is asked a second time where the voice has no other."""
    studio = Studio({"fault": "mute", "times": 1}, pools=("a",))
    await studio.put()
    await studio.run()
    assert studio.heard() == (render(TEXT), 0)


async def test_the_next_engine_is_one_that_lives() -> None:
    """An engine whose pool has no worker is passed over."""
    studio = Studio({"fault": "silence"}, pools=("a", "x", "b"), living={"a", "b"})
    await studio.put()
    await studio.run()
    assert await studio.work.length("speak:b:show") == 1
    assert await studio.work.length("speak:x:show") == 0
    moved = await studio.take("b")
    assert moved is not None
    assert moved.message.engine_at == 2


async def test_a_missing_engine_is_not_asked_twice() -> None:
    """What cannot change is not tried again: the sentence goes to the next engine at once."""
    studio = Studio()
    studio.engines["a"] = Scripted("a", missing="install it")
    await studio.put()
    await studio.run()
    assert studio.told() == ["SpeechStarted"]
    await studio.run("b")
    assert studio.heard() == (render(TEXT), 0)


async def test_an_engine_with_a_fault_of_its_own() -> None:
    """An exception that no adapter foresaw is a bad answer like any other."""

    class Broken(Scripted):
        async def speak(self, text: str, voice: Voice, emotion: str) -> AsyncGenerator[bytes, None]:
            async for pcm in super().speak(text, voice, emotion):
                yield pcm
                raise ZeroDivisionError

    studio = Studio()
    studio.engines["a"] = Broken("a")
    await studio.put()
    await studio.run()
    assert await studio.work.length("speak:b:show") == 1


async def test_babble_is_cut() -> None:
    """An engine that does not stop talking is cut short; what it had said is not said again."""
    studio = Studio({"fault": "long"})
    await studio.put("好")
    await studio.run()
    pcm, _ = studio.heard()
    assert 2_000 <= sound.millis(pcm) <= 3_000
    assert studio.end() == f"spoken:{len(pcm) // 2}"


async def test_a_worker_that_dies() -> None:
    """A killed worker's sentence goes on in another worker where its sound stopped."""
    studio = Studio({"pace": 0.0005})
    await studio.put()
    first = await studio.take()
    assert first is not None
    worker = asyncio.ensure_future(speak(studio.desk, studio.engines["a"], first))
    while studio.told().count("SpeechChunk") < 3:
        await asyncio.sleep(0)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    claimed = await studio.work.claim(first.entry.stream, "tts", first.entry.id, "other")
    assert claimed is not None
    await speak(studio.desk, Scripted("a"), Job(first.message, claimed[0], first.fence, 2))
    pcm, lost = studio.heard()
    assert lost == 0
    assert same_but_for_joins(pcm, render(TEXT))
    second = [m for m in studio.sessions.messages("s") if isinstance(m, SpeechStarted)][1]
    assert (second.attempt, second.from_sample) == (2, 480 * 24)


async def test_a_worker_that_dies_before_its_commit() -> None:
    """A sentence whose end is published is only committed."""
    studio = Studio()
    await studio.put()
    first = await studio.take()
    assert first is not None
    await studio.work.begin(first.entry, first.fence, 0)
    await studio.sessions.publish("s", SpeechStarted(turn="t", no=1, epoch=0, index=0, attempt=1, text=TEXT))
    chunk = SpeechChunk(turn="t", index=0, attempt=1, chunk=0, sample_offset=0)
    await studio.sessions.publish("s", chunk, bytes(2_000))
    await studio.sessions.publish("s", SpeechEnded(turn="t", index=0, attempt=1, samples=1_000))
    await speak(studio.desk, studio.engines["a"], first)
    assert studio.end() == "spoken:1000"
    assert studio.engines["a"].calls == []
    assert await studio.waiting() == 0


async def test_two_ends() -> None:
    """Where a worker that woke up has published another end first, its length is what is committed."""
    studio = Studio()

    class Woken(Scripted):
        async def speak(self, text: str, voice: Voice, emotion: str) -> AsyncGenerator[bytes, None]:
            async for pcm in super().speak(text, voice, emotion):
                yield pcm
            await studio.sessions.publish("s", SpeechEnded(turn="t", index=0, attempt=2, samples=77))

    await studio.put()
    first = await studio.take()
    assert first is not None
    await studio.work.begin(first.entry, first.fence, 0)
    await speak(studio.desk, Woken("a"), first)
    pcm, lost = studio.heard()
    assert studio.end() == f"spoken:{len(pcm) // 2 + lost}"


async def test_a_sentence_that_is_terminal() -> None:
    """A sentence that was skipped before is not spoken; its skip is told again, for its teller may have died."""
    studio = Studio()
    await studio.put()
    await studio.work.skip("t", 0, "late")
    await studio.run()
    assert studio.sessions.messages("s") == [SentenceSkipped(turn="t", index=0, reason="late")]
    assert await studio.waiting() == 0


async def test_a_sentence_that_was_spoken_before() -> None:
    """A sentence that was spoken is not spoken again, and nothing is said of it."""
    studio = Studio()
    studio.work.told("t").ends[0] = "spoken:5"
    await studio.put()
    await studio.run()
    assert studio.told() == []


async def test_an_order_that_is_not_ours() -> None:
    """A worker whose order was taken by another says nothing."""
    studio = Studio()
    await studio.put()
    job = await studio.take()
    assert job is not None
    await studio.work.claim(job.entry.stream, "tts", job.entry.id, "other")
    await speak(studio.desk, studio.engines["a"], job)
    assert studio.told() == []
    assert await studio.waiting() == 1


async def test_interrupted_before_it_begins() -> None:
    """A sentence of an older epoch is not begun; its order is done with."""
    studio = Studio()
    await studio.put()
    await studio.work.raise_epoch("s")
    await studio.run()
    assert studio.told() == []
    assert await studio.waiting() == 0


async def test_interrupted_while_it_is_spoken() -> None:
    """An interrupt ends the sentence within 100 ms of its engine's next sound: no more chunks, no end."""
    studio = Studio({"pace": 0.0005})
    await studio.put()
    job = await studio.take()
    assert job is not None
    worker = asyncio.ensure_future(speak(studio.desk, studio.engines["a"], job))
    while "SpeechChunk" not in studio.told():
        await asyncio.sleep(0)
    told = len(studio.told())
    await studio.work.raise_epoch("s")
    studio.sessions.clock += 100
    await worker
    assert len(studio.told()) - told <= 1
    assert "SpeechEnded" not in studio.told()
    assert (studio.end(), await studio.waiting(), studio.engines["a"].open) == ("", 0, 0)


async def test_a_sentence_that_comes_too_late() -> None:
    """A sentence that was due more than 8 s ago is skipped without an engine."""
    studio = Studio()
    await studio.put()
    studio.sessions.clock = DUE + 8_001
    await studio.run()
    assert studio.told() == ["SentenceSkipped"]
    assert studio.end() == "skipped:late"
    assert studio.engines["a"].calls == []
    assert await studio.waiting() == 0


async def test_an_unknown_voice() -> None:
    """A voice that is not configured fails by name; giving it up tells the failure and skips the sentence."""
    studio = Studio()
    ready = await studio.put(voice="nobody")
    job = await studio.take()
    assert job is not None
    with pytest.raises(Failure, match=r"no voice 'nobody' in onair\.yaml; known: v") as caught:
        await speak(studio.desk, studio.engines["a"], job)
    await studio.desk.give_up(ready, caught.value)
    told: list[Message] = studio.sessions.messages("s")
    assert isinstance(told[0], Failed)
    assert told[0].code is Code.BAD_CONFIG
    assert told[1] == SentenceSkipped(turn="t", index=0, reason="bad_config")


async def test_captions_come_with_the_sound() -> None:
    """A reader of the session has the caption before the first sound, and the whole turn closes."""
    studio = Studio()
    await studio.put()
    await studio.run()
    await studio.sessions.publish("s", AnswerEnded(turn="t", count=1, text=TEXT))
    timeline = Timeline()
    timeline.feed(TurnAired(turn="t", no=1, epoch=0))
    outs = [out for item in studio.sessions.items["s"] for out in timeline.feed(item.message, item.blob)]
    assert outs[0] == Caption("t", 0, TEXT, "")
    assert [type(out).__name__ for out in outs[-2:]] == ["SentenceOver", "Closed"]
