"""Answering turns, on real brokers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from services.contract import streams
from services.contract.failure import Code, Failed, Failure
from services.contract.gateway import Mark
from services.contract.ingest import TurnDropped, TurnRequested
from services.contract.llm import AnswerEnded, SentenceReady
from services.contract.tts import SpeechStarted
from services.llm.adapters.scripted import ScriptedModel
from services.llm.core import prompt, turns
from services.llm.handlers.answers import answer_turn, attach
from services.llm.handlers.desk import Desk
from services.runtime import envelope
from services.runtime.bus import Bus, ensure_group
from services.runtime.config import Config, Voice
from services.runtime.delivery import Delivery, Job
from services.runtime.sessions import Sessions
from services.runtime.work import Answer, Entry, Fence, Verdict, Work

CONFIG = Config.model_validate(
    {
        "personas": {"host": {"prompt": "你是主播。", "voice": "anna"}},
        "voices": {"anna": {"engines": [{"espeak": {}}, {"scripted": {}}], "references": {"开心": {}}}},
    }
)
HOUR_MS = 3_600_000


class Deltas:
    """A model that says what it is told to; a Failure among the deltas is raised, an Event is waited for."""

    name = "deltas"

    def __init__(self) -> None:
        self.script: Sequence[str | Failure | asyncio.Event] = ["好的。"]
        self.asked: list[Sequence[prompt.Chat]] = []
        self.hurried: list[bool] = []
        self.closed = asyncio.Event()
        self.noticed: Callable[[], None] = self.closed.clear

    async def answer(
        self, messages: Sequence[prompt.Chat], *, session: str, hurry: bool = False
    ) -> AsyncGenerator[str, None]:
        assert session
        self.hurried.append(hurry)
        self.asked.append(messages)
        self.noticed()
        try:
            for step in self.script:
                if isinstance(step, Failure):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield step
        finally:
            self.closed.set()

    async def check(self) -> str:
        return ""

    async def close(self) -> None:
        return


class House:
    """A desk, and what is done to it from outside."""

    def __init__(self, bus: Bus) -> None:
        self.model = Deltas()
        self.now = 1_000
        self.desk = Desk(bus, Work(bus.work), Sessions(bus), self.model, CONFIG, clock=lambda: self.now)
        self.bus, self.work, self.sessions = bus, self.desk.work, self.desk.sessions

    async def order(self, me: str = "me", **fields: Any) -> Job[TurnRequested]:
        """Put a turn on the stream and take it as `me`."""
        usual = {"turn": "t1", "no": 1, "session": "room", "epoch": 0, "kind": "room", "ask": "你好", "persona": "host"}
        request = TurnRequested.model_validate(usual | {"requested_ms": 0, "deadline_ms": HOUR_MS} | fields)
        key, group = streams.TURNS.key(), streams.TURNS.group
        await ensure_group(self.bus.work, key, group)
        id_ = cast("bytes", await self.bus.work.xadd(key, {"__data__": envelope.encode(request)})).decode()
        await self.bus.work.xreadgroup(group, me, {key: ">"}, count=1)
        return Job(request, Entry(key, group, id_, me), Fence(request.session, request.epoch, request.turn), 1)

    async def answer(self, **fields: Any) -> None:
        await answer_turn(self.desk, await self.order(**fields))

    async def spoken(self, pool: str = "espeak", kind: str = "room") -> list[SentenceReady]:
        entries = cast("list[Any]", await self.bus.work.xrange(streams.speak(pool, kind)))
        return [SentenceReady.from_json(envelope.body(fields[b"__data__"])) for _, fields in entries]

    async def texts(self) -> list[str]:
        return [sentence.text for sentence in await self.spoken()]

    async def told(self, session: str = "room") -> list[Any]:
        return [item.message for item in await self.sessions.range(session)]

    async def ended(self, session: str = "room") -> AnswerEnded:
        (found,) = [message for message in await self.told(session) if isinstance(message, AnswerEnded)]
        return found

    async def open_work(self) -> int:
        return int(await self.bus.work.xlen(streams.TURNS.key()))


@pytest.fixture
async def house(broker_url: str, live_url: str) -> AsyncIterator[House]:
    bus = Bus(broker_url, [live_url])
    yield House(bus)
    await bus.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.005)


async def test_an_answer_is_spoken_sentence_by_sentence(house: House) -> None:
    """Each is work for tts and a fact on the session; then the end is told, and the order is finished."""
    house.model.script = ["[开心]今天", "天气真好。我们出去", "玩吧！"]
    await house.answer(trace="x")
    first, second = await house.spoken()
    assert (first.text, first.index, first.emotion, first.engine_at) == ("今天天气真好。", 0, "开心", 0)
    assert (second.text, second.index, second.before) == ("我们出去玩吧！", 1, "今天天气真好。")
    assert (first.deadline_ms, second.deadline_ms) == (house.now + 4_000, house.now + 8_000)
    assert (first.voice, first.trace, first.kind) == ("anna", "x", "room")
    ended = AnswerEnded(turn="t1", count=2, text="[开心]今天天气真好。我们出去玩吧！")
    assert await house.told() == [first, second, ended]
    assert (await house.work.answer("t1")).sentences == {0: first.text, 1: second.text}
    assert await house.open_work() == 0


async def test_the_template_is_spoken_before_the_model_answers(house: House) -> None:
    """A thank-you does not wait for anybody; what stands after the answer comes last."""
    gate = asyncio.Event()
    house.model.script = [gate, "你真好呀。"]
    running = asyncio.ensure_future(house.answer(say="谢谢小明的礼物！{gpt}爱你哦！"))

    async def thanked() -> bool:
        return await house.texts() == ["谢谢小明的礼物！"]

    await until(thanked)
    gate.set()
    await running
    assert await house.texts() == ["谢谢小明的礼物！", "你真好呀。", "爱你哦！"]


@pytest.mark.parametrize(
    ("fields", "ahead"),
    [({"kind": "chat", "messages": []}, True), ({"kind": "call"}, False), ({"messages": []}, False)],
)
async def test_the_model_is_asked_while_work_is_asked(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    ahead: bool,  # noqa: FBT001  as below
) -> None:
    """Where a person waits who brings the history, the model need not wait for what is known of the turn; it is asked once."""
    asked, release, look = list[int](), asyncio.Event(), house.desk.look

    async def noting(request: TurnRequested, voice: Voice) -> tuple[Answer, list[bytes]]:
        if ahead:
            await asyncio.wait_for(release.wait(), 5)
        asked.append(len(house.model.asked))
        return await look(request, voice)

    house.model.noticed = release.set
    monkeypatch.setattr(house.desk, "look", noting)
    await house.answer(**fields)
    assert asked == [int(ahead)]
    assert len(house.model.asked) == 1
    assert (await house.ended()).text == "好的。"


async def test_a_turn_that_was_handed_back_is_not_answered_anew(house: House) -> None:
    """What was asked ahead is left when some of the answer was said before: the model is told what, and goes on."""
    job = await house.order(kind="chat", messages=[])
    known = SentenceReady.model_validate(
        {"turn": "t1", "no": 1, "session": "room", "epoch": 0, "kind": "chat", "index": 0, "text": "第一句。"}
        | {"speak": "第一句。", "voice": "anna", "deadline_ms": HOUR_MS}
    )
    said = await house.work.say(job.entry, job.fence, 0, "第一句。", streams.speak("espeak", "chat"), known)
    assert said is Verdict.OK
    await answer_turn(house.desk, job)
    assert [sentence.text for sentence in await house.spoken(kind="chat")] == ["第一句。", "好的。"]
    assert (await house.ended()).text == "第一句。好的。"
    assert "第一句。" in str(house.model.asked[-1])
    assert house.model.closed.is_set()


@pytest.mark.parametrize(("kind", "hurry"), [("room", True), ("chat", False)])
async def test_a_room_is_in_a_hurry(house: House, kind: str, hurry: bool) -> None:  # noqa: FBT001  a parameter of the test
    """A silent model is given up sooner where many wait for it."""
    await house.answer(kind=kind)
    assert house.model.hurried == [hurry]


async def test_a_turn_without_an_ask_speaks_its_template(house: House) -> None:
    """The operator's line needs no model."""
    await house.answer(ask="", say="马上开始。")
    assert await house.texts() == ["马上开始。"]
    assert house.model.asked == []


