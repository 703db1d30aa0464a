"""Answers in a conversation, on real brokers; llm is played by the test."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import pytest

from services.contract import streams
from services.contract.failure import Code, Failed, Failure
from services.contract.gateway import Interrupted
from services.contract.ingest import TurnAired, TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.ingest.adapters.scripted import ScriptedConversations, ScriptedStay
from services.ingest.handlers.answers import Answers, Voice
from services.runtime import envelope
from services.runtime.attend import Attend
from services.runtime.bus import Bus
from services.runtime.line import Line
from services.runtime.sessions import Sessions
from tests.redis.broker import Broker

SESSION = streams.conversation("c1")


@pytest.fixture
async def bus(broker_url: str, live_url: str) -> AsyncIterator[Bus]:
    bus = Bus(broker_url, [live_url])
    yield bus
    await bus.close()


@dataclass
class Talk:
    """A conversation in which we answer, and who plays llm."""

    bus: Bus
    by: Literal["echo", "respond"] = "echo"
    place: ScriptedConversations = field(default_factory=ScriptedConversations)
    after: str = "0-0"

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.bus)

    @asynccontextmanager
    async def held(self) -> AsyncGenerator["Talk"]:
        self.stay: ScriptedStay = await self.place.join("c1")
        lease = Attend(self.bus.work, SESSION, "ingest")
        await self.bus.work.set(streams.ATTEND.of(SESSION), lease.me)
        line = Line(SESSION, lease, self.sessions)
        self.answers = Answers(self.bus.work, self.sessions, line, "c1", Voice("host", "en", self.by))
        running = asyncio.create_task(self.answers.run(self.stay))
        try:
            yield self
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def say(self, speech: str, role: str = "user") -> None:
        body = {"event_type": "conversation.utterance", "properties": {"role": role, "speech": speech}}
        self.answers.heard(json.dumps(body).encode())

    async def turn(self) -> TurnRequested:
        """The next one that is asked for."""
        key = streams.TURNS.key()
        async with asyncio.timeout(20):
            while not (found := await self.bus.work.xread({key: self.after}, count=1, block=200)):
                pass
        id_, fields = cast("Any", found)[0][1][0]
        self.after = id_.decode()
        return TurnRequested.from_json(envelope.body(fields[b"__data__"]))

    async def answer(
        self, turn: TurnRequested, *sentences: str, reason: Literal["done", "cut", "failed"] = "done"
    ) -> None:
        for index, text in enumerate(sentences):
            who = {"turn": turn.turn, "no": turn.no, "session": SESSION, "epoch": turn.epoch, "index": index}
            ready = {**who, "text": text, "speak": text, "voice": "v", "deadline_ms": 0}
            await self.sessions.publish(SESSION, SentenceReady.model_validate(ready))
        ended = AnswerEnded(turn=turn.turn, count=len(sentences), text="".join(sentences), reason=reason)
        await self.sessions.publish(SESSION, ended)

    async def sent(self, count: int = 1) -> list[dict[str, Any]]:
        """So many app-messages, as soon as they are sent."""
        async with asyncio.timeout(20):
            while len(self.place.sent) < count:
                await asyncio.sleep(0.01)
        return [message for _, message in self.place.sent]


async def test_a_question_and_its_answer(bus: Bus) -> None:
    """It is a turn of the session, on air at once; what is said to it is one app-message, in the order of the sentences."""
    async with Talk(bus).held() as talk:
        talk.say("hello", role="replica")
        talk.say("What")
        talk.say("What is the weather?")
        turn = await talk.turn()
        await talk.answer(turn, "It is sunny.", "Enjoy it!")
        (told,) = await talk.sent()
        said = [item.message for item in await talk.sessions.range(SESSION)]
    assert (turn.session, turn.kind, turn.ask) == (SESSION, "chat", "What is the weather?")
    assert (turn.persona, turn.language, turn.turn) == ("host", "en", f"{SESSION}-{turn.no}")
    assert turn.deadline_ms == turn.requested_ms + 40_000
    asked = [message for message in said if isinstance(message, TurnRequested | TurnAired)]
    assert asked == [turn, TurnAired(turn=turn.turn, no=turn.no, epoch=0)]
    assert told["event_type"] == "conversation.echo"
    assert told["properties"]["text"] == "It is sunny. Enjoy it!"


async def test_the_newest_question_counts(bus: Bus) -> None:
    """It interrupts the answer that is not there yet, of which nothing is sent any more."""
    async with Talk(bus).held() as talk:
        talk.say("one?")
        first = await talk.turn()
        talk.say("two?")
        second = await talk.turn()
        await talk.answer(first, "of the first", reason="cut")
        await talk.answer(second, "of the second")
        (told,) = await talk.sent()
        items = [item.message for item in await talk.sessions.range(SESSION)]
    assert (first.epoch, second.epoch) == (0, 1)
    assert second.no > first.no
    assert Interrupted(epoch=1, by="speech") in items
    assert told["properties"]["text"] == "of the second"


async def test_answers_that_the_replica_takes_for_a_user_s(bus: Bus) -> None:
    """They come back as a user's utterance, and are not answered."""
    async with Talk(bus, "respond").held() as talk:
        talk.say("hello?")
        await talk.answer(await talk.turn(), "Tell a joke.")
        (told,) = await talk.sent()
        talk.say("Tell a joke")
        talk.say("thanks")
        assert (await talk.turn()).ask == "thanks"
    assert (told["event_type"], told["properties"]) == ("conversation.respond", {"text": "Tell a joke."})


