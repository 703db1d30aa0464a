"""Other programs' configurations: what is taken over, what is named as left out; total for any bytes."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from onair.adopt import adopt
from onair.configuration import check, take_over
from onair.draft import Draft, Known, render, render_env
from onair.environment import parse
from services.contract.failure import Code, Failure
from services.runtime.config import SOURCES, Config, load
from services.runtime.engines import TTS_ENGINES

EXAMPLES = Path(__file__).parents[2] / "examples"
NOW = Known(SOURCES, TTS_ENGINES)
LATER = Known((*SOURCES, "bilibili"), (*TTS_ENGINES, "edge", "gpt_sovits"))
INI = (EXAMPLES / "gpt-vup.ini").read_text(encoding="utf-8")
YAML = (EXAMPLES / "moechat.yaml").read_text(encoding="utf-8")


def ini(text: str, known: Known = NOW) -> Draft:
    return adopt("config.ini", text.encode(), known)


def moe(text: str, known: Known = NOW) -> Draft:
    return adopt("config.yaml", text.encode(), known)


def valid(draft: Draft) -> Config:
    """What is written can be read again as it was meant, and no key stands in it."""
    text = render(draft)
    assert yaml.safe_load(text) == draft.config
    assert parse(render_env(draft)) == draft.env
    return Config.model_validate(yaml.safe_load(text))


def whys(draft: Draft) -> dict[str, str]:
    return {each.what: each.why for each in draft.left}


def test_gpt_vup() -> None:
    """Room, voice and proxy find their places; the key and the debug switch go to .env alone."""
    draft = ini(INI)
    config = valid(draft)
    assert draft.env == {"OPENAI_API_KEY": "sk-an-example", "ONAIR_DEBUG": "1"}
    assert "sk-an-example" not in render(draft)
    assert config.network.proxy == "http://127.0.0.1:7890"
    assert config.rooms["main"].sources == [{"api": {}}]
    assert (config.personas["host"].language, config.gateway.persona) == ("zh", "host")
    assert set(whys(draft)) == {"[room] id", "[edge-tss]"}
    assert "#           room: 27661527\n" in render(draft)
    assert "#           rate: +10%\n" in render(draft)


def test_what_a_later_version_knows_is_written() -> None:
    """Sources and engines that exist are no comments."""
    config, again = ini(INI, LATER).config, moe(YAML, LATER).config
    assert config["rooms"]["main"]["sources"] == [{"bilibili": {"room": 27661527}}]
    edge = {"edge": {"voice": "zh-CN-XiaoyiNeural", "rate": "+10%", "volume": "+0%"}}
    assert config["voices"]["main"]["engines"] == [edge, {"espeak": {"voice": "cmn", "rate": 230}}]
    assert again["voices"]["main"]["engines"][0]["gpt_sovits"]["top_k"] == 15


def test_moechat() -> None:
    """The address loses its path's end, clips by emotion are kept, empty values are nothing, speech is in quotes."""
    draft = moe(YAML)
    config = valid(draft)
    assert (config.engines.openai.base_url, config.engines.openai.model) == ("http://127.0.0.1:11434/v1", "qwen3:8b")
    assert draft.env == {}
    assert config.voices["main"].references["开心"] == {"audio": "clips/happy.wav", "text": "太好了，我们出发吧！"}
    assert config.personas["host"].spoken == "quoted"
    assert set(whys(draft)) == {"GSV", "Core.sv"}
    assert "#           text_lang: zh\n" in render(draft)