@pytest.mark.parametrize(
    ("script", "reason", "middle"),
    [([], "failed", []), (["我觉得很好。然后"], "cut", ["我觉得很好。", "然后"])],
)
async def test_a_failing_model_is_told_and_the_template_spoken(
    house: House, script: list[str], reason: str, middle: list[str]
) -> None:
    """What came before the failure is spoken, and the rest of the template."""
    house.model.script = [*script, Failure(Code.ENGINE_SILENT, "the model is silent")]
    await house.answer(say="谢谢小明的礼物！{gpt}爱你哦！")
    assert await house.texts() == ["谢谢小明的礼物！", *middle, "爱你哦！"]
    (failed,) = [message for message in await house.told() if isinstance(message, Failed)]
    assert (failed.turn, failed.code) == ("t1", Code.ENGINE_SILENT)
    assert (await house.ended()).reason == reason
    assert await house.open_work() == 0


async def test_an_answer_without_quotes_is_complained_about(house: House) -> None:
    """In quoted mode nothing is spoken then, and people are told why."""
    house.model.script = ["你好呀。今天天气不错！"]
    await house.answer(spoken="quoted", kind="chat", messages=[("user", "你好")])
    failed, ended = await house.told()
    assert "nothing_spoken" in failed.sentence
    assert (ended.count, ended.text, ended.reason) == (0, "你好呀。今天天气不错！", "done")
    assert await house.bus.work.exists(streams.HISTORY.of("room")) == 0


