"""`onair try`: one service alone, with brokers of its own, asked over the bus as the others would ask it."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from onair import brokers, services
from onair.demo import shipped, write_config
from onair.drive import DONE, say, tell
from onair.environment import machine
from onair.processes import Family
from onair.show import tame
from onair.up import load
from services.contract import streams
from services.contract.asr import Transcribed
from services.contract.failure import Code, Failed, Failure
from services.contract.gateway import ClipHeard
from services.contract.ingest import Decided, LiveEvent, SourceEnded, TurnAired, TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.message import Message
from services.contract.tts import AIR_RATE, SentenceSkipped
from services.runtime import envelope, voices
from services.runtime.bus import Bus
from services.runtime.clock import now_ms
from services.runtime.config import Config, Voice
from services.runtime.sessions import Item, Sessions
from services.runtime.settings import common
from services.runtime.timeline import Closed, SentenceOver, Sound, Timeline

LIMIT_S = 60.0
ROOM = "try"
EXAMPLES = Path("examples")


@dataclass(frozen=True)
class Bench:
    """One service at work, and a session to talk to it in."""

    bus: Bus
    sessions: Sessions
    config: Config
    health_port: int
    session: str = ROOM

    async def work(self, stream: str, message: Message) -> None:
        """Put an order on a work stream, as a service would."""
        await self.bus.work.xadd(stream, {"__data__": envelope.encode(message)})

    async def heard(self, limit_s: float = LIMIT_S) -> AsyncIterator[Item]:
        """The session from its beginning; raises the Failure that the service tells of, EXPIRED where it says nothing."""
        async with aclosing(self.sessions.read(self.session, "0-0")) as items:
            while True:
                try:
                    async with asyncio.timeout(limit_s):
                        item = await anext(items)
                except TimeoutError as error:
                    raise Failure(Code.EXPIRED, f"the service has said nothing for {limit_s:g} s") from error
                if isinstance(item.message, Failed):
                    raise Failure(item.message.code, item.message.sentence)
                yield item


@asynccontextmanager
async def alone(service: str, config: Path | None, recording: Path | None = None) -> AsyncGenerator[Bench, None]:
    """That service with two brokers in a folder that is gone afterwards; a room `try` plays the recording, if any."""
    given = machine()
    path = shipped(config or common("onair", given).config_path)
    load(path)
    services.check_extras([service])
    with tempfile.TemporaryDirectory(prefix="onair-try-") as folder:
        data = Path(folder)
        if recording:
            write_config(path, data / "try.yaml", ROOM, recording, 1.0)
            path = data / "try.yaml"
        plan = services.Plan(config=path, data=data, machine={**given, f"{service.upper()}_HEALTH_PORT": "0"})
        async with Family(data, tell) as family:
            urls = await brokers.start(family)
            bus = Bus(urls.work, urls.lives)
            try:
                notes = await services.start(family, plan, urls, [service])
                yield Bench(bus, Sessions(bus), load(path), int(notes[f"{service}-1"]["health_port"]))
            finally:
                await bus.close()


async def bytes_of(path: Path) -> bytes:
    """The file's bytes; raises Failure(NOT_FOUND)."""
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise Failure(Code.NOT_FOUND, f"cannot read {path} ({error.strerror}); name another file") from error


async def asr(file: Path | None, config: Path | None, language: str = "") -> int:
    """Print what is said in a WAV file."""
    clip = await bytes_of(shipped(file or EXAMPLES / "weather-en.wav"))
    async with alone("asr", config) as bench:
        await bench.bus.live(ROOM).set(streams.CLIP.of(ROOM), clip, ex=streams.CLIP_KEPT_S)
        deadline = now_ms() + int(LIMIT_S * 1_000)
        order = ClipHeard(session=ROOM, utterance=_id(), language=language, deadline_ms=deadline, trace=_id())
        await bench.work(streams.LISTEN.key(), order)
        async for item in bench.heard():
            if isinstance(item.message, Transcribed) and item.message.final:
                tell(f"heard by {item.message.engine or 'asr'}, language {item.message.language or 'unknown'}")
                say(tame(item.message.text) or "(nothing was said)")
                break
    return DONE


async def llm(text: str, config: Path | None, persona: str = "") -> int:
    """Print the sentences of an answer as they come."""
    async with alone("llm", config) as bench:
        who = persona or bench.config.gateway.persona
        if who not in bench.config.personas:
            known = ", ".join(sorted(bench.config.personas)) or "none"
            raise Failure(Code.BAD_INPUT, f"there is no persona {who!r}; known: {known}")
        cast_ = bench.config.personas[who]
        request = TurnRequested(
            turn=f"{ROOM}-{_id()}",
            no=1,
            session=ROOM,
            epoch=0,
            kind="chat",
            ask=text,
            persona=who,
            voice=cast_.voice,
            language=cast_.language,
            spoken=cast_.spoken,
            requested_ms=now_ms(),
            deadline_ms=now_ms() + int(LIMIT_S * 1_000),
            trace=_id(),
        )
        await bench.work(streams.TURNS.key(), request)
        async for item in bench.heard():
            if isinstance(item.message, SentenceReady):
                say(tame(item.message.text))
            elif isinstance(item.message, AnswerEnded):
                tell(f"{item.message.count} sentences, ended: {item.message.reason}")
                break
    return DONE


