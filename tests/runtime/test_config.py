"""onair.yaml: what is right, and what is said of what is wrong."""

from pathlib import Path

import pytest

from services.contract.failure import Code, Failure
from services.runtime.config import Config, load, seconds

GOOD = """\
personas:
  host: {language: zh, prompt: {zh: 你好, en: hello}, voice: xiaoyi}
voices:
  xiaoyi: {engines: [{espeak: {voice: cmn}}], pronounce: {GPT: "G P T"}}
rooms:
  demo: {persona: host, sources: [{replay: {path: a.jsonl.gz}}]}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "onair.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(Failure) as caught:
        load(written(tmp_path, text))
    assert caught.value.code is Code.BAD_CONFIG
    return caught.value.sentence.replace(str(tmp_path), "")


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    """Names refer to each other and prompts are chosen by language."""
    config = load(written(tmp_path, GOOD))
    host = config.personas["host"]
    assert (host.prompt_in("en"), host.prompt_in("fr")) == ("hello", "你好")
    assert config.voices["xiaoyi"].engines == [{"espeak": {"voice": "cmn"}}]


def test_a_room_whose_events_are_posted(tmp_path: Path) -> None:
    """The source `api` needs nothing said about it."""
    for options in ("{}", ""):
        config = load(written(tmp_path, GOOD.replace("replay: {path: a.jsonl.gz}", f"api: {options}")))
        assert [list(source) for source in config.rooms["demo"].sources] == [["api"]]


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    """Nothing needs to be said."""
    assert load(written(tmp_path, "")) == Config()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (GOOD.replace("language: zh", "langage: zh"), "/onair.yaml:2: personas.host.langage: unknown key"),
        (GOOD.replace("voice: xiaoyi}", "voice: anna}"), "names the voice 'anna'; known: xiaoyi"),
        (GOOD.replace("persona: host", "persona: ghost"), "names the persona 'ghost'; known: host"),
        (GOOD + "daily: {answers: true}", "/onair.yaml:7: daily.answers: unknown key"),
        (GOOD + "daily: {domain: evil.com/x}", "/onair.yaml:7: daily.domain: String should match"),
        (GOOD + "daily: {answer: true, persona: ghost}", "daily names the persona 'ghost'; known: host"),
        (GOOD + "daily: {answer: true}", "daily names the persona 'friend'; known: host"),
        (
            GOOD.replace("espeak: {voice", "speak: {voice"),
            "/onair.yaml:4: voices.xiaoyi.engines: unknown tts engine 'speak'",
        ),
        (GOOD.replace("replay:", "twitch:"), "unknown source 'twitch'; known: api, replay"),
        (GOOD.replace("replay:", "douyin:"), "the source 'douyin' is not in this version yet; known: api, replay"),
        (GOOD.replace("replay:", "daily:"), "a conversation of Daily is no room's source"),
        (GOOD.replace("replay:", "api:"), "the source 'api' has no options; write {api: {}}"),
        (
            GOOD.replace("[{replay: {path: a.jsonl.gz}}]", "[]"),
            "/onair.yaml:6: rooms.demo: the room has no source; give one of api, replay (not in this version: bilibili, douyin, schedule)",
        ),
        (
            GOOD + "engines: {llm: {gemini: {}}}",
            "/onair.yaml:7: engines: unknown llm engine 'gemini'; known: openai, scripted",
        ),
        (
            GOOD.replace("[{espeak: {voice: cmn}}]", "[{espeak: {}, scripted: {}}]"),
            "is one name with its options, not 2",
        ),
        ("personas: [", "is not YAML"),
        ("rooms: 3", "/onair.yaml:1: rooms: Input should be a valid dictionary"),
        ("- a", "the file"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, broken: str, said: str) -> None:
    """The sentence names file, line, key and what would be right."""
    assert said in complaint(tmp_path, broken)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            "network:\n  proxy: http://u:canary@h: 1: 2\n",
            "onair.yaml is not YAML: line 2: mapping values are not allowed here",
        ),
        ("network: {proxy: 'canary\a'}", "onair.yaml is not YAML: special characters are not allowed"),
        ("network: {proxies: {canary: [canary]}}", "network.proxies.canary: Input should be a valid string"),
    ],
)
def test_what_is_wrong_is_not_repeated(tmp_path: Path, broken: str, said: str) -> None:
    """The line that is no YAML, and the value that is none, may hold a password."""
    assert said in (told := complaint(tmp_path, broken))
    assert "canary" not in told.replace("proxies.canary", "")


@pytest.mark.parametrize(("part", "name"), [("llm", "openai"), ("asr", "hearing"), ("tts", "speaking")])
def test_a_key_in_the_wrong_place_is_not_repeated(tmp_path: Path, part: str, name: str) -> None:
    """An option that an engine does not have is named, with its place; what it says is not: it may be the key."""
    (tmp_path / "onair.yaml").write_text(f"engines: {{{part}: {{openai: {{api_key: canary}}}}}}")
    engines = load(tmp_path / "onair.yaml").engines
    with pytest.raises(Failure, match=rf"^bad_config: engines\.{part}\.openai\.api_key: unknown key$") as caught:
        getattr(engines, name)
    assert "canary" not in repr(caught.value.__cause__)


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    """The variable that names another file is part of the sentence."""
    with pytest.raises(Failure, match="name another file by ONAIR_CONFIG"):
        load(tmp_path / "none.yaml")


def test_durations() -> None:
    """A duration carries its unit; a bare number is refused with the form that is right."""
    assert [seconds(text) for text in ("500ms", "15s", "2m", "1.5h", "7d")] == [0.5, 15, 120, 5400, 604_800]
    with pytest.raises(Failure, match="write 500ms"):
        seconds("15")


def test_proxies() -> None:
    """One engine may go another way than the others."""
    config = Config.model_validate(
        {"network": {"proxy": "http://a:1", "proxies": {"openai": "", "edge": "socks5://b:2"}}}
    )
    assert [config.network.proxy_of(name) for name in ("edge", "openai", "x")] == ["socks5://b:2", "", "http://a:1"]


def test_how_long_things_are_kept() -> None:
    """A duration in milliseconds, or None for ever; what nobody names is kept as long as the default says."""
    keep = Config.model_validate({"keep": {"audio": "36h", "ledger": "forever"}}).keep
    assert [keep.ms(name) for name in ("audio", "ledger", "recordings")] == [129_600_000, None, 30 * 86_400_000]


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ("{audio: 59m}", "keep.audio: 59m is too short to be meant; keep it for 1h at least"),
        ("{audio: 7}", "keep.audio: Input should be a valid string"),
        ("{ledger: 1y}", "keep.ledger: '1y' is no duration; write 500ms, 15s, 10m, 1h or 30d, or forever"),
        ("{work: 7d}", "keep.work: unknown key"),
    ],
)
def test_what_nobody_means_to_keep_so_short(tmp_path: Path, keep: str, said: str) -> None:
    """A slip of the pen deletes nothing."""
    assert said in complaint(tmp_path, GOOD + f"keep: {keep}\n")


def test_how_long_a_conversation_at_tavus_may_last(tmp_path: Path) -> None:
    """An hour unless something else is said; a slip of the pen cuts nobody off."""
    assert Config().tavus.forget_ms == 3_600_000
    assert Config.model_validate({"tavus": {"forget_after": "90s"}}).tavus.forget_ms == 90_000
    for text, said in (("30s", "30s is too short to be meant"), ("forever", "'forever' is no duration; write 500ms")):
        assert f"tavus.forget_after: {said}" in complaint(tmp_path, GOOD + f"tavus: {{forget_after: {text}}}\n")


def test_conversations_of_daily(tmp_path: Path) -> None:
    """Nothing needs to be said; who answers is the gateway's persona, or one of its own."""
    plain = load(written(tmp_path, GOOD))
    assert (plain.daily.domain, plain.daily.answer, plain.daily.by) == ("tavus", False, "echo")
    assert (plain.answers_daily, "daily" in plain.model_fields_set) == ("friend", False)
    own = load(written(tmp_path, GOOD + "daily: {domain: my-team, answer: true, by: respond, persona: host}"))
    assert (own.daily.domain, own.answers_daily, "daily" in own.model_fields_set) == ("my-team", "host", True)
