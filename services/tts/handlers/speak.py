"""Speaks: reads `speak:<pool>`, has each sentence spoken, publishes its sound as it is made, commits its end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

import structlog

from services.contract import streams
from services.contract.failure import Code, Failed, Failure
from services.contract.llm import SentenceReady
from services.contract.message import Message
from services.contract.tts import SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted
from services.runtime import voices, words
from services.runtime.ahead import Ahead
from services.runtime.clock import now_ms
from services.runtime.delivery import Delivery, Duty, Job
from services.runtime.permits import Permits
from services.runtime.sessions import Sessions
from services.runtime.sound import fade_in
from services.runtime.work import Verdict, Work
from services.tts.core import handover, resume
from services.tts.core.chunks import Chunker, Piece
from services.tts.core.ports import Engine, Voice
from services.tts.core.validate import Bad, Judge

log = structlog.get_logger(__name__)
PATIENCE_S = 3.0
"""An engine that is silent for so long, before its first sound or in between, has failed."""
LOOK_MS = 100
"""How often it is asked, while a sentence is spoken, whether it is still wanted."""


@dataclass(frozen=True)
class Desk:
    """What speaking needs."""

    work: Work
    sessions: Sessions
    known: Mapping[str, voices.Engines]
    """Voice → its engines in order of preference."""
    living: Callable[[], Awaitable[Collection[str]]]
    """Pools that have a living worker."""
    clock: Callable[[], int] = now_ms
    """Unix milliseconds."""
    patience_s: float = PATIENCE_S

    def engines(self, voice: str) -> voices.Engines:
        """The voice's engines; raises Failure(BAD_CONFIG) for a voice that the configuration does not know."""
        if voice not in self.known:
            names = ", ".join(sorted(self.known)) or "none"
            raise Failure(Code.BAD_CONFIG, f"there is no voice {voice!r} in onair.yaml; known: {names}")
        return self.known[voice]

    def sound(self, engine: Engine, ready: SentenceReady, text: str) -> AsyncGenerator[bytes, None]:
        """What the engine makes of the text in the sentence's voice."""
        voice = Voice(ready.voice, voices.options(self.engines(ready.voice), ready.engine_at))
        return engine.speak(text, voice, ready.emotion)

    async def tell(self, ready: SentenceReady, message: Message, blob: bytes = b"") -> None:
        """Publish on the sentence's session."""
        await self.sessions.publish(ready.session, message, blob, room=ready.kind == "room")

    async def look(self, ready: SentenceReady) -> resume.Prior:
        """What the session tells of the sentence."""
        items = await self.sessions.range(ready.session)
        return resume.fold([(item.ms, item.message, item.blob) for item in items], ready.turn, ready.index)

    async def skip(self, ready: SentenceReady, reason: str) -> None:
        """The sentence will not be heard, unless it is terminal already: tell what stands. May run more than once."""
        stands = await self.work.skip(ready.turn, ready.index, reason)
        if stands.startswith("skipped:"):
            log.warning("sentence skipped", turn=ready.turn, index=ready.index, reason=stands[8:])
            told = SentenceSkipped(turn=ready.turn, index=ready.index, reason=stands[8:])
            await self.tell(ready, told)

    async def give_up(self, ready: SentenceReady, failure: Failure) -> None:
        """It failed for good: say what went wrong, and skip it."""
        sentence = words.clip(failure.sentence, 2_000)
        await self.tell(ready, Failed(turn=ready.turn, code=failure.code, sentence=sentence))
        await self.skip(ready, failure.code.value)


def attach(delivery: Delivery, desk: Desk, engine: Engine, workers: int) -> None:
    """Speak the sentences of the engine's pool, `workers` at a time, those of calls and chats first."""
    permits = Permits(workers)
    for stream, urgent in ((streams.SPEAK_CALL, True), (streams.SPEAK_SHOW, False)):
        delivery.attach(
            Duty(
                stream.key(engine.pool),
                stream.group,
                SentenceReady,
                partial(speak, desk, engine),
                desk.give_up,
                workers=workers,
                permits=permits,
                urgent=urgent,
            )
        )


async def speak(desk: Desk, engine: Engine, job: Job[SentenceReady]) -> None:
    """One delivery of one sentence, to its end."""
    ready = job.message
    hurry = ready.index == 0 and ready.kind != "room" and job.delivery == 1 and desk.clock() <= ready.deadline_ms
    ahead = Ahead(desk.sound(engine, ready, ready.speak)) if hurry and words.speakable(ready.speak) else None
    try:
        await _tries(desk, engine, job, ahead)
    finally:
        if ahead:
            await ahead.close()


async def _tries(desk: Desk, engine: Engine, job: Job[SentenceReady], ahead: Ahead[bytes] | None) -> None:
    """Attempts, until one is good or the sentence goes to another engine.

    `ahead`: where a person waits for a turn's first sound, the engine is asked while the attempt is committed.
    """
    ready, tries, why = job.message, 0, ""
    engines, after = desk.engines(ready.voice), None
    await asyncio.sleep(0)  # what was asked ahead goes out first
    while tries == 0 or handover.again(why, tries, last=after is None):
        verdict, number = await desk.work.begin(job.entry, job.fence, ready.index)
        if verdict is Verdict.DONE:
            await _drop(desk, job, "done")  # tells a skip again whose teller may have died
        if verdict is not Verdict.OK:
            return
        if ahead and number > 1:
            await ahead.close()
        if (bad := await _attempt(desk, engine, job, number, ahead if number == 1 else None)) is None:
            return
        tries, why = tries + 1, bad
        after = voices.after(engines, ready.engine_at, await desk.living())
        log.warning("an engine spoke badly", engine=engine.name, turn=ready.turn, index=ready.index, reason=why)
    if after is None:
        await _drop(desk, job, why)
    else:
        moved = ready.model_copy(update={"engine_at": after})
        await desk.work.move(job.entry, streams.speak(voices.pool(engines, after), ready.kind), moved)


