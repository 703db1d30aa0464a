"""A call's turns: what the original client gets, and what OnAir's own gets."""

import pytest

from services.contract.failure import Code, Failed, Failure
from services.contract.gateway import CallJoined, Interrupted, Mark
from services.contract.ingest import TurnDropped, TurnRequested
from services.contract.llm import AnswerEnded
from services.contract.tts import AIR_RATE, SentenceSkipped, SpeechChunk, SpeechEnded, SpeechStarted
from services.gateway.core.call import IDLE_MS
from services.gateway.core.call_rates import BURST_S
from services.gateway.core.call_turn import SILENCE
from services.gateway.core.call_voice import FILE_BYTES
from services.gateway.core.call_words import Ask, Close, File, Hear, Interrupt, Purge, Say, Tell
from tests.gateway.core.calls import LOUD, OWN, QUIET, SESSION, Scene, inside, payload, scene, sounds, words

ASKED = ["ASK", "SentenceRecognized"]


def test_a_turn_of_the_original_client() -> None:
    """SentenceRecognized; for each sentence its text and one file; TTSDone; only the original's payloads."""
    call = scene()
    assert words(call.heard(0, "你好", 1_600)) == ASKED
    call.sentence(0, "嗨，", 100)
    call.sentence(1, "再见。", 200)
    call.answered(2)
    assert words(call.done) == [*ASKED, *["TTSSentenceStart", "file"] * 2, "TTSDone"]
    assert [effect.payload for effect in call.done if isinstance(effect, Say)] == [
        {"sentence": "你好"}, {"sentence": "嗨，"}, {"sentence": "再见。"}, {},
    ]  # fmt: skip
    assert [len(file.pcm) for file in call.done if isinstance(file, File)] == [4_800, 9_600]


def test_a_turn_of_our_own_client() -> None:
    """Sound while it is made, with its place; the ends of sentences; the latency and its parts."""
    call = scene(**OWN)
    call.heard(0, "你好", 1_600, ended_ms=call.now - 600)
    call.now += 200
    call.sentence(0, "嗨，", 100, over=False)
    turn = call.place["turn"]
    assert payload(call.done, "SentenceRecognized") == {"sentence": "你好", "turn": turn, "took_ms": 600}
    start = {"sentence": "嗨，", "turn": turn, "index": 0, "rate": 24_000, "from_sample": 0}
    assert payload(call.done, "TTSSentenceStart") == start
    call.publish(SpeechEnded(turn=turn, index=0, attempt=1, samples=2_400))
    call.answered(1)
    assert words(call.done) == [*ASKED, "TTSSentenceStart", "chunk", "TTSSentenceEnd", "TTSDone"]
    latency = {"recognised_ms": 600, "first_sentence_ms": 200, "first_audio_ms": 0, "total_ms": 800}
    assert payload(call.done, "TTSDone") == {"turn": turn, "latency": latency}


def test_the_wait_for_the_end_of_a_turn_is_told_apart() -> None:
    """Where it is known when the end was decided: the wait before it, the recognition after it."""
    call = scene(**OWN)
    call.heard(0, "你好", 1_600, ended_ms=call.now - 600, decided_ms=call.now - 80)
    call.sentence(0, "嗨，", 0)
    call.answered(1)
    latency = payload(call.done, "TTSDone")["latency"]
    assert latency == {"end_of_turn_ms": 520, "recognised_ms": 80, "first_sentence_ms": 0}


def test_a_typed_turn() -> None:
    """Its latency counts from the typing; what was not is left out."""
    call = scene(onair=True)
    assert words(call.event("TextInput", text=" 你好 ")) == ASKED
    call.answered(0)
    assert payload(call.done, "TTSDone")["latency"] == {}
    call.now += 50
    call.event("TextInput", text="x")
    call.sentence(0, "y", 0)
    call.answered(1)
    assert payload(call.done[::-1], "TTSDone")["latency"] == {"first_sentence_ms": 0}


