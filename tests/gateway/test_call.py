"""The live call on a real socket, over real brokers; asr, llm and tts are played."""

import asyncio
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.contract import streams
from services.contract.asr import Transcribed
from services.contract.gateway import CallJoined, CallOpened, Interrupted
from services.contract.ingest import TurnRequested
from services.gateway.adapters import mp3
from services.gateway.api.outbox import Outbox
from services.gateway.core.call_turn import SILENCE
from services.gateway.core.call_words import Ask, Chunk, Close, Config, File, Interrupt, Purge, Say
from services.gateway.core.caps import Caps
from services.gateway.handlers.call import BusExchange
from services.runtime.mic import Mic
from services.runtime.sound import read_wav
from services.runtime.work import Work
from tests.caller import REQUEST, calling, names, twice, zipped
from tests.gateway.studio import running

PCM = bytes(range(200))
MIC = b"\1\2" * 1_600


async def test_a_typed_turn_of_the_original_client(broker_url: str, live_url: str) -> None:
    """BotReady first; the turn's events in their order, one complete file a sentence, then TTSDone."""
    async with running(broker_url, live_url) as gateway, calling(gateway.port, "?sid=a1") as caller:
        ready = await caller.next()
        assert (ready.event, ready.payload) == ("BotReady", {"session": "a1"})
        await caller.send("TextInput", text="你好")
        turn = await gateway.studio.turn()
        assert (turn.session, turn.kind, turn.ask, turn.persona) == ("call-a1", "call", "你好", "friend")
        await gateway.studio.speak(turn, 0, "你好呀，", PCM, PCM)
        await gateway.studio.speak(turn, 1, "再见。", PCM)
        await gateway.studio.end(turn, 2, "你好呀，再见。")
        frames = await caller.until("TTSDone")
    assert names(frames) == ["SentenceRecognized", "TTSSentenceStart", "audio", "TTSSentenceStart", "audio", "TTSDone"]
    assert [frame.payload for frame in frames if frame.payload] == [
        {"sentence": "你好"},
        {"sentence": "你好呀，"},
        {"sentence": "再见。"},
    ]
    assert read_wav(frames[2].sound).pcm == PCM + PCM


async def test_a_spoken_turn(broker_url: str, live_url: str) -> None:
    """The microphone lies on the bus without its frames' headers, somebody is told to listen, what he hears is answered."""
    async with running(broker_url, live_url) as gateway, calling(gateway.port, "?sid=a1") as caller:
        await caller.socket.send(twice(MIC))
        await caller.socket.send(twice(MIC))
        opened = await gateway.studio.order(streams.CALLS.key(), CallOpened)
        assert (opened.session, opened.language) == ("call-a1", "zh")
        frames = await Mic(gateway.studio.bus).range("call-a1")
        while len(frames) < 2:
            frames = await Mic(gateway.studio.bus).range("call-a1")
        at = frames[0].at_sample
        told = [(frame.at_sample, frame.pcm, frame.language) for frame in frames]
        assert told == [(at, MIC, "zh"), (at + 1_600, MIC, "zh")]
        heard = Transcribed(
            utterance="call-a1-0", text="今天天气怎么样", final=True, until_sample=at + 3_200, ended_ms=frames[1].ms
        )
        await gateway.studio.tell("call-a1", heard)
        turn = await gateway.studio.turn()
        assert (turn.ask, turn.causes) == ("今天天气怎么样", ("call-a1-0",))
        await gateway.studio.end(turn, 0, "")
        frames = await caller.until("TTSDone")
    assert names(frames) == ["BotReady", "SentenceRecognized", "audio", "TTSDone"]


async def test_any_other_path_is_a_call(broker_url: str, live_url: str) -> None:
    """As with the original; but not where the door asks nobody, and never without what the door wants."""
    async with running(broker_url, live_url) as gateway:
        async with calling(gateway.port, path="/") as caller:
            assert (await caller.next()).event == "BotReady"
        async with calling(gateway.port, path="/some/where?sid=x") as caller:
            assert (await caller.next()).payload == {"session": "x"}
        for path in ("/web/x", "/healthz"):
            with pytest.raises(InvalidStatus):
                async with calling(gateway.port, path=path):
                    pass