async def test_the_raw_answer_is_kept_whole(house: House) -> None:
    """Quotes, tags and parentheses stay, `...` becomes `…`, broken characters are mended."""
    house.model.script = ['她"走', "..", '."(笑)\ud83d', "\ude00"]
    await house.answer(spoken="quoted", kind="chat")
    assert (await house.ended()).text == '她"走…"(笑)😀'
    assert [sentence.text for sentence in await house.spoken(kind="chat")] == ["走…"]


async def test_an_endless_answer_is_stopped(house: House) -> None:
    """Nobody listens for that long; the request ends."""
    house.model.script = ["啊" * 99 + "。"] * 200
    await house.answer()
    ended = await house.ended()
    assert (ended.reason, len(ended.text)) == ("cut", turns.ANSWER_LIMIT + 100)
    assert house.model.closed.is_set()


async def test_a_turn_that_is_late_is_not_begun(house: House) -> None:
    """Nothing is asked or spoken; the end says why."""
    await house.answer(deadline_ms=999)
    assert house.model.asked == []
    assert ((await house.ended()).reason, (await house.ended()).count) == ("expired", 0)
    assert await house.open_work() == 0


async def test_a_model_that_takes_too_long_makes_the_turn_late(house: House) -> None:
    """What comes after the deadline is not begun."""
    gate = asyncio.Event()
    house.model.script = [gate, "太晚了。你好"]
    running = asyncio.ensure_future(house.answer(deadline_ms=2_000))

    async def asked() -> bool:
        return bool(house.model.asked)

    await until(asked)
    house.now = 2_001
    gate.set()
    await running
    assert (await house.ended()).reason == "expired"
    assert await house.texts() == []


async def test_an_interrupt_ends_the_request_while_the_model_thinks(house: House) -> None:
    """The model is stopped, nothing more is said, the order is finished and what was asked is remembered."""
    house.model.script = ["第一句话在这里。第", asyncio.Event()]
    running = asyncio.ensure_future(house.answer(session="call", kind="call"))

    async def begun() -> bool:
        return bool(await house.spoken(kind="call"))

    await until(begun)
    await house.sessions.interrupt(house.work, "call", "client")
    await running
    assert house.model.closed.is_set()
    assert [message.type for message in await house.told("call")] == ["SentenceReady", "Interrupted"]
    assert await house.open_work() == 0
    assert await house.bus.work.llen(streams.HISTORY.of("call")) == 1


