"""The page of a voice call in a real browser, with a real house behind it: real speech goes in, what is heard is compared."""

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright

from bench.upstream import content
from services.contract.gateway import Interrupted, Mark
from services.contract.ingest import TurnRequested
from services.contract.tts import AIR_RATE
from services.runtime import sound
from services.runtime.sound import read_wav
from tests.e2e.earshot import Ear, Talker, chromium, sounding, talker
from tests.e2e.house import CHAT, CLIP, House, Sentence, house
from tests.e2e.test_page import CHROMIUM, PHONE, picture
from tests.e2e.test_talk import fits

WEATHER, WEEKEND = "今天天气怎么样？", "那周末呢？"
SEA, END = "Can you tell me a story about the sea?", "Sorry, how does it end?"
LONG = "讲一个长一点的故事。"
ANSWERS = {
    WEATHER: "今天是个晴天，适合出门走走。不过晚上会凉，记得带一件外套。",
    WEEKEND: "周末有小雨，出门别忘了带伞。",
    SEA: "Once there was a lighthouse on a small island. Every night its keeper lit the lamp and counted the boats. "
    "One night a boat was missing. The keeper rang the bell until his arms were tired. "
    "Far out in the fog somebody heard it and turned the wheel. The wind fell and the fog went away at last. "
    "All that could be heard was the water under the bow. In the morning there was a new boat in the harbour.",
    END: "Everybody comes home, and the lamp is lit again.",
    LONG: "有一座很老很老的灯塔每天晚上都把光送到海上好让晚归的小船都能找到回家的路。后来有一天雾来了。",
}
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house"), ANSWERS) as made:
        yield made


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("microphone") / "says.wav"


@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[Browser]:
    if not CHROMIUM.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{CHROMIUM} is missing: apt install chromium")
    with sync_playwright() as playwright, chromium(playwright, microphone) as browser:
        yield browser


