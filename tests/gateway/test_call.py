"""The live call on a real socket, over real brokers; asr, llm and tts are played."""

from services.contract import streams
from services.contract.asr import Transcribed
from services.contract.gateway import CallOpened
from services.runtime.mic import Mic
from services.runtime.sound import read_wav
from tests.caller import calling, names, twice
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
        assert [(frame.at_sample, frame.pcm) for frame in frames] == [(0, MIC), (1_600, MIC)]
        heard = Transcribed(
            utterance="call-a1-0", text="今天天气怎么样", final=True, until_sample=3_200, ended_ms=frames[1].ms
        )
        await gateway.studio.tell("call-a1", heard)
        turn = await gateway.studio.turn()
        assert (turn.ask, turn.causes) == ("今天天气怎么样", ("call-a1-0",))
        await gateway.studio.end(turn, 0, "")
        frames = await caller.until("TTSDone")
    assert names(frames) == ["BotReady", "SentenceRecognized", "audio", "TTSDone"]