@pytest.mark.parametrize(
    ("frame", "close"),
    [
        ("text", 1003),
        (b"\x21\x10\x10\x00\0\0\0\0", 1002),
        (b"\x11\x10\x10\x00\0\0\0\1x", 1007),
        (b"\x11\x20" + bytes(70_000), 1009),
    ],
)
async def test_a_bad_frame_ends_its_own_call(broker_url: str, live_url: str, frame: str | bytes, close: int) -> None:
    """BotError with a code, then the close code of its kind; another call goes on."""
    async with (
        running(broker_url, live_url) as gateway,
        calling(gateway.port) as other,
        calling(gateway.port) as caller,
    ):
        await caller.next()
        await caller.socket.send(frame)
        assert (await caller.next()).payload["error"]["code"]
        with pytest.raises(ConnectionClosed) as caught:
            await caller.next()
        assert caught.value.rcvd
        assert caught.value.rcvd.code == close
        await other.send("Nothing")
        assert [frame.event for frame in await other.until("BotError")] == ["BotReady", "BotError"]


async def test_a_bad_sid(broker_url: str, live_url: str) -> None:
    """BotError, then 1008; nothing of it becomes a key."""
    async with running(broker_url, live_url) as gateway, calling(gateway.port, "?sid=../x") as caller:
        assert (await caller.next()).payload["error"]["code"] == "bad_input"
        with pytest.raises(ConnectionClosed) as caught:
            await caller.next()
        assert caught.value.rcvd
        assert caught.value.rcvd.code == 1008


async def test_json_before_bot_ready(broker_url: str, live_url: str) -> None:
    """What is sent before the first frame of the server counts, also zipped and as the original's documentation has it."""
    async with running(broker_url, live_url) as gateway, calling(gateway.port, "?sid=b1") as caller:
        await caller.socket.send(twice(MIC))
        await caller.socket.send(zipped("BotUpdateConfig", speaker="ben"))
        await caller.socket.send(REQUEST + b'{"event":"BotUpdateConfig","payload":{"persona":"teacher"}}')
        await caller.send("TextInput", text="hello")
        turn = await gateway.studio.turn()
        assert (turn.persona, turn.voice) == ("teacher", "ben")
        assert names(await caller.until("SentenceRecognized"))[0] == "BotReady"


async def test_the_same_call_elsewhere(broker_url: str, live_url: str) -> None:
    """Another connection takes the call: the older one is closed with 4409 and interrupts nothing."""
    async with running(broker_url, live_url) as gateway, running(broker_url, live_url) as second:
        async with calling(gateway.port, "?sid=c1") as caller:
            await caller.send("BotUpdateConfig", onair=True, audio="stream")
            await caller.send("TextInput", text="你好")
            turn = await gateway.studio.turn()
            await gateway.studio.speak(turn, 0, "你好呀，", PCM)
            await caller.until("audio")
            async with calling(second.port, f"?sid=c1&resume={turn.turn}:0:40") as again:
                await again.send("BotUpdateConfig", onair=True, audio="stream")
                with pytest.raises(ConnectionClosed) as caught:
                    await caller.until("Nothing")
                assert caught.value.rcvd
                assert caught.value.rcvd.code == 4409
                await gateway.studio.end(turn, 1, "你好呀，")
                frames = await again.until("TTSDone")
        assert names(frames) == ["BotReady", "TTSSentenceStart", "audio", "TTSSentenceEnd", "TTSDone"]
        assert (frames[1].payload["from_sample"], frames[2].sound) == (40, PCM[80:])
        kept = await gateway.studio.sessions.range("call-c1")
        assert not any(isinstance(item.message, Interrupted) for item in kept)


