"""Whatever the order of events is: what every client of a call may rely on."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.contract.failure import Code, Failed
from services.contract.gateway import CallJoined
from services.contract.ingest import TurnRequested
from services.gateway.core.call_turn import SILENCE
from services.gateway.core.call_words import Ask, Chunk, Close, Effect, File, Hear, Say
from tests.gateway.core.calls import LOUD, QUIET, SESSION, Scene, back, inside, scene

TEXTS = st.sampled_from(["你好", "嗯", "", "ok", "等一下"])
CONFIGS = st.fixed_dictionaries(
    {}, optional={"interrupt": st.booleans(), "audio": st.sampled_from(["file", "stream"]), "onair": st.booleans()}
)


class Reader:
    """A client: reads the frames one after the other and knows what may not be."""

    def __init__(self) -> None:
        self.ready = self.closed = self.progress = self.own = False
        self.sounds = self.count = self.ends = self.asides = 0
        self.stopped: set[str] = set()
        self.turn = ""

    def read(self, effect: Effect) -> None:
        assert not self.closed or not isinstance(effect, Say | File | Chunk), "nothing follows a close"
        match effect:
            case Close():
                self.closed = True
            case File() | Chunk():
                assert self.ready
                assert len(effect.pcm) > 0
                assert effect.pcm == SILENCE or self.turn not in self.stopped, "sound of a turn after its PlaybackStop"
                self.sounds += 1
            case Say(event=event, payload=payload):
                assert self.ready is (event != "BotReady"), "BotReady is the first frame, once"
                reads = {
                    "BotReady": self.read_ready,
                    "SentenceRecognized": self.read_recognised,
                    "TTSSentenceStart": self.read_sentence,
                    "PlaybackStop": self.read_stop,
                    "TTSDone": self.read_over,
                }
                reads.get(event, lambda _: None)(payload)
            case _:
                pass

    def read_ready(self, _: Any) -> None:
        self.ready = True

    def read_recognised(self, payload: Any) -> None:
        assert not self.progress, "a turn begins when the one before has ended"
        self.progress, self.sounds, self.own = True, 0, "turn" in payload
        self.turn = payload.get("turn", "-")
        self.count += 1

    def read_sentence(self, payload: Any) -> None:
        assert self.progress
        assert ("index" in payload) is self.own

    def read_stop(self, payload: Any) -> None:
        self.stopped.add(payload["turn"])

    def read_over(self, payload: Any) -> None:
        if not self.progress:
            self.asides += 1
            return
        assert self.own or self.sounds, "each turn of the original client has a sound"
        assert self.own == bool(payload)
        self.progress = False
        self.ends += 1


class Calls(RuleBasedStateMachine):
    """One call, its client, its bus; what is asked for is answered sooner or later, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene()
        self.reader = Reader()
        self.read = self.at = self.aside = 0
        self.index: dict[str, int] = {}

    @initialize(config=CONFIGS)
    def begin(self, config: dict[str, Any]) -> None:
        self.scene.join()
        self.config(config)

    def drain(self) -> None:
        for effect in self.scene.done[self.read :]:
            self.reader.read(effect)
        self.read = len(self.scene.done)

    @rule(config=CONFIGS)
    def config(self, config: dict[str, Any]) -> None:
        self.scene.event("BotUpdateConfig", **config)
        self.drain()

    @rule(frames=st.lists(st.sampled_from([LOUD, QUIET]), min_size=1, max_size=8))
    def speak(self, frames: list[bytes]) -> None:
        self.scene.mic(*frames)
        self.drain()

    @rule()
    def voice(self) -> None:
        self.scene.began(self.at)
        self.drain()

    @rule(text=TEXTS)
    def words(self, text: str) -> None:
        self.scene.heard(self.at, text, final=False)
        self.drain()

    @rule(text=TEXTS, again=st.booleans())
    def said(self, text: str, *, again: bool) -> None:
        begun, self.at = self.at, self.at + 1_600
        for _ in range(1 + again):
            self.scene.heard(begun, text, self.at)
        self.drain()

    @rule()
    def typed(self) -> None:
        self.scene.event("TextInput", text="打字")
        self.drain()

    @rule()
    def button(self) -> None:
        self.scene.event("StopSpeaking")
        self.drain()

    @rule(ms=st.integers(0, 2_000), index=st.integers(0, 3))
    def mark(self, ms: int, index: int) -> None:
        self.scene.event("PlaybackMark", sentence=index, played_ms=ms)
        self.drain()

    @rule()
    def operator(self) -> None:
        self.scene.interrupt()
        self.drain()

    @rule()
    def not_understood(self) -> None:
        self.aside += 1
        self.scene.publish(Failed(code=Code.ENGINE_BROKEN, sentence="x"))
        self.drain()

    @property
    def turn(self) -> TurnRequested | None:
        turns = [each.message for each in self.scene.session if isinstance(each.message, TurnRequested)]
        return turns[-1] if turns else None

    @precondition(lambda self: self.turn is not None)
    @rule(ms=st.sampled_from([0, 100, 3_000]), over=st.booleans())
    def sentence(self, ms: int, *, over: bool) -> None:
        assert self.turn
        index = self.index.get(self.turn.turn, 0)
        self.index[self.turn.turn] = index + 1
        self.scene.sentence(index, "句子。", ms, over=over)
        self.drain()

    @precondition(lambda self: self.turn is not None)
    @rule(reason=st.sampled_from(["done", "failed", "expired", "cut"]))
    def answered(self, reason: str) -> None:
        assert self.turn
        self.scene.answered(self.index.get(self.turn.turn, 0), reason)
        self.drain()

    @precondition(lambda self: self.turn is not None)
    @rule()
    def failed(self) -> None:
        assert self.turn
        self.scene.publish(Failed(turn=self.turn.turn, code=Code.ENGINE_SILENT, sentence="x"))
        self.drain()

    @rule(ms=st.sampled_from([10, 300, 6_000, 45_000]))
    def time(self, ms: int) -> None:
        self.scene.wait(ms)
        self.drain()

    @rule()
    def refresh(self) -> None:
        """The page is loaded anew; its client hears of no turn but its own."""
        self.scene = back(self.scene)
        self.reader, self.read = Reader(), 0
        self.drain()
        assert self.reader.count == 0

    @invariant()
    def one_end_for_each_beginning(self) -> None:
        reader = self.reader
        assert reader.ends == reader.count - reader.progress
        assert reader.progress == inside(self.scene)._mouth.busy or not reader.ready

    @invariant()
    def asked_once(self) -> None:
        keys = [ask.key for ask in self.scene.asked]
        assert len(keys) == len(set(keys))

    def teardown(self) -> None:
        """Whatever happened, time ends it."""
        if self.reader.ready and not self.reader.closed:
            self.scene.wait(100_000)
            self.drain()
            assert not self.reader.progress
            assert inside(self.scene).due_ms() is None