@pytest.mark.parametrize(
    ("make", "text", "what", "why"),
    [
        (ini, "[openai]\napi_key = sk-…\n", "[openai] api_key", "a placeholder"),
        (ini, "[room]\nid = mine\n", "[room] id", "no number"),
        (ini, "[other]\nproxy = nowhere\n", "[other] proxy", "no address"),
        (ini, "[other]\nproxy = http://[\n", "[other] proxy", "no address"),
        (ini, "[other]\nproxy = u:p4ss@h:1\n", "[other] proxy", "carries a password"),
        (ini, "[other]\ncolour = red\n", "[other] colour", "no setting"),
        (ini, "[other]\nempty\n", "[other] empty", "no setting"),
        (moe, "LLM: {key: 你的key, model: m}", "LLM.key", "a placeholder"),
        (moe, "LLM: {api: 'ftp://x', model: m}", "LLM.api", "no http:// address"),
        (moe, "LLM: {api: 'http://[', model: m}", "LLM.api", "no http:// address"),
        (moe, "LLM: {api: 'https://h/v1/chat/completions?key=s3cr3t', model: m}", "LLM.api", "may be a secret"),
        (moe, "LLM: {api: 'https://u:s3cr3t@h/v1', model: m}", "LLM.api", "may be a secret"),
        (moe, "LLM: {api: h/v1}", "LLM.model", "scripted persona"),
        (moe, "LLM: {}\nextra_ref_audio: {a: [], b: [x], c: 3}", "extra_ref_audio.a", "no clip"),
        (moe, "LLM: {temperature: 1}\nother: 1", "LLM.temperature", "no setting"),
        (moe, "LLM: {}\nAgent: {}", "Agent", "no setting"),
    ],
)
def test_what_is_left_out_is_named(make: Callable[[str], Draft], text: str, what: str, why: str) -> None:
    """Each thing that is not taken over has its reason, and no secret of it is in the onair.yaml."""
    draft = make(text)
    valid(draft)
    assert why in whys(draft)[what]
    assert "s3cr3t" not in render(draft)
    assert "p4ss" not in render(draft)


def test_what_looks_secret_goes_to_the_env() -> None:
    """An unknown key whose name says secret is kept as a comment of .env, its value in quotes is unquoted."""
    draft = ini("[openai]\napi_key = 'k\"1'\n[other]\nsessdata = abc\ndebug = no\n")
    assert render_env(draft) == 'OPENAI_API_KEY="k"1"\n# [other] sessdata = abc\n'
    assert "abc" not in render(draft)
    valid(draft)


def test_addresses_of_models() -> None:
    """The full URL of the completions, its base, one without a scheme: all lead to the same."""
    for api in ("https://h/v1/chat/completions", "https://h/v1/", "https://h/v1/completions/"):
        assert moe(f"LLM: {{api: '{api}', model: m, key: k}}").config["engines"]["llm"]["openai"] == {
            "base_url": "https://h/v1",
            "model": "m",
        }
    assert moe("LLM: {api: 'h:1/v1', model: m}").config["engines"]["llm"]["openai"]["base_url"] == "http://h:1/v1"


def test_languages() -> None:
    """The voice's language chooses the persona's and the voice that speaks until its engine is there."""
    english = valid(ini("[edge-tts]\nvoice = en-US-JennyNeural\n"))
    assert english.personas["host"].language == "en"
    assert english.voices["main"].engines == [{"espeak": {"voice": "en-us", "rate": 190}}]
    assert valid(moe("GSV: {text_lang: auto, aux_ref_audio_paths: [a, ]}")).personas["host"].language == "zh"


def test_encodings_and_kinds() -> None:
    """What Windows writes is read; a file without a telling name is looked into."""
    for encoding in ("utf-8-sig", "utf-16", "gb18030"):
        draft = adopt("config.yaml", "LLM: {model: 模型}".encode(encoding), NOW)
        assert draft.config["engines"]["llm"]["openai"]["model"] == "模型"
    assert adopt("a.txt", b"# x\n[room]\nid=1\n", NOW).origin == "GPT-vup"
    assert adopt("a.txt", b"# x\nLLM:\n", NOW).origin == "MoeChat"


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("a.ini", b"api_key = s3cr3t\n", "a.ini:1: a line before the first"),
        ("a.ini", b"[openai]\n = s3cr3t\n", "a.ini:2: this is neither"),
        ("a.ini", b"[openai]\napi_key\n  s3cr3t\n", "an indented line below a key without a value"),
        ("a.ini", b"[database]\n", "none of the sections openai, room"),
        ("a.ini", b"\xff\xff\xff", "no text"),
        ("a.yaml", b"LLM: {key: s3cr3t\n", "a.yaml:2: "),
        ("a.yaml", b"LLM: \x00", "is not YAML"),
        ("a.yaml", b"[" * 50_000, "is not YAML"),
        ("a.yaml", b"- a", "no list of settings"),
        ("a.yaml", b"[a]: b", "a.yaml:1"),
        ("a.yaml", b"personas: {}", "an onair.yaml already"),
        ("a.yaml", b"server: {}", "none of the keys Core, LLM"),
        ("a.yaml", b"#" * (1 << 20) + b"#", "is larger"),
    ],
)
def test_what_cannot_be_read(name: str, body: bytes, said: str) -> None:
    """One sentence, with the line where there is one, that repeats nothing of the file."""
    with pytest.raises(Failure) as caught:
        adopt(name, body, NOW)
    assert caught.value.code is Code.BAD_INPUT
    assert said in caught.value.sentence
    assert "s3cr3t" not in caught.value.sentence