def test_the_original_client_always_hears_something() -> None:
    """No sentence, sentences without sound, a failure after the last sound: 100 ms of silence before TTSDone."""
    call = scene()
    call.heard(0, "a", 1)
    assert words(call.answered(0)) == ["file", "TTSDone"]
    call.heard(2, "b", 2)
    call.sentence(0, "🙂", 0)
    call.answered(1)
    assert words(call.done[-4:]) == ["SentenceRecognized", "TTSSentenceStart", "file", "TTSDone"]
    assert sounds(call.done) == SILENCE * 2
    call.heard(3, "c", 3)
    call.sentence(0, "好", 100)
    failed = Failed(turn=call.place["turn"], code=Code.ENGINE_SILENT, sentence="nothing came")
    assert words(call.publish(failed) + call.publish(failed)) == ["BotError"]
    assert words(call.answered(1)) == ["file", "TTSDone"]
    assert payload(call.done, "BotError") == {"error": {"code": "engine_silent", "message": "nothing came"}}


def test_our_own_client_needs_no_silence() -> None:
    """A turn without sound has none."""
    call = scene(**OWN)
    call.heard(0, "a", 1)
    call.sentence(0, "🙂", 0)
    call.answered(1)
    assert words(call.done) == [*ASKED, "TTSSentenceStart", "TTSSentenceEnd", "TTSDone"]


@pytest.mark.parametrize(("reason", "code"), [("expired", "expired"), ("failed", "engine_broken"), ("cut", "")])
def test_an_answer_that_ended_badly(reason: str, code: str) -> None:
    """Is told, if nobody told it before."""
    call = scene()
    call.heard(0, "a", 1)
    effects = call.answered(0, reason)
    assert words(effects) == [*(["BotError"] if code else []), "file", "TTSDone"]
    assert not code or payload(effects, "BotError")["error"]["code"] == code


def test_what_was_not_understood() -> None:
    """An engine that failed: no turn, but an error, a sound and TTSDone; during an answer the error alone."""
    failed = Failed(code=Code.ENGINE_BROKEN, sentence="x")
    assert words(scene().publish(failed)) == ["BotError", "file", "TTSDone"]
    assert words(scene(onair=True).publish(failed)) == ["BotError", "TTSDone"]
    call = scene()
    call.heard(0, "a", 1)
    assert words(call.publish(failed)) == ["BotError"]