def alike(clip: bytes, said: bytes) -> float:
    """How much the loudness of a clip rises and falls as that of what was said, wherever in it: 1 is all."""
    step = 160
    one, other = (
        np.abs(sound.samples(pcm).astype(float))[: len(pcm) // 2 // step * step].reshape(-1, step).mean(1)
        for pcm in (clip, said)
    )
    windows = np.lib.stride_tricks.sliding_window_view(one, len(other))
    return max(float(np.corrcoef(window, other)[0, 1]) for window in windows if window.std())


def told(words: str) -> None:
    """What was measured, for who looks."""
    sys.stderr.write(f"\n{words}\n")


def whole(sentences: list[Sentence]) -> bytes:
    """All of their sound."""
    return b"".join(sentence.pcm for sentence in sentences)


def sent(person: Talker) -> bytes:
    """The sound that the page was sent so far."""
    return b"".join(frame.sound for frame in person.frames)


def connections(person: Talker) -> list[bytes]:
    """The same by connection; each begins with BotReady."""
    sounds = list[bytes]()
    for frame in person.frames:
        sounds = [*sounds, b""] if frame.event == "BotReady" else [*sounds[:-1], sounds[-1] + frame.sound]
    return sounds


def heard(person: Talker, sentences: list[Sentence]) -> Ear:
    """What was heard beside the page, as soon as these are the end of it."""
    made = sounding(whole(sentences))
    person.until(person.over)
    person.until(lambda: np.array_equal(person.ear().pcm[-len(made) :], made))
    return person.ear()


def in_time(ear: Ear, sentences: list[Sentence]) -> None:
    """Each caption came when its sentence was heard: after its first sample, before its last."""
    shown = [caption for caption in ear.captions if caption["text"]]
    assert [caption["text"] for caption in shown] == [sentence.text for sentence in sentences]
    until = 0
    for caption, sentence in zip(shown, sentences, strict=True):
        first, until = until, until + len(sounding(sentence.pcm))
        assert ear.at[first] <= caption["at"] <= ear.at[until - 1], caption


def test_a_whole_call(browser: Browser, home: House, microphone: Path, tmp_path: Path) -> None:
    """What is said reaches the recogniser, what was understood the page; each answer is heard as it was made, captions in time."""
    clips = len(home.asked(CLIP))
    with talker(browser, home, microphone) as person:
        said = person.lay(WEATHER, "cmn", 1_500)
        person.page.click("#start")
        person.called()
        person.until(lambda: "外套" in person.caption)
        assert WEATHER in person.lines
        assert "晴天" in person.lines
        person.until(person.over)
        person.say(WEEKEND, "cmn")
        person.until(lambda: "小雨" in person.caption)
        picture(person.page, "talk", tmp_path)
        person.until(person.over)
        session = home.told(person.sid)
        sentences = [sentence for turn in session.turns for sentence in session.sentences(turn)]
        ear = heard(person, sentences)
        waits = person.page.locator(".wait b").all_inner_texts()
    clip, asked = read_wav(home.asked(CLIP)[clips].clip).pcm, home.asked(CHAT)[-1].body["messages"]
    assert alike(clip, said) > 0.7, "the recogniser was sent what was said"
    assert session.said == [event["sentence"] for event in person.events("SentenceRecognized")] == [WEATHER, WEEKEND]
    assert np.array_equal(ear.pcm, sounding(whole(sentences)))
    assert sent(person) == whole(sentences)
    assert [sentence.pcm for sentence in sentences] == [content.speech(sentence.text.strip()) for sentence in sentences]
    in_time(ear, sentences)
    marks = {(mark.turn, mark.index, mark.played_ms) for mark in session.of(Mark)}
    ends = {(each.turn, each.index, round(len(each.pcm) / 2 / AIR_RATE * 1_000)) for each in sentences}
    assert ends <= marks
    assert [message["content"] for message in asked[-3:]] == [WEATHER, ANSWERS[WEATHER], WEEKEND]
    told(f"a call: {waits}, {alike(clip, said):.2f} alike")


def remembered(sentences: list[Sentence], played: int) -> str:
    """As much of the text as of its sound."""
    text = ""
    for sentence in sentences:
        length = len(sentence.pcm) // 2
        if played < length:
            part = sentence.text[: len(sentence.text) * played // length].rstrip()
            return f"{text}{part}…" if part else text.strip()
        text, played = f"{text}{sentence.text} ", played - length
    return text.strip()


def places(sentences: list[Sentence], count: int) -> range:
    """Where somebody may be who has heard so many samples that are not 0, millisecond by millisecond."""
    loud = np.flatnonzero(sound.samples(whole(sentences)))
    ms = AIR_RATE // 1_000
    return range(int(loud[count - 1]) - ms, int(loud[count]) + 2 * ms, ms)


def barged(ear: Ear, old: list[Sentence], new: list[Sentence]) -> range:
    """The new answer is heard whole, of the old one a beginning and nothing after the pause; where that ends, in samples."""
    before, after = sounding(whole(old)), sounding(whole(new))
    count = len(ear.pcm) - len(after)
    assert 0 < count < len(before)
    assert np.array_equal(ear.pcm, np.concatenate((before[:count], after)))
    states = [each["state"] for each in ear.states]
    pause = states.index("paused")
    assert "playing" not in states[pause : states.index("empty", pause)]
    silent = int(ear.states[pause]["at"])
    assert 0 <= ear.listened < ear.voiced < silent
    assert ear.at[count - 1] < silent
    told(f"a barge-in: silence {(silent - ear.voiced) / AIR_RATE * 1_000:.0f} ms after the voice")
    return places(old, count)


def test_a_barge_in(browser: Browser, home: House, microphone: Path, tmp_path: Path) -> None:
    """On a phone, by the keyboard, in English: a voice silences the answer, and the model is told only what was heard of it."""
    with talker(browser, home, microphone, PHONE, "en-GB") as person:
        person.tab("choices-open")
        person.page.keyboard.press("Enter")
        person.tab("persona")
        person.page.keyboard.press("f")
        person.tab("choices-close")
        person.page.keyboard.press("Enter")
        person.lay(SEA, "en-us", 1_500)
        person.tab("start")
        person.page.keyboard.press("Space")
        person.called()
        person.until(lambda: "keeper lit" in person.caption)
        for part in ("text", "mute", "stop", "hang"):
            person.tab(part)
        person.say(END, "en-us", 1_000)
        person.until(lambda: "lamp is lit" in person.caption)
        fits(person.page)
        picture(person.page, "talk-phone", tmp_path)
        person.until(person.over)
        session = home.told(person.sid)
        old, new = (session.sentences(turn) for turn in session.turns)
        ear, lines = heard(person, new), person.lines
    ends = barged(ear, old, new)
    assert session.said == [SEA, END]
    assert {request.persona for request in session.of(TurnRequested)} == {"friend"}
    assert {each.by for each in session.of(Interrupted)} == {"speech"}
    asked = [message["content"] for message in home.asked(CHAT)[-1].body["messages"]]
    assert asked[1::2] == [SEA, END]
    assert asked[2] in {remembered(old, end) for end in ends}
    assert f"{old[0].text} {old[1].text}" in lines
    assert "interrupted" in lines
    assert old[-1].text not in lines, "nobody heard it"


def test_a_gateway_killed_in_mid_sentence(browser: Browser, home: House, microphone: Path) -> None:
    """Kill -9: the page goes on at another gateway within two seconds, each sample is heard once, and the call lives."""
    first, second = home.gateways
    with home.pace(1.3), talker(browser, home, microphone) as person:
        person.lay(LONG, "cmn", 1_500)
        person.page.click("#start")
        person.called()
        person.until(lambda: len(sent(person)) > 2 * AIR_RATE and person.state == "speaking")
        home.kill(first)
        back_s = person.until(lambda: len(connections(person)) == 2 and connections(person)[1])
        person.until(person.over)
        session = home.told(person.sid)
        sentences = session.sentences(session.turns[0])
        ear = heard(person, sentences)
        person.say(WEEKEND, "cmn")
        person.until(lambda: "小雨" in person.caption)
    assert 0 < len(connections(person)[0]) < len(sentences[0].pcm), "killed in mid-sentence"
    assert np.array_equal(ear.pcm, sounding(whole(sentences)))
    assert person.events("BotReady")[1]["resumed"]
    assert back_s <= 2
    ports = [int(each.env["GATEWAY_PORT"]) for each in (first, second)]
    assert [port for port, _ in itertools.groupby(home.door.taken)] == ports
    asked = [message["content"] for message in home.asked(CHAT)[-1].body["messages"]]
    assert asked[1:] == [LONG, ANSWERS[LONG], WEEKEND]
    told(f"a killed gateway: sound again after {back_s:.2f} s, the longest silence heard was {ear.gap():.2f} s")