@given(st.binary(max_size=80), st.sampled_from(["a.ini", "a.yaml", "a"]), st.sampled_from(["", INI, YAML]))
def test_any_bytes_are_a_draft_or_a_failure(body: bytes, name: str, before: str) -> None:
    """The importer is total, and what it writes is always valid."""
    with suppress(Failure):
        valid(adopt(name, before.encode() + body, NOW))


WORDS = st.text(max_size=12)
LEAVES = st.one_of(
    WORDS, st.none(), st.integers(), st.lists(WORDS, max_size=3), st.dictionaries(WORDS, WORDS, max_size=2)
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "Core": st.dictionaries(st.sampled_from(["sv", "x"]), LEAVES),
            "LLM": st.dictionaries(st.sampled_from(["api", "key", "model", "x"]), LEAVES),
            "GSV": st.dictionaries(st.sampled_from(["text_lang", "ref_audio_path", "seed", "prompt_text"]), LEAVES),
            "extra_ref_audio": st.dictionaries(WORDS, LEAVES),
        },
    )
)
def test_any_values_of_moechat(tree: dict[str, object]) -> None:
    """Whatever stands at the keys, the written file is valid."""
    with suppress(Failure):
        valid(adopt("a.yaml", yaml.dump(tree).encode(), NOW))


@given(
    st.dictionaries(st.sampled_from(["openai", "room", "edge-tss", "other"]), st.dictionaries(WORDS, WORDS, max_size=3))
)
def test_any_values_of_gpt_vup(sections: dict[str, dict[str, str]]) -> None:
    """Whatever stands in the sections, the written file is valid."""
    names = {"openai": "api_key", "room": "id", "edge-tss": "voice", "other": "proxy"}
    text = "".join(
        f"[{name}]\n{names[name]} = {next(iter(keys.values()), '')}\n"
        + "".join(f"{key} = {value}\n" for key, value in keys.items())
        for name, keys in sections.items()
    )
    with suppress(Failure, UnicodeEncodeError):
        valid(ini(text))


@pytest.mark.parametrize("name", ["gpt-vup.ini", "moechat.yaml"])
def test_the_file_is_written(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It can be loaded; keys lie beside it for its owner alone; a second import overwrites only when told."""
    out = tmp_path / "onair.yaml"
    assert take_over(EXAMPLES / name, out, force=False) == 0
    load(out)
    said = capsys.readouterr().out
    assert "not in this version" in said
    assert "sk-an-example" not in said + out.read_text()
    env = tmp_path / ".env.imported"
    assert env.exists() == (name == "gpt-vup.ini")
    if env.exists():
        assert env.stat().st_mode & 0o077 == 0
    with pytest.raises(Failure, match="is there already; name another by --out, or overwrite it by --force"):
        take_over(EXAMPLES / name, out, force=False)
    assert take_over(EXAMPLES / name, out, force=True) == 0
    assert check(out) == 0


def test_files_that_cannot_be(tmp_path: Path) -> None:
    """A missing file and a folder that is not there are sentences."""
    with pytest.raises(Failure, match="cannot read"):
        take_over(tmp_path / "none.ini", tmp_path / "onair.yaml", force=False)
    with pytest.raises(Failure, match="cannot write"):
        take_over(EXAMPLES / "moechat.yaml", tmp_path / "none" / "onair.yaml", force=False)