async def test_an_interrupt_between_two_sentences_stops_the_second(house: House) -> None:
    """The commit itself refuses: no look-out is needed for that."""
    gate = asyncio.Event()
    house.model.script = [gate, "一句话在这里。二句话在这里。"]
    running = asyncio.ensure_future(house.answer(say="开头在这里。{gpt}"))

    async def begun() -> bool:
        return bool(await house.texts())

    await until(begun)
    await house.work.raise_epoch("room")
    gate.set()
    await running
    assert await house.texts() == ["开头在这里。"]
    assert await house.open_work() == 0


async def test_a_turn_that_another_worker_took_is_left_alone(house: House) -> None:
    """A worker that was paused and wakes up says nothing."""
    job = await house.order()
    await house.bus.work.xclaim(job.entry.stream, job.entry.group, "other", 0, [job.entry.id])
    await answer_turn(house.desk, job)
    assert await house.told() == []
    assert await house.open_work() == 1


async def test_two_workers_at_one_turn_are_told_apart(house: House) -> None:
    """Where the answer is further than this worker knows, it begins again with fresh knowledge."""
    job, gate = await house.order(), asyncio.Event()
    house.model.script = [gate, "好的好的。嗯"]
    running = asyncio.ensure_future(answer_turn(house.desk, job))

    async def asked() -> bool:
        return bool(house.model.asked)

    await until(asked)
    sentence = SentenceReady(
        turn="t1", no=1, session="room", epoch=0, index=0, text="x", speak="x", voice="anna", deadline_ms=1
    )
    assert await house.work.say(job.entry, job.fence, 0, "x", "elsewhere", sentence) is Verdict.OK
    gate.set()
    with pytest.raises(Failure) as raised:
        await running
    assert raised.value.retryable


async def test_a_redelivered_turn_goes_on_where_it_stopped(house: House) -> None:
    """Nothing that was committed is said again, whether the model goes on or begins from the start."""
    house.model.script = ["第一句话在这里。第二句", asyncio.Event()]
    job = await house.order(say="开头在这里。{gpt}")
    running = asyncio.ensure_future(answer_turn(house.desk, job))

    async def begun() -> bool:
        return len(await house.texts()) == 2

    await until(begun)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    house.model.script = ["第一句话在这里。第二句话在这里。"]
    await answer_turn(house.desk, job)
    assert [(sentence.index, sentence.text) for sentence in await house.spoken()] == [
        (0, "开头在这里。"),
        (1, "第一句话在这里。"),
        (2, "第二句话在这里。"),
    ]
    assert house.model.asked[1][-2] == ("assistant", "第一句话在这里。")
    assert (await house.ended()).count == 3


async def test_a_worker_lost_after_the_count_is_followed_by_the_end(house: House) -> None:
    """Who takes over tells the end and finishes, and asks nobody."""
    job = await house.order()
    await house.work.count(job.entry, job.fence, "cut")
    await answer_turn(house.desk, job)
    assert ((await house.ended()).reason, house.model.asked) == ("cut", [])
    assert await house.open_work() == 0


async def test_a_count_that_was_fixed_meanwhile_stands(house: House) -> None:
    """A turn that was given up while its worker slept is not spoken any further."""
    job = await house.order()
    house.model.script = [gate := asyncio.Event(), "好的好的。嗯"]
    running = asyncio.ensure_future(answer_turn(house.desk, job))

    async def asked() -> bool:
        return bool(house.model.asked)

    await until(asked)
    await house.work.count(job.entry, job.fence, "failed")
    gate.set()
    await running
    assert ((await house.ended()).count, (await house.ended()).reason) == (0, "failed")


async def test_the_first_engine_with_a_living_worker_speaks(house: House) -> None:
    """Its pool gets the sentence; what is known of the pools is kept for a second."""
    await house.bus.work.set(streams.POOL.of("scripted"), "1")
    await house.answer()
    (sentence,) = await house.spoken("scripted")
    assert sentence.engine_at == 1
    await house.bus.work.set(streams.POOL.of("espeak"), "1")
    assert await house.desk.engine(CONFIG.voices["anna"]) == 1