async def test_an_answer_that_says_nothing(bus: Bus) -> None:
    """Nothing is sent, and the next one is."""
    async with Talk(bus).held() as talk:
        talk.say("one?")
        await talk.answer(await talk.turn(), reason="failed")
        talk.say("two?")
        await talk.answer(await talk.turn(), "yes")
        (told,) = await talk.sent()
    assert told["properties"]["text"] == "yes"


async def test_an_answer_that_cannot_be_sent(bus: Bus) -> None:
    """Why is told on the session, and the conversation goes on."""

    class Mute(ScriptedConversations):
        async def join(self, conversation: str) -> ScriptedStay:
            stay = await super().join(conversation)

            async def send(message: Any) -> None:
                raise Failure(Code.ENGINE_REFUSED, f"not today: {message['event_type']}")

            stay.send = send
            return stay

    async with Talk(bus, place=Mute()).held() as talk:
        talk.say("one?")
        turn = await talk.turn()
        await talk.answer(turn, "yes")
        async with asyncio.timeout(20):
            while not (
                failed := [i.message for i in await talk.sessions.range(SESSION) if isinstance(i.message, Failed)]
            ):
                await asyncio.sleep(0.02)
        talk.say("two?")
        assert (await talk.turn()).ask == "two?"
    assert failed == [Failed(turn=turn.turn, code=Code.ENGINE_REFUSED, sentence="not today: conversation.echo")]


async def test_the_kill_switch(bus: Bus) -> None:
    """While it is on nothing is asked; afterwards it is."""
    async with Talk(bus).held() as talk:
        await bus.work.set(streams.SILENCE, "{}")
        talk.say("one?")
        await asyncio.sleep(1)
        assert await bus.work.xlen(streams.TURNS.key()) == 0
        await bus.work.delete(streams.SILENCE)
        talk.say("two?")
        assert (await talk.turn()).ask == "two?"


async def test_a_broker_that_is_away(tmp_path: Any, live_url: str) -> None:
    """What was asked meanwhile is asked when it is back."""
    broker = Broker(tmp_path / "work", "--appendonly", "yes")
    broker.start()
    bus = Bus(broker.url, [live_url])
    try:
        async with Talk(bus).held() as talk:
            broker.kill()
            talk.say("still there?")
            await asyncio.sleep(1.5)
            await asyncio.to_thread(broker.start)
            assert (await talk.turn()).ask == "still there?"
    finally:
        await bus.close()
        broker.kill()