Calls.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCalls = Calls.TestCase


def test_the_reader_finds_what_may_not_be() -> None:
    """A second TTSDone, a sound after the stop, a turn in a turn, a frame after the close: each is noticed."""
    bad: list[list[Effect]] = [
        [Say("TTSDone")],
        [Say("BotReady"), Say("SentenceRecognized"), Say("SentenceRecognized")],
        [Say("BotReady"), Say("SentenceRecognized"), Say("TTSDone")],
        [Say("BotReady"), Say("SentenceRecognized", {"turn": "t"}), Say("PlaybackStop", {"turn": "t"}), Chunk(b"xx")],
        [Say("BotReady"), Close(1000, ""), Say("TTSDone")],
    ]
    for effects in bad:
        reader = Reader()
        try:
            for effect in effects:
                reader.read(effect)
        except AssertionError:
            continue
        raise AssertionError(effects)


def test_the_machine_can_do_something() -> None:
    """A joined scene asks, hears and is taken over."""
    call = scene()
    assert any(isinstance(effect, Ask) for effect in call.event("TextInput", text="x"))
    assert any(isinstance(effect, Hear) for effect in scene().mic(LOUD))
    assert any(isinstance(effect, Close) for effect in call.publish(CallJoined(connection="x")))
    assert call.place["turn"].startswith(SESSION)