async def test_calls_remember_what_was_asked_and_answered(house: House) -> None:
    """The next prompt has it; it is forgotten after a day."""
    call = {"session": "call", "kind": "call"}
    await house.answer(**call, turn="a", ask="我叫小明")
    await house.answer(**call, turn="b", ask="我叫什么")
    assert house.model.asked[1] == [
        ("system", house.model.asked[0][0][1]),
        ("user", "我叫小明"),
        ("assistant", "好的。"),
        ("user", "我叫什么"),
    ]
    assert 0 < await house.bus.work.ttl(streams.HISTORY.of("call")) <= streams.TURN_KEPT_S
    await house.answer(turn="c")
    assert await house.bus.work.ttl(streams.HISTORY.of("room")) == -1


async def test_only_what_was_heard_is_remembered(house: House) -> None:
    """After an interrupt the player's last mark says how much; it is worked out once and written down."""
    call = {"session": "call", "kind": "call"}
    house.model.script = ["第一句话在这里。第二句话在这里。"]
    await house.answer(**call, turn="a", ask="讲吧")
    for index in (0, 1):
        await house.work.skip("a", index, "x")
        await house.bus.work.hset(streams.SPOKEN.of("a"), str(index), "spoken:24000")
    await house.sessions.publish("call", Mark(turn="a", index=1, played_ms=500))
    await house.sessions.interrupt(house.work, "call", "speech")
    await house.answer(**call, turn="b", ask="停", epoch=1)
    assert house.model.asked[1][2] == ("assistant", "第一句话在这里。第二句话…")
    await house.bus.lives[0].delete(streams.SESSION.of("call"))
    await house.answer(**call, turn="c", ask="再来", epoch=1)
    assert house.model.asked[2][2] == ("assistant", "第一句话在这里。第二句话…")


async def test_a_dropped_turn_of_a_room_was_heard_by_the_clock(house: House) -> None:
    """Rooms count the time on air; one that never was on air was not heard."""
    await house.answer(turn="a", ask="讲吧")
    await house.sessions.publish("room", SpeechStarted(turn="a", no=1, epoch=0, index=0, attempt=1, text="x"))
    await house.sessions.publish("room", TurnDropped(turn="a", reason="preempted"))
    await house.bus.work.hset(streams.ANSWER.of("a"), "dropped", "preempted")
    await house.answer(turn="b", ask="你好呀")
    assert house.model.asked[1][1:] == [("user", "讲吧\n你好呀")]


async def test_clients_that_own_their_history_are_not_remembered(house: House) -> None:
    """Their messages are the prompt; a leading system message is theirs."""
    own = [("system", "你是猫。"), ("user", "喵")]
    await house.answer(kind="chat", messages=own, ask="喵")
    assert house.model.asked == [own]
    assert await house.bus.work.exists(streams.HISTORY.of("room")) == 0


async def test_a_redelivered_turn_does_not_remember_itself(house: House) -> None:
    """Its own line in the history is not part of its prompt."""
    job = await house.order()
    await answer_turn(house.desk, job)
    await house.bus.work.delete(streams.ANSWER.of("t1"))
    await house.answer()
    assert house.model.asked[1] == house.model.asked[0]


async def test_turns_are_answered_through_delivery(house: House) -> None:
    """From the stream to the sentence, with the persona that needs nothing."""
    desk = Desk(house.bus, house.work, house.sessions, ScriptedModel(0), CONFIG)
    delivery = Delivery(house.bus, house.work, "llm")
    attach(delivery, desk, 2)
    await delivery.start()
    try:
        request = TurnRequested(
            turn="t",
            no=1,
            session="room",
            epoch=0,
            kind="room",
            ask="你好",
            persona="host",
            requested_ms=0,
            deadline_ms=1 << 50,
        )
        wrong = request.model_copy(update={"turn": "w", "voice": "nobody"})
        for order in (request, wrong):
            await house.bus.work.xadd(streams.TURNS.key(), {"__data__": envelope.encode(order)})

        async def both_ended() -> bool:
            return sum(isinstance(message, AnswerEnded) for message in await house.told()) == 2

        await until(both_ended)
    finally:
        await delivery.drain()
    assert (await house.spoken())[0].turn == "t"
    (failed,) = [message for message in await house.told() if isinstance(message, Failed)]
    assert (failed.turn, failed.code) == ("w", Code.BAD_INPUT)
    assert "anna" in failed.sentence
    answer = await house.work.answer("w")
    assert (answer.count, answer.reason) == (0, "failed")
    assert await house.bus.work.xlen(streams.DEAD) == 1