async def _drop(desk: Desk, job: Job[SentenceReady], reason: str) -> None:
    """Skip the sentence, then let go of its order."""
    await desk.skip(job.message, reason)
    await desk.work.finish(job.entry)


async def _attempt(
    desk: Desk, engine: Engine, job: Job[SentenceReady], number: int, ahead: Ahead[bytes] | None
) -> str | None:
    """One attempt; what was wrong with it, or None if the entry is finished or no longer ours."""
    ready = job.message
    prior = await desk.look(ready) if number > 1 else resume.Prior()
    late = handover.fate(ready.deadline_ms, prior.sound_ms, desk.clock(), living=True) is handover.Fate.SKIPPED
    if late and not prior.over:
        await _drop(desk, job, "late")
        return None
    samples = prior.reached
    if not prior.over:
        rendition = Rendition(desk, engine, job, number, resume.start(ready.speak, prior, engine.name), ahead)
        why = await rendition.make()
        if why or rendition.stale:
            return why
        samples = rendition.position
        await desk.tell(ready, SpeechEnded(turn=ready.turn, index=ready.index, attempt=number, samples=samples))
        if number > 1:
            told = await desk.look(ready)  # another's end may have come first: readers obey that one
            samples = told.reached if told.over else samples  # not over: live has lost it meanwhile
    await desk.work.spoken(job.entry, job.fence, ready.index, samples)
    return None


class Rendition:
    """One engine's sound of one sentence, on its way to the session."""

    def __init__(
        self,
        desk: Desk,
        engine: Engine,
        job: Job[SentenceReady],
        number: int,
        start: resume.Start,
        ahead: Ahead[bytes] | None = None,
    ) -> None:
        self._desk, self._engine, self._job, self._number, self._start = desk, engine, job, number, start
        self._ahead = ahead
        self._judge = Judge(start.text)
        self._chunker = Chunker(from_sample=start.from_sample, base=start.base)
        self._looked_ms = desk.clock()
        self._announced: asyncio.Future[None] | None = None
        self.stale = False
        """Nobody wants the sentence any more; its entry has been finished."""

    @property
    def position(self) -> int:
        """How far the sentence has come, in samples."""
        return self._chunker.position

    async def make(self) -> str | None:
        """Publish the start and every chunk; what was wrong, or None. Sound that was good is published in any case."""
        ready, start = self._job.message, self._start
        started = SpeechStarted(
            turn=ready.turn,
            no=ready.no,
            epoch=ready.epoch,
            index=ready.index,
            attempt=self._number,
            text=ready.text,
            emotion=ready.emotion,
            engine=self._engine.name,
            from_sample=start.from_sample,
        )
        self._announced = asyncio.ensure_future(self._desk.tell(ready, started))  # while the engine is asked already
        try:
            return await self._speak() if words.speakable(start.text) else None
        finally:
            await self._announced

    async def _speak(self) -> str | None:
        sound = self._ahead.all() if self._ahead else None
        try:
            async with aclosing(sound or self._desk.sound(self._engine, self._job.message, self._start.text)) as pieces:
                await self._listen(pieces)
        except Failure as failure:
            log.warning("an engine failed", engine=self._engine.name, code=failure.code, reason=failure.sentence)
            await self._publish(self._chunker.close())
            return failure.code.value
        return await self._close()

    async def _listen(self, pieces: AsyncGenerator[bytes, None]) -> None:
        """Pass on what the engine makes, until it ends, is refused, or is not wanted any more."""
        while (pcm := await _next(pieces, self._desk.patience_s)) is not None:
            released = self._judge.feed(pcm)
            if self._judge.bad:
                return
            await self._publish(self._chunker.feed(released))
            if await self._unwanted():  # after the sound, which need not wait for the answer: readers know it first
                return

    async def _unwanted(self) -> bool:
        """Look from time to time whether the turn was interrupted, dropped or silenced."""
        if (now := self._desk.clock()) - self._looked_ms >= LOOK_MS:
            self._looked_ms = now
            self.stale = await self._desk.work.stale(self._job.fence)
        if self.stale:
            await self._desk.work.finish(self._job.entry)
        return self.stale

    async def _close(self) -> str | None:
        """The verdict on the whole. Babble that was heard is cut short, not said again."""
        if self.stale:
            return None
        await self._publish(self._chunker.feed(self._judge.close()))
        await self._publish(self._chunker.close())
        if self._judge.bad is Bad.TOO_LONG and self.position > self._start.from_sample:
            return None
        return self._judge.bad

    async def _publish(self, pieces: list[Piece]) -> None:
        ready = self._job.message
        for piece in pieces:
            if self._announced:
                await self._announced
            joins = self._start.fade and piece.number == 0
            chunk = SpeechChunk(
                turn=ready.turn,
                index=ready.index,
                attempt=self._number,
                chunk=piece.number,
                sample_offset=piece.offset,
            )
            await self._desk.tell(ready, chunk, fade_in(piece.pcm) if joins else piece.pcm)


async def _next(pieces: AsyncGenerator[bytes, None], patience_s: float) -> bytes | None:
    """The engine's next bytes, None at its end; whatever goes wrong in it is a Failure."""
    try:
        async with asyncio.timeout(patience_s):
            return await anext(pieces, None)
    except TimeoutError as error:
        raise Failure(Code.ENGINE_SILENT, f"the engine made no sound for {patience_s} seconds") from error
    except Failure:
        raise
    except Exception as error:
        raise Failure(Code.ENGINE_BROKEN, f"{type(error).__name__}: {error}") from error
