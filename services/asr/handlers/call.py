"""One call: its microphone is read, what is said in it is recognised and told on its session."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from services.asr.core.attendance import Attendance, Began, Event, Hush, Partial, Utterance
from services.asr.core.patience import Rule
from services.asr.core.pcm import FRAME_BYTES
from services.asr.core.ports import Detector, Hearing, Recogniser
from services.contract.asr import Transcribed, VoiceBegan
from services.contract.failure import Code, Failed, Failure
from services.runtime import words
from services.runtime.clock import now_ms
from services.runtime.line import LeaseLostError, Line
from services.runtime.mic import Mic, MicItem
from services.runtime.sessions import Item, Sessions

log = structlog.get_logger(__name__)
IDLE_S = 10.0
"""A call from which nothing came for so long is left."""
RECOGNISE_S = 20.0
"""An engine that takes longer for one utterance is silent."""
BACKLOG = 64
"""So many frames of the microphone wait to be heard before no more are read."""
UNHEARD = 8
"""So many utterances wait to be recognised before no more is listened to."""
AHEAD = 2
"""So many texts are asked for ahead at the same time: of a pause, and of the next one where the engine is slow."""
SLICE_BYTES = FRAME_BYTES
"""Listened to at a time, 1 ms of processor: what is heard in it is told before the next one is listened to.

