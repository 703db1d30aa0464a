"""A lesson's work, whoever asks for it: a recording is recognised, a turn answered and collected, both written down."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import structlog

from services.contract.failure import Code, Failure
from services.contract.ingest import TurnRequested
from services.contract.message import Message
from services.gateway.api import asr
from services.gateway.api.http import take, within
from services.gateway.core import english, english_turn
from services.gateway.core.caps import Caps, Slots
from services.gateway.core.english import SILENCE, Row
from services.gateway.core.english_turn import LANGUAGE, Answer, Told
from services.gateway.core.ports import Desk, Rows, Tapes
from services.runtime.clock import now_ms
from services.runtime.sound import write_wav
from services.runtime.words import clip

log = structlog.get_logger(__name__)


class Teacher:
    """The English partner of one gateway. What fails raises Failure."""

    def __init__(self, desk: Desk, rows: Rows, tapes: Tapes, caps: Caps) -> None:
        self.rows = rows
        self.tapes = tapes
        self.caps = caps
        self._desk = desk
        self._answers = Slots(caps.streams)

    async def recording(self, body: object) -> bytes:
        """A complete WAV; raises Failure BAD_INPUT, BAD_AUDIO or TOO_LARGE."""
        return await asyncio.to_thread(english.utterance, body, self.caps.utterance_bytes)

    async def heard(self, wav: bytes) -> str:
        """Its text; '' for silence."""
        said = await asr.transcribed(self._desk, self.caps, wav, LANGUAGE)
        if said.speaker == asr.REJECTED:
            raise Failure(Code.BAD_AUDIO, "this is not the voice that was enrolled")
        return clip(english.clean(said.text).strip(), self.caps.ask)

    async def may(self, user: int, session: int) -> None:
        """Raises Failure UNAUTHORIZED for a session that is another user's."""
        if session and (owner := await self.rows.owner(session)) not in {None, user}:
            log.info("a session is another user's", session=session, owner=owner, user=user)
            raise Failure(Code.UNAUTHORIZED, english.not_his(session))

    async def note(self, user: int, session: int, text: str, wav: bytes = b"") -> Row:
        """Write down what the user said; the recording lies under the row's `audio`."""
        audio = await self.tapes.keep(wav) if wav else ""
        return await self.rows.add(Row(session, user, text, now_ms(), audio, text))

    async def lesson(self, user: int, session: int, wav: bytes, tell: Callable[[Row], Awaitable[None]]) -> None:
        """One utterance of a session that is his: both rows are told as soon as they are there."""
        problem, text = "", ""
        try:
            text = await self.heard(wav)
        except Failure as failure:
            problem = failure.sentence
        await tell(await self.note(user, session, text, wav))
        await tell(await (self.failed(session, problem) if problem else self.reply(user, session, text)))

    async def reply(self, user: int, session: int, ask: str) -> Row:
        """The teacher's row, whatever became of the turn; '' is answered by asking to say it again."""
        return await self.written(session, await self.answer(user, session, ask))

    async def written(self, session: int, told: Told) -> Row:
        """The row of what was told, written down with its recording."""
        audio = await self.tapes.keep(await asyncio.to_thread(write_wav, told.pcm)) if told.pcm else SILENCE
        return await self.rows.add(told.row(session, now_ms(), audio))

    async def failed(self, session: int, sentence: str) -> Row:
        """The row of a turn that failed, written down."""
        return await self.rows.add(Row(session, 0, english_turn.failed(sentence), now_ms(), SILENCE))

    async def answer(self, user: int, session: int, ask: str) -> Told:
        """What becomes of the turn; it is ended, down to the engines, when nobody waits for it any more."""
        take(self._answers, "answers")
        try:
            rows = await self.rows.rows(user, session, english.ROWS)
            turn = english_turn.request(secrets.token_hex(8), rows, ask, now_ms(), self.caps.patience_ms)
            told = await self._collected(turn)
        finally:
            self._answers.give()
        log.info("answered", turn=turn.turn, took_ms=now_ms() - turn.requested_ms, problem=told.problem)
        return told

    async def _collected(self, turn: TurnRequested) -> Told:
        answer = Answer(turn)
        try:
            await self._desk.ask(turn)
            async with aclosing(self._desk.follow(turn.session)) as entries:
                while not answer.over and (entry := await self._next(turn, entries)):
                    answer.feed(*entry)
        except Failure as failure:
            await self._interrupt(turn, "failure")
            return Told("", b"", failure.sentence)
        except BaseException:
            await self._interrupt(turn, "disconnect")
            raise
        if not answer.over:
            await self._interrupt(turn, "deadline")
        return answer.end("deadline")

    async def _next(
        self, turn: TurnRequested, entries: AsyncGenerator[tuple[Message, bytes]]
    ) -> tuple[Message, bytes] | None:
        """The session's next entry; None if nothing new came for too long, or the turn's time is up."""
        left_ms = turn.requested_ms + self.caps.turn_ms - now_ms()
        try:
            return await within(min(left_ms, self.caps.patience_ms), _entry(entries))
        except TimeoutError:
            return None

    async def _interrupt(self, turn: TurnRequested, by: str) -> None:
        """End the turn; where the broker is gone, the turn's deadline does."""
        try:
            await self._desk.interrupt(turn.session, by)
        except Failure as failure:
            log.debug("could not end a turn", turn=turn.turn, by=by, reason=failure.sentence)


async def _entry(entries: AsyncGenerator[tuple[Message, bytes]]) -> tuple[Message, bytes]:
    return await anext(entries)