async def test_one_utterance_is_asked_for_once(broker_url: str, live_url: str) -> None:
    """Two gateways that heard the same ask once; the second tells the session again what the first may not have told."""
    async with running(broker_url, live_url) as gateway:
        bus = gateway.studio.bus
        config = Config("friend")
        for no in (5, 6):
            line = BusExchange(bus).line("call-d1")
            await line.carry_out(Ask("call-d1-0", "你好", no, config, 1))
        assert await bus.work.xlen(streams.TURNS.key()) == 1
        requests = [item.message for item in await gateway.studio.sessions.range("call-d1")]
        assert [each.turn for each in requests if isinstance(each, TurnRequested)] == ["call-d1-5", "call-d1-5"]


async def test_a_turn_is_of_the_epoch_in_which_it_is_asked_for(broker_url: str, live_url: str) -> None:
    """Also where another has raised it since the line asked last, and where work has forgotten it."""
    async with running(broker_url, live_url) as gateway:
        bus, sessions = gateway.studio.bus, gateway.studio.sessions
        work, line, epochs = Work(bus.work), BusExchange(bus).line("call-d2"), list[int]()
        for no, before in enumerate(("nothing", "operator", "nothing", "client", "restart")):
            match before:
                case "operator":
                    await sessions.interrupt(work, "call-d2", "operator")
                case "client":
                    await line.carry_out(Interrupt("client"))
                case "restart":
                    await bus.work.delete(streams.EPOCH.of("call-d2"))
                case _:
                    pass
            await line.carry_out(Ask(f"call-d2-{no}", "你好", no + 1, Config("friend"), 1))
            asked = [
                item.message for item in await sessions.range("call-d2") if isinstance(item.message, TurnRequested)
            ]
            epochs.append(asked[-1].epoch)
        assert epochs == [0, 1, 1, 2, 0]
        assert await bus.work.xlen(streams.TURNS.key()) == len(epochs)


async def test_a_silenced_show(broker_url: str, live_url: str) -> None:
    """The kill switch is told, and the turn ends."""
    async with running(broker_url, live_url) as gateway, calling(gateway.port) as caller:
        await gateway.studio.bus.work.set(streams.SILENCE, "operator")
        await caller.send("TextInput", text="你好")
        frames = await caller.until("TTSDone")
        frames += [] if "BotError" in names(frames) else await caller.until("BotError")
        assert "SentenceRecognized" in names(frames)


async def test_who_leaves_is_not_answered(broker_url: str, live_url: str) -> None:
    """5 s after the client is gone its turn is interrupted; who leaves in a silence leaves nothing behind."""
    async with running(broker_url, live_url) as gateway:
        async with calling(gateway.port, "?sid=e1"):
            pass
        async with calling(gateway.port, "?sid=e2") as caller:
            await caller.send("TextInput", text="你好")
            await gateway.studio.turn()
        assert (await gateway.studio.interrupted("call-e2")).by == "disconnect"
        kept = await gateway.studio.sessions.range("call-e1")
        assert [type(item.message) for item in kept] == [CallJoined]


async def test_a_gateway_that_restarts(broker_url: str, live_url: str) -> None:
    """The client is told 1012; the turn goes on for it to come back to."""
    async with running(broker_url, live_url) as gateway:
        async with calling(gateway.port, "?sid=f1") as caller:
            await caller.send("TextInput", text="你好")
            await caller.until("SentenceRecognized")
            gateway.server.cancel()
            with pytest.raises(ConnectionClosed) as caught:
                await caller.next()
            assert caught.value.rcvd
            assert caught.value.rcvd.code == 1012
        kept = await gateway.studio.sessions.range("call-f1")
        assert not any(isinstance(item.message, Interrupted) for item in kept)