A thread would gain nothing: the detector holds Python's lock.
"""


@dataclass(frozen=True)
class Ears:
    """What listening needs."""

    sessions: Sessions
    mic: Mic
    detector: Callable[[], Detector]
    """A new one, which has heard nothing."""
    recogniser: Recogniser
    rule: Rule
    ahead: bool = False
    """Ask the recogniser as soon as an utterance may be over."""


Found = str | Failure
"""What was said, or why it is not known."""


@dataclass(frozen=True)
class Said:
    """An utterance on its way to its text."""

    what: Utterance
    decided_ms: int
    """When it was known that it is over."""
    found: asyncio.Task[Found] | None
    """Its text, if it was asked for ahead."""


class Call:
    """One attendance of one call, from the taking of its lease to the loss of it, or until nothing comes any more."""

    def __init__(self, ears: Ears, line: Line, language: str) -> None:
        self._ears = ears
        self._line = line
        self._language = language
        self._frames: asyncio.Queue[MicItem] = asyncio.Queue(BACKLOG)
        self._said: asyncio.Queue[Said] = asyncio.Queue(UNHEARD)
        self._ahead: asyncio.Task[Found] | None = None
        """Of the utterance that is open, if it may be over."""
        self._asked: set[asyncio.Task[Found]] = set()
        """All that was asked ahead and is not answered yet."""
        self._heard = Attendance(0, ears.detector, ears.rule)
        self._follower: asyncio.Task[None] | None = None
        self._more: asyncio.Queue[bytes] = asyncio.Queue()
        """What the follower has not heard yet."""

    async def attend(self) -> None:
        """Listen and tell, from where the last utterance ended. Raises LeaseLostError."""
        ears, session = self._ears, self._line.session
        start = started(await ears.sessions.range(session), await ears.mic.last(session))
        self._heard = Attendance(start, ears.detector, ears.rule)
        lost = False
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(loop) for loop in (self._line.keep(), self._read(), self._recognise())]
                await self._listen(group)
                await self._said.join()
                for task in tasks:
                    task.cancel()
        except* LeaseLostError:
            lost = True  # raised in here it would be a group again
        finally:
            for asked in self._asked:
                asked.cancel()
            await asyncio.gather(*self._asked, return_exceptions=True)
        if lost:
            raise LeaseLostError

    async def _read(self) -> None:
        """All that the microphone keeps, from its beginning: what was heard before is passed over."""
        async with aclosing(self._ears.mic.read(self._line.session, "0-0")) as items:
            async for item in items:
                await self._frames.put(item)

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        """Until nothing has come for `IDLE_S`."""
        clock = asyncio.get_running_loop().time
        came = clock()
        while True:
            patience_ms, waited = self._heard.patience_ms, clock() - came
            left = (IDLE_S if patience_ms is None else patience_ms / 1_000) - waited
            try:
                async with asyncio.timeout(max(0, left)):
                    item = await self._frames.get()
            except TimeoutError:
                waited = clock() - came
                await self._handle(self._heard.stalled(round(waited * 1_000)), group)
                if waited >= IDLE_S:
                    return
                continue
            await self._take(item, group)
            came = clock()

    async def _take(self, item: MicItem, group: asyncio.TaskGroup) -> None:
        self._language = item.language or self._language
        for at in range(0, len(item.pcm), SLICE_BYTES):
            await self._handle(
                self._heard.feed(item.at_sample + at // 2, item.pcm[at : at + SLICE_BYTES], item.ms), group
            )
            await asyncio.sleep(0)

    async def _handle(self, events: list[Event], group: asyncio.TaskGroup) -> None:
        said: list[Said] = []
        for event in events:
            match event:
                case Began():
                    self._follow(event, group)
                    await self._line.tell(VoiceBegan(utterance=self._name(event), at_sample=event.at_sample))
                case Partial():
                    self._more.put_nowait(event.pcm)
                case Hush():
                    self._ask(event)
                case Utterance():
                    decided_ms = now_ms()
                    await self._unfollow()
                    said.append(Said(event, decided_ms, self._ahead if event.hushed else None))
        for utterance in said:
            await self._said.put(utterance)  # after it is told that the caller speaks on, where he does

    def _ask(self, hush: Hush) -> None:
        """Ask for the text of what may be over: an answer that is not wanted then is left to come and passed over."""
        self._ahead = None
        if self._ears.ahead and len(self._asked) < AHEAD:
            self._ahead = asyncio.ensure_future(self._recognised(hush.pcm))
            self._asked.add(self._ahead)
            self._ahead.add_done_callback(self._asked.discard)

    def _name(self, event: Event) -> str:
        return f"{self._line.session}-{event.start_sample}"

    def _follow(self, began: Began, group: asyncio.TaskGroup) -> None:
        self._more = asyncio.Queue()
        if hearing := self._ears.recogniser.listen(self._language):
            self._follower = group.create_task(self._tell_words(began, hearing, self._more))

    async def _unfollow(self) -> None:
        """No words so far come any more: the utterance is over."""
        follower, self._follower = self._follower, None
        if follower:
            follower.cancel()
            await asyncio.wait([follower])

    async def _tell_words(self, began: Began, hearing: Hearing, more: asyncio.Queue[bytes]) -> None:
        """The words of an utterance while it is spoken. Its text is told without them too: they may fail."""
        told = ""
        try:
            while True:
                pcm = await more.get()
                while not more.empty():
                    pcm += more.get_nowait()
                text = await hearing.feed(pcm)
                self._heard.words(began.start_sample, text)
                if text not in {"", told}:
                    told = text
                    await self._line.tell(self._text(began, text, final=False))
        except Failure as failure:
            log.warning("no words while they are spoken", session=self._line.session, reason=failure.sentence)
        finally:
            hearing.close()

    async def _recognise(self) -> None:
        """The text of every utterance, in order."""
        while True:
            said = await self._said.get()
            found = await (said.found or self._recognised(said.what.pcm))
            if isinstance(found, Failure):
                await self._line.tell(failed(found))
                found = ""
            text, until = self._text(said.what, found, final=True), said.what.until_sample
            ended = {"until_sample": until, "ended_ms": said.what.ended_ms, "decided_ms": said.decided_ms}
            await self._line.tell(text.model_copy(update=ended))
            self._said.task_done()

    async def _recognised(self, pcm: bytes) -> Found:
        """What was said; where the engine failed, the failure: the call goes on."""
        try:
            async with asyncio.timeout(RECOGNISE_S):
                return await self._ears.recogniser.recognise(pcm, self._language)
        except Failure as failure:
            return failure
        except TimeoutError:
            name = self._ears.recogniser.name
            return Failure(Code.ENGINE_SILENT, f"{name} did not answer for {RECOGNISE_S:.0f} s; please say it again")
        except Exception as error:
            log.exception("a recogniser broke", session=self._line.session)
            return Failure(Code.INTERNAL, f"{type(error).__name__}: {error}")

    def _text(self, event: Event, text: str, *, final: bool) -> Transcribed:
        language = self._language or (words.language(text) if text else "")
        name, engine = self._name(event), self._ears.recogniser.name
        return Transcribed(utterance=name, text=text, final=final, language=language, engine=engine)


def started(items: list[Item], newest: MicItem | None) -> int:
    """Up to which sample the call was heard; 0 where its samples were counted anew since."""
    most = newest.until_sample if newest else 0
    finals = [item.message for item in items if isinstance(item.message, Transcribed) and item.message.final]
    return max((final.until_sample for final in finals if final.until_sample <= most), default=0)


def failed(failure: Failure) -> Failed:
    """What people see of it."""
    return Failed(code=failure.code, sentence=words.clip(failure.sentence, 2_000), retryable=failure.retryable)
