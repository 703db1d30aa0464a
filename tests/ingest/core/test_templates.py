"""Templates: what is asked and what is said for each kind of event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.ingest import Kind, Lane, Viewer
from services.ingest.core.templates import render
from tests.ingest.core.made import chat, enter, event, gift, paid

SHOWN = (
    "text",
    "content",
    "message",
    "user",
    "uname",
    "nick",
    "action",
    "giftName",
    "GiftName",
    "medal_name",
    "Content",
)


def test_persona_templates() -> None:
    """The persona's templates are filled in; the place of the answer stays."""
    own = {"super_chat": {"ask": "{message}", "say": "感谢{user}的sc。{message} {gpt}"}}
    assert render([paid("p")], own, "zh") == ("take this", "感谢Ann的sc。take this {gpt}")


def test_defaults_fill_what_is_missing() -> None:
    """A persona that gives only one of the two gets ours for the other."""
    assert render([chat("a")], {"danmaku": {"say": "{gpt}"}}, "zh") == ("hello", "{gpt}")
    assert render([chat("a")], {"danmaku": {"ask": "Q: {text}"}}, "zh") == ("Q: hello", "hello {gpt}")


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("kind", [k for k in Kind if k not in {Kind.WITHDRAWAL, Kind.STARTED, Kind.ENDED}])
def test_every_kind_has_defaults(kind: Kind, language: str) -> None:
    """Each kind is asked about and answered in both languages; an operator's line alone is not asked about."""
    ask, say = render([event("e", kind, Lane.WELCOME, text="words", gift="rose")], {}, language)
    assert bool(ask) == (kind is not Kind.SAY)
    assert say == "words" if kind is Kind.SAY else "{gpt}" in say
    assert ("。" in ask) <= (language == "zh")


def test_unknown_kind() -> None:
    """What has no template of its own is put to the model as it is."""
    assert render([event("e", Kind.STARTED, Lane.CONTROL, text="on")], {}, "en") == ("on", "{gpt}")


def test_all_places() -> None:
    """Each placeholder has its value."""
    template = " ".join(f"{name}={{{name}}}" for name in (*SHOWN, "count"))
    ann = Viewer(id="1", name="Ann", medal="fans")
    filled, _ = render([gift("g", viewer=ann, count=3, text="Ann sent a rose")], {"gift": {"ask": template}}, "en")
    assert filled == (
        "text=Ann sent a rose content=Ann sent a rose message=Ann sent a rose user=Ann uname=Ann nick=Ann action=sent "
        "giftName=rose GiftName=rose medal_name=fans Content=Ann sent a rose count=3"
    )


def test_combo_counts_all() -> None:
    """A combo is thanked for once, with all its pieces."""
    gifts = [gift("g1", count=2, text="sent 2"), gift("g2", count=3, text="sent 3")]
    assert render(gifts, {"gift": {"ask": "{Content}!", "say": "{count}"}}, "en") == ("Ann sent 5 × rose!", "5")
    assert render(gifts, {"gift": {"ask": "{Content}!", "say": "{count}"}}, "zh")[0] == "Annsent了5个rose!"


def test_nameless() -> None:
    """Where the platform gives no name, verb or gift, there are words for it."""
    bare = event("g", Kind.GIFT, Lane.PAID, viewer=Viewer())
    own = {"gift": {"ask": "{user}{action}{giftName}"}}
    assert render([bare], own, "zh")[0] == "一位观众送出礼物"
    assert render([bare], own, "en")[0] == "a viewersentgift"


def test_wordless_super_chat() -> None:
    """A super chat without words is still something to answer."""
    silent = paid("p").model_copy(update={"text": " "})
    ask, say = render([silent], {}, "en")
    assert ask == "Ann wrote nothing. Say hello to them."
    assert say == "Thank you for the super chat, Ann!  {gpt}"


def test_long_text_is_clipped() -> None:
    """Of what a viewer wrote 200 characters count, on one line; an operator's line is spoken whole."""
    ask, _ = render([chat("a").model_copy(update={"text": "字" * 300})], {}, "zh")
    assert (len(ask), ask[-1]) == (200, "…")
    assert render([chat("a").model_copy(update={"text": "one\n two"})], {}, "zh")[0] == "one two"
    assert render([event("s", Kind.SAY, Lane.PAID, text="y" * 2_000)], {}, "zh") == ("", "y" * 2_000)


def test_bounded() -> None:
    """However often a template repeats a text, the turn has room for it."""
    ask, say = render(
        [event("s", Kind.SCHEDULE, Lane.PAID, text="y" * 2_000)],
        {"schedule": {"ask": "{text}" * 9, "say": "{text}" * 9}},
        "en",
    )
    assert (len(ask), len(say)) == (8_000, 4_000)


def test_empty_braces_are_the_answer() -> None:
    """A scheduled template may write `{}` for the answer."""
    assert render([event("s", Kind.SCHEDULE, Lane.PAID, text="news")], {"schedule": {"say": "Now: {}"}}, "en") == (
        "news",
        "Now: {gpt}",
    )


def test_unknown_places_are_text() -> None:
    """A placeholder that nobody knows stays as text and is no place of the answer."""
    own = {"danmaku": {"ask": '{"q": "{text}"} {price}', "say": "{price} {gpt}"}}
    assert render([chat("a")], own, "en") == ('{"q": "hello"} {price}', "｛price｝ {gpt}")


@pytest.mark.parametrize("words", ["{gpt}", "{0.__class__}", "{text}", "{", "{{gpt}}", "{}"])
def test_viewer_is_no_template(words: str) -> None:
    """What looks like a placeholder in a viewer's text or name is text."""
    one = enter("e", viewer=Viewer(id="1", name=words)).model_copy(update={"text": words})
    _, say = render([one], {"enter": {"say": "{user} {text}: {gpt}"}}, "en")
    assert say.count("{gpt}") == 1
    assert say.endswith(": {gpt}")
    assert say.count("{") == 1


TEXT = st.text(alphabet="{}gptuser 字", max_size=12)
PLACES = st.sampled_from([*(f"{{{name}}}" for name in SHOWN), "{gpt}", "{", "}", "{}", "gpt", "。"])


@given(st.lists(PLACES, max_size=8), TEXT, TEXT, TEXT, TEXT)
def test_answer_has_the_places_of_the_template(parts: list[str], name: str, text: str, item: str, medal: str) -> None:
    """However template and texts are put together, the answer has exactly the places that the template gave it."""
    template = "".join(parts)
    viewer = Viewer(id="1", name=name, medal=medal)
    one = gift("g", viewer=viewer, text=text).model_copy(update={"gift": item, "action": text})
    _, say = render([one], {"gift": {"say": template}}, "zh")
    assert say.count("{gpt}") == template.replace("{}", "{gpt}").count("{gpt}")
    assert say.count("{") == say.count("{gpt}")