def test_a_long_sentence_comes_in_several_files() -> None:
    """Each is complete; the sentence is announced once."""
    call = scene()
    call.heard(0, "a", 1)
    call.sentence(0, "b", samples=FILE_BYTES // 2, over=False)
    turn = call.place["turn"]
    call.publish(SpeechChunk(turn=turn, index=0, attempt=1, chunk=1, sample_offset=FILE_BYTES // 2), b"\1\1" * 10)
    effects = call.publish(SpeechEnded(turn=turn, index=0, attempt=1, samples=FILE_BYTES // 2 + 10))
    assert words(call.done) == [*ASKED, "TTSSentenceStart", "file", "file"]
    assert sounds(effects) == b"\1\1" * 10


def test_sound_that_is_lost_moves_the_place() -> None:
    """Streamed sound goes on at its true place, which is announced; a file just goes on."""
    for config, expected in ((OWN, ["TTSSentenceStart", "chunk"]), ({}, [])):
        call = scene(**config)
        call.heard(0, "a", 1)
        call.sentence(0, "b", 100, over=False)
        lost = SpeechChunk(turn=call.place["turn"], index=0, attempt=1, chunk=2, sample_offset=3_000)
        effects = call.publish(lost, b"\1\1" * 10)
        assert words(effects) == expected
        assert not expected or payload(effects, "TTSSentenceStart")["from_sample"] == 3_000


def test_the_microphone() -> None:
    """Goes on at its place; while a turn is made or asked for only a client that may interrupt is listened to."""
    call = Scene()
    call.join(at_sample=800)
    hears = [effect for effect in call.mic(LOUD, b"", LOUD) if isinstance(effect, Hear)]
    assert [(hear.at_sample, hear.language) for hear in hears] == [(800, "zh"), (2_400, "zh")]
    call.obeys = False
    assert words(call.heard(0, "a", 4_000)) == ["ASK"]
    assert call.mic(LOUD) == []
    call.request(Ask("call-a-0", "a", 5, inside(call).config, call.now))
    assert call.mic(LOUD) == []
    call.event("BotUpdateConfig", interrupt=True, persona="teacher")
    hear = next(effect for effect in call.mic(LOUD) if isinstance(effect, Hear))
    assert (hear.at_sample, hear.language) == (4_000, "en")


def test_what_is_no_turn() -> None:
    """Noise, a voice that is not the enrolled one, what was told before, what comes during the original's answer."""
    call = scene()
    assert call.heard(0, " ", 5) == []
    assert call.heard(0, "a", 10, speaker="rejected") == []
    assert call.heard(0, "a", 10) == []
    assert call.heard(0, "a", 0) == []
    assert words(call.heard(10, "b", 20)) == ASKED
    assert call.heard(20, "c", 30) == []
    assert call.heard(30, "wor", final=False) == []
    assert call.began(30) == []


def test_what_our_own_client_sees_of_a_voice() -> None:
    """Its beginning and the words so far."""
    call = scene(onair=True)
    assert words(call.began(0)) == ["VoiceBegan"]
    assert payload(call.heard(0, "你好", final=False), "PartialSentence") == {"sentence": "你好"}
    assert call.heard(0, " ", final=False) == []


def test_configuration() -> None:
    """All optional, from the next turn on; what is unknown or wrong is told and changes nothing."""
    call = scene()
    wish = {"speaker": "ben", "persona": "teacher", "language": "en", "prompt": "Be brief.", "audio": "stream", "x": 1}
    assert call.event("BotUpdateConfig", **wish) == []
    before = inside(call).config
    assert (before.voice, before.persona, before.language, before.prompt) == ("ben", "teacher", "en", "Be brief.")
    wrong = (
        {"speaker": "eve"},
        {"persona": "x"},
        {"audio": "ogg"},
        {"interrupt": 1},
        {"prompt": "x" * 8_001},
        {"language": 3},
    )
    for bad in wrong:
        effects = call.event("BotUpdateConfig", **bad)
        assert payload(effects, "BotError")["error"]["code"] == "bad_input"
    assert inside(call).config == before
    call.event("BotUpdateConfig", speaker="", persona="")
    assert (inside(call).config.voice, inside(call).config.persona) == ("", "friend")


def test_a_configuration_in_mid_turn() -> None:
    """The turn that is being answered keeps its form."""
    call = scene()
    call.heard(0, "a", 1)
    call.event("BotUpdateConfig", audio="stream")
    call.sentence(0, "b", 100)
    assert words(call.done)[2:] == ["TTSSentenceStart", "file"]


def test_events_that_are_none() -> None:
    """Are told, and the call goes on."""
    call = scene()
    for event, wish in (
        ("Nothing", {}),
        ("TextInput", {}),
        ("TextInput", {"text": " "}),
        ("PlaybackMark", {"played_ms": -1}),
    ):
        assert words(call.event(event, **wish)) == ["BotError"]
    assert words(call.event("TextInput", text="x")) == ASKED


def test_typing_interrupts() -> None:
    """Of what is being said nothing more is sent; the new turn comes after TTSDone of the old one."""
    for config, stop in ((OWN, ["PURGE", "PlaybackStop", "TTSDone"]), ({}, ["PURGE", "file", "TTSDone"])):
        call = scene(**config)
        call.heard(0, "a", 1)
        call.sentence(0, "b", 1_000)
        effects = call.event("TextInput", text="x")
        assert [word for word in words(effects) if word != "TELL"] == [*stop, "INTERRUPT", "ASK", "SentenceRecognized"]
        assert call.place["epoch"] == 1


def test_the_stop_button() -> None:
    """Ends what is said and what is still played of what was said; otherwise it does nothing."""
    call = scene(**OWN)
    assert call.event("StopSpeaking") == []
    call.heard(0, "a", 1)
    call.sentence(0, "b", 1_000)
    call.answered(1)
    call.now += 300
    effects = call.event("StopSpeaking")
    assert words(effects) == ["PURGE", "PlaybackStop", "TELL", "INTERRUPT"]
    mark = next(effect.message for effect in effects if isinstance(effect, Tell))
    assert (mark.index, mark.played_ms, mark.player) == (0, 300, "gateway")
    assert call.event("StopSpeaking") == []


def test_marks() -> None:
    """A mark of this turn goes to the session, and is more than the gateway's own guess; another is passed over."""
    call = scene(**OWN)
    assert call.event("PlaybackMark", sentence=0, played_ms=1) == []
    call.heard(0, "a", 1)
    call.sentence(0, "b", 1_000)
    assert words(call.event("PlaybackMark", turn="other", sentence=0, played_ms=1)) == []
    effects = call.event("PlaybackMark", turn=call.place["turn"], sentence=0, played_ms=40)
    assert [effect.message.played_ms for effect in effects if isinstance(effect, Tell)] == [40]
    assert "TELL" not in words(call.event("StopSpeaking"))


def test_an_interrupt_from_elsewhere() -> None:
    """An operator's stop ends the turn on the floor, one that has not begun, and what is still played."""
    call = scene(**OWN)
    call.heard(0, "a", 1)
    call.sentence(0, "b", 1_000)
    assert words(call.interrupt()) == ["PURGE", "PlaybackStop", "TTSDone"]
    assert call.interrupt() == []
    call.heard(2, "c", 2)
    call.sentence(0, "d", 1_000)
    call.answered(1)
    assert words(call.interrupt()) == ["PURGE", "PlaybackStop"]
    call = scene()
    call.heard(0, "a", 1)
    call.sentence(0, "b", 100)
    call.answered(1)
    assert call.interrupt() == []


def test_a_turn_that_is_dropped() -> None:
    """Ends with silence for the original client; a drop of another turn means nothing."""
    call = scene()
    call.heard(0, "a", 1)
    assert call.publish(TurnDropped(turn="other", reason="x")) == []
    assert words(call.publish(TurnDropped(turn=call.place["turn"], reason="x"))) == ["PURGE", "file", "TTSDone"]
    assert inside(call)._mouth.give_up(Code.EXPIRED, "x", call.now) == []


def test_a_turn_that_never_had_the_floor() -> None:
    """It was asked for, and nobody aired it: an interrupt or a drop ends it all the same."""
    for end in (Interrupted(epoch=9, by="operator"), TurnDropped(turn="t", reason="x")):
        call = scene()
        call.publish(
            TurnRequested(
                turn="t", no=1, session=SESSION, epoch=0, kind="call", ask="a", persona="friend", requested_ms=1,
                deadline_ms=2,
            )
        )  # fmt: skip
        assert words(call.publish(end)) == ["PURGE", "file", "TTSDone"]


def test_turns_one_after_the_other() -> None:
    """Who asks while a turn is answered, as an operator may, is answered when it is over; an interrupt ends both."""
    call = scene()
    call.heard(0, "a", 1)
    second = Ask("k", "b", inside(call)._mouth.last_no + 1, inside(call).config, call.now)
    first = call.place
    assert call.request(second) == []
    assert call.publish(call.session[-2].message) == []
    call.publish(SentenceSkipped(turn=first["turn"], index=0, reason="late"))
    said = {"turn": first["turn"], "count": 1, "text": "x", "reason": "done"}
    effects = call.publish(AnswerEnded.model_validate(said))
    assert words(effects) == ["TTSDone", "SentenceRecognized"]
    call.request(Ask("l", "c", inside(call)._mouth.last_no + 1, inside(call).config, call.now))
    assert words(call.publish(TurnDropped(turn=call.place["turn"], reason="x"))) == []
    call.request(Ask("m", "d", inside(call)._mouth.last_no + 1, inside(call).config, call.now))
    assert words(call.interrupt()) == ["PURGE", "file", "TTSDone"]


def test_a_turn_of_which_nothing_comes() -> None:
    """After 40 s it is ended with an error; one that was asked for and never began too."""
    call = scene()
    call.heard(0, "a", 1)
    call.wait(39_000)
    assert words(call.done) == ASKED
    assert words(call.wait(1_000))[:4] == ["BotError", "file", "TTSDone", "INTERRUPT"]
    call.obeys = False
    assert words(call.event("TextInput", text="b")) == ["ASK"]
    assert words(call.wait(40_000)) == ["SentenceRecognized", "BotError", "file", "TTSDone", "INTERRUPT"]
    assert inside(call).due_ms() is None


def test_orders_that_fail() -> None:
    """An ask: the turn is over; a microphone: told once a second; a silenced show: the session ends the turn."""
    down, busy = Failure(Code.BUS_DOWN, "x"), Failure(Code.BUSY, "y")
    for config, expected in (
        ({}, ["SentenceRecognized", "BotError", "file", "TTSDone"]),
        (OWN, ["SentenceRecognized", "BotError", "TTSDone"]),
    ):
        call = scene(**config)
        call.obeys = False
        ask = next(effect for effect in call.event("TextInput", text="a") if isinstance(effect, Ask))
        assert words(call.call.refused(ask, busy, call.now)) == ["BotError"]
        assert words(call.call.refused(ask, down, call.now)) == expected
        assert words(call.call.refused(ask, down, call.now)) == ["BotError"]
    hear = next(effect for effect in call.mic(LOUD) if isinstance(effect, Hear))
    assert words(call.call.refused(hear, down, call.now)) == ["BotError"]
    assert call.mic(LOUD) == []
    call.now += 1_000
    assert words(call.mic(LOUD)) == ["HEAR"]
    assert words(call.call.refused(Interrupt("x"), down, call.now)) == ["BotError"]
    assert call.call.refused(Tell(Mark(turn="t", index=0, played_ms=0)), down, call.now) == []


def test_another_connection_takes_the_call() -> None:
    """The older one is closed with 4409; who joined before, and oneself, do not count."""
    call = Scene()
    call.publish(CallJoined(connection="before"), deliver=False)
    assert words(call.join()) == ["BotReady"]
    effects = call.publish(CallJoined(connection="other"))
    assert [effect.code for effect in effects if isinstance(effect, Close)] == [4409]
    late = Scene()
    late.publish(CallJoined(connection="me"), deliver=False)
    late.publish(CallJoined(connection="other"), deliver=False)
    assert words(late.do(late.call.joined(tuple(late.session), 0, late.now))) == ["BotReady", "close 4409"]


def test_too_much_sound() -> None:
    """A stutter may be caught up with; more than 1.5 × real time ends the call with 1008."""
    call = scene()
    for _ in range(BURST_S * 10):
        assert words(call.do(call.call.sound(LOUD, call.now))) == ["HEAR"]
    assert words(call.do(call.call.sound(LOUD, call.now))) == ["BotError", "close 1008"]
    call.now += 1_000
    for _ in range(15):
        assert words(call.do(call.call.sound(LOUD, call.now))) == ["HEAR"]
    assert words(call.do(call.call.sound(LOUD, call.now))) == ["BotError", "close 1008"]


def test_too_many_requests() -> None:
    """240 a minute, of marks four times as many; then 1008."""
    call = scene()
    assert not any("close" in word for _ in range(960) for word in words(call.event("PlaybackMark")))
    assert words(call.event("PlaybackMark")) == ["BotError", "close 1008"]
    assert words(call.event("StopSpeaking")) == ["BotError", "close 1008"]


def test_a_call_in_which_nothing_happens() -> None:
    """Is ended after ten minutes with 1008 and a sentence; whatever happens, from either side, begins them anew."""
    call = scene()
    for happens in (lambda: call.mic(QUIET), lambda: call.event("StopSpeaking"), lambda: call.heard(0, "", 1)):
        assert call.wait(IDLE_MS - 1) == []
        happens()
    assert call.wait(IDLE_MS - 1) == []
    assert words(call.wait(1)) == ["BotError", "close 1008"]
    assert "10 minutes" in payload(call.done, "BotError")["error"]["message"]


def test_an_answer_that_is_still_played() -> None:
    """Is something that happens, however long it is."""
    call = scene()
    call.heard(0, "a", 1)
    call.sentence(0, "b", IDLE_MS + 1_000)
    call.answered(1)
    call.done.clear()
    assert call.wait(2 * IDLE_MS - 1) == []
    assert words(call.wait(1)) == ["BotError", "close 1008"]


def test_sound_of_a_turn_that_is_not_on_the_floor() -> None:
    """Is not heard, whoever still makes it."""
    call = scene(**OWN)
    call.heard(0, "a", 1)
    call.sentence(0, "b", 100, over=False)
    call.obeys = False
    call.event("StopSpeaking")
    chunk = SpeechChunk(turn=call.place["turn"], index=0, attempt=1, chunk=1, sample_offset=2_400)
    assert call.publish(chunk, b"\1\1" * 100) == []
    started = SpeechStarted(**call.place, index=1, attempt=1, text="c")
    assert call.publish(started) == []


def test_utterances_are_forgotten() -> None:
    """Only the newest ones' times are kept."""
    call = scene()
    for at in range(1, 200):
        call.heard(at, "", at)
    assert len(inside(call)._told._known) == 64
    assert SESSION in call.call.session


def test_waiting_sound_is_purged() -> None:
    """A cut is one purge: what the client was not sent yet it never gets."""
    call = scene(**OWN)
    call.heard(0, "a", 1)
    call.sentence(0, "b", 1_000)
    assert sum(isinstance(effect, Purge) for effect in call.event("StopSpeaking")) == 1
    assert AIR_RATE == 24_000