async def test_a_broker_that_is_gone(live_url: str) -> None:
    """A call that cannot be asked for is told so, with its sound, and goes on; one that cannot be joined is closed."""
    async with running("redis://127.0.0.1:1", live_url) as gateway, calling(gateway.port) as caller:
        await caller.send("TextInput", text="你好")
        frames = await caller.until("TTSDone")
    assert names(frames) == ["BotReady", "SentenceRecognized", "BotError", "audio", "TTSDone"]
    async with running(live_url, "redis://127.0.0.1:1") as gateway, calling(gateway.port) as caller:
        assert (await caller.next()).payload["error"]["code"] == "bus_down"
        with pytest.raises(ConnectionClosed) as caught:
            await caller.next()
        assert caught.value.rcvd
        assert caught.value.rcvd.code == 1013


async def test_more_calls_than_are_served(broker_url: str, live_url: str) -> None:
    """1013; a place is free again when a call has ended."""
    async with running(broker_url, live_url, Caps(calls=1)) as gateway:
        async with calling(gateway.port) as caller:
            await caller.next()
            async with calling(gateway.port) as second:
                with pytest.raises(ConnectionClosed) as caught:
                    await second.next()
                assert caught.value.rcvd
                assert caught.value.rcvd.code == 1013
        async with asyncio.timeout(20):
            while True:
                async with calling(gateway.port) as third:
                    with suppress(ConnectionClosed):
                        assert (await third.next()).event == "BotReady"
                        break


async def test_a_client_that_takes_nothing(broker_url: str, live_url: str) -> None:
    """What waits for it is bounded: its session is read no further, then it is cut off."""
    caps = Caps(call_bytes=64 * 1_024, send_ms=500)
    async with running(broker_url, live_url, caps) as gateway, calling(gateway.port, "?sid=g1") as caller:
        await caller.send("BotUpdateConfig", audio="stream")
        await caller.send("TextInput", text="你好")
        turn = await gateway.studio.turn()
        for index in range(80):
            await gateway.studio.speak(turn, index, "长。", *[bytes(48_000)] * 10)
        assert (await gateway.studio.interrupted("call-g1")).by == "disconnect"
        with pytest.raises(ConnectionClosed):
            await caller.until("TTSDone")


def test_a_purge_takes_sound_alone() -> None:
    """Events stay, also those of a turn that is cut; after a close nothing waits."""

    async def waiting() -> None:
        box = Outbox(10)
        for said in (Say("a"), Chunk(bytes(20)), Purge(), Say("b"), File(bytes(20)), Close(1000, ""), Say("c")):
            box.put(said)
        assert [await box.next() for _ in range(3)] == [Say("a"), Say("b"), Close(1000, "")]
        await box.room()

    asyncio.run(waiting())


def test_files_are_complete() -> None:
    """An MP3 begins with a frame of MPEG-2 layer 3 at 24 kHz mono, also of 100 ms of silence and of nothing."""
    for pcm in (SILENCE, bytes(2), b""):
        file = mp3.encode(pcm)
        assert file[:2] == b"\xff\xf3"
        assert (file[2] >> 2) & 3 == 1
        assert file[3] >> 6 == 3


async def test_the_microphone_counts_on(broker_url: str, live_url: str) -> None:
    """Over connections by what is kept of it or was understood of it; and never again from where it once began."""
    async with running(broker_url, live_url) as gateway:
        bus = gateway.studio.bus

        async def said(sid: str) -> int:
            """Where a new connection's first frame lies."""
            async with calling(gateway.port, f"?sid={sid}") as caller:
                await caller.until("BotReady")
                known = len(await Mic(bus).range(f"call-{sid}"))
                await caller.socket.send(twice(MIC))
                while len(frames := await Mic(bus).range(f"call-{sid}")) == known:
                    await asyncio.sleep(0.01)
                return frames[-1].at_sample

        first = await said("m1")
        assert await said("m1") == first + 1_600
        await bus.live("call-m1").delete("mic:call-m1")
        heard = Transcribed(utterance="call-m1-7", text="", final=True, until_sample=first + 9_000)
        await gateway.studio.tell("call-m1", heard)
        assert await said("m1") == first + 9_000
        await bus.live("call-m1").delete("mic:call-m1", "session:call-m1")
        assert await said("m1") > first