def voice_of(config: Config, name: str) -> tuple[str, Voice]:
    """The voice of that name, or the first; raises Failure(BAD_INPUT) with those that there are."""
    name = name or next(iter(config.voices), "")
    if name not in config.voices:
        known = ", ".join(sorted(config.voices)) or "none"
        raise Failure(Code.BAD_INPUT, f"there is no voice {name!r}; known: {known}")
    return name, config.voices[name]


async def tts(text: str, config: Path | None, out: Path, voice: str = "") -> int:
    """Speak a text into a WAV file."""
    # Late, because numpy comes with the services' extras, not with the command line's.
    from services.runtime.sound import millis, write_wav  # noqa: PLC0415  see above

    text = text or (await bytes_of(shipped(EXAMPLES / "say-en.txt"))).decode()
    async with alone("tts", config) as bench:
        name, chosen = voice_of(bench.config, voice)
        pools = machine().get("TTS_ENGINES", "espeak").split(",")
        at = voices.first(chosen.engines, [pool.strip() for pool in pools])
        pcm = await spoken(bench, name, voices.pool(chosen.engines, at), at, text)
    await asyncio.to_thread(out.write_bytes, write_wav(pcm, AIR_RATE))
    say(f"{out}: {millis(pcm) / 1_000:.2f} s")
    return DONE


async def spoken(bench: Bench, voice: str, pool: str, at: int, text: str) -> bytes:
    """The sound of the text as one sentence of an aired turn: s16le mono at AIR_RATE."""
    turn, line = f"{ROOM}-{_id()}", " ".join(text.split())
    sentence = SentenceReady(
        turn=turn,
        no=1,
        session=ROOM,
        epoch=0,
        kind="chat",
        index=0,
        text=line,
        speak=line,
        voice=voice,
        engine_at=at,
        deadline_ms=now_ms() + int(LIMIT_S * 1_000),
        trace=_id(),
    )
    await bench.sessions.publish(ROOM, TurnAired(turn=turn, no=1, epoch=0))
    await bench.work(streams.speak(pool, "chat"), sentence)
    await bench.sessions.publish(ROOM, AnswerEnded(turn=turn, count=1, text=line))
    timeline, sound = Timeline(), bytearray()
    async for item in bench.heard():
        for out in timeline.feed(item.message, item.blob):
            match out:
                case Sound(pcm=pcm):
                    sound += pcm
                case SentenceOver(reason=reason) if reason:
                    raise Failure(Code.ENGINE_BROKEN, f"the sentence was not spoken: {reason}")
                case Closed():
                    return bytes(sound)
                case _:
                    pass
        if isinstance(item.message, SentenceSkipped):
            raise Failure(Code.ENGINE_BROKEN, f"the sentence was not spoken: {item.message.reason}")
    raise Failure(Code.ENGINE_SILENT, "the session ended before the sentence")


async def ingest(file: Path | None, config: Path | None, seconds: float) -> int:
    """Print a recording's events and what the director makes of them, for a few seconds."""
    recording = shipped(file or Path("recordings/demo.jsonl.gz"))
    counts = {"events": 0, "decisions": 0}
    async with alone("ingest", config, recording) as bench:
        try:
            async with asyncio.timeout(seconds):
                async for item in bench.heard():
                    match item.message:
                        case LiveEvent() as event:
                            counts["events"] += 1
                            say(event_line(event))
                        case Decided() as decided:
                            counts["decisions"] += 1
                            say(f"    → {decided.choice}: {decided.reason} {decided.event.id if decided.event else ''}")
                        case SourceEnded() as ended:
                            tell(f"{ended.events} frames, {ended.rejected} of them could not be read")
                            break
                        case _:
                            pass
        except TimeoutError:
            tell(f"stopped after {seconds:g} s")
    tell(f"{counts['events']} events, {counts['decisions']} decisions")
    return DONE


def event_line(event: LiveEvent) -> str:
    """An event in one line."""
    money = f" ¥{event.amount_fen / 100:.2f}" if event.amount_fen else ""
    return tame(f"{event.kind.value:<10}{event.lane.value:<8} {event.viewer.name}{money} {event.text}".rstrip())


def _id() -> str:
    return secrets.token_hex(8)
