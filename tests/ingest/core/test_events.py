"""Parsing is a total function, and its events keep the contract's limits."""

import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contract.ingest import LiveEvent
from services.ingest.core import bilibili
from services.ingest.core.douyin import Dialect
from services.ingest.core.events import parse
from services.ingest.core.ports import Frame
from tests.ingest.core.samples import (
    DANMAKU,
    GIFT,
    GIVEN,
    GUARD,
    INTERACT,
    INTERACT_PB,
    NOW_MS,
    SUPER_CHAT,
    changed,
    envelope,
    one,
    read,
)

SAMPLES = (
    ("bilibili", DANMAKU),
    ("bilibili", SUPER_CHAT),
    ("bilibili", GIFT),
    ("bilibili", GUARD),
    ("bilibili", INTERACT),
    ("bilibili", '{"cmd":"SUPER_CHAT_MESSAGE_DELETE","data":{"ids":[6522809]}}'),
    ("bilibili", '{"cmd":"LIVE","live_key":"61"}'),
    ("douyin", GIVEN),
    ("douyin", envelope(1, {"Content": "hi"})),
    ("douyin", envelope(2, {"Count": 2})),
    ("douyin", envelope(7, {"Type": 2})),
)
WILD = st.text(st.characters(exclude_categories=()), max_size=60)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**15, 10**30)
    | st.floats()
    | WILD
    | st.sampled_from(["0", "折***", INTERACT_PB, "gold", "\ud83c", "a\0b", "é" * 3_000])
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(WILD, inner, max_size=5), max_leaves=12
)
PLATFORMS = st.sampled_from(["bilibili", "douyin", "", "twitch"])
DIALECTS: st.SearchStrategy[Dialect] = st.sampled_from(["grab", "object"])
total = settings(deadline=None, max_examples=200)


def check(platform: str, body: str, dialect: Dialect) -> None:
    """Either events that survive the wire, or a reason that is a short word."""
    parsed = parse(Frame(NOW_MS, platform, body, lap=3), "demo", dialect)
    assert bool(parsed.events) != bool(parsed.rejected)
    assert len(parsed.rejected) <= 80
    assert parsed.rejected.isprintable()
    for event in parsed.events:
        assert LiveEvent.from_json(event.to_json()) == event
        assert event.id.endswith("#3")
        assert event.at_ms <= NOW_MS


@total
@given(PLATFORMS, WILD, DIALECTS)
def test_any_text(platform: str, body: str, dialect: Dialect) -> None:
    """Any text gives events or a reason."""
    check(platform, body, dialect)


@total
@given(PLATFORMS, JSON, DIALECTS)
def test_any_json(platform: str, value: object, dialect: Dialect) -> None:
    """Any JSON, and what JSON nearly allows, gives events or a reason."""
    check(platform, json.dumps(value), dialect)


@total
@given(st.sampled_from(sorted(bilibili.RULES)), JSON, JSON)
def test_any_command(cmd: str, data: object, info: object) -> None:
    """Every known command with any content gives events or a reason."""
    check("bilibili", json.dumps({"cmd": cmd, "data": data, "info": info, "live_key": info, "msg_id": data}), "grab")


@total
@given(st.integers(0, 12), JSON, st.booleans(), DIALECTS)
def test_any_envelope(no: int, data: object, twice: bool, dialect: Dialect) -> None:  # noqa: FBT001  Hypothesis gives it
    """Every type of envelope with any content gives events or a reason."""
    check("douyin", json.dumps({"Type": no, "Data": json.dumps(data) if twice else data}), dialect)


@total
@given(st.sampled_from(SAMPLES), st.integers(0, 700), st.integers(0, 4), WILD, DIALECTS)
def test_mutated_text(sample: tuple[str, str], at: int, cut: int, junk: str, dialect: Dialect) -> None:
    """Good frames with characters replaced give events or a reason."""
    platform, body = sample
    check(platform, body[:at] + junk + body[at + cut :], dialect)


def places(value: object) -> list[tuple[Any, Any]]:
    """Every container in `value` with each of its keys."""
    inside: list[tuple[Any, object]] = []
    if isinstance(value, dict):
        inside = list(cast("dict[Any, object]", value).items())
    elif isinstance(value, list):
        inside = list(enumerate(cast("list[object]", value)))
    here: list[tuple[Any, Any]] = [(cast("Any", value), key) for key, _ in inside]
    return here + [place for _, inner in inside for place in places(inner)]


@total
@given(st.sampled_from(SAMPLES), st.data(), JSON, DIALECTS)
def test_mutated_field(sample: tuple[str, str], data: st.DataObject, junk: object, dialect: Dialect) -> None:
    """Good frames with any one field replaced give events or a reason."""
    platform, body = sample
    value = json.loads(body)
    if isinstance(value.get("Data"), str):
        value["Data"] = json.loads(value["Data"])
    container, key = data.draw(st.sampled_from(places(value)))
    container[key] = junk
    check(platform, json.dumps(value), dialect)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[" * 200_000, "bad_json"),
        ('{"a":' * 200_000, "bad_json"),
        ('{"cmd":' + "9" * 5_000 + "}", "bad_json"),
        ('{"cmd":NaN}', "bad_json"),
        ('{"cmd":"LIVE"\0}', "bad_json"),
        (" " * 1_048_577, "too_large"),
        ("null", "not_an_object"),
    ],
)
def test_hostile(body: str, reason: str) -> None:
    """Deep nesting, endless numbers, what is no JSON, and too much of it are rejected."""
    assert read(body).rejected == reason


def test_odd_numbers() -> None:
    """A number beyond a double's range is no price; one in another notation is."""
    assert read(SUPER_CHAT.replace('"price":30', '"price":1e999')).rejected == "bad_number"
    assert one(SUPER_CHAT.replace('"price":30', '"price":3e1')).amount_fen == 3_000
    assert one(SUPER_CHAT.replace('"price":30', '"price":"30"')).amount_fen == 3_000


def test_unknown_platform() -> None:
    """A platform without a parser is rejected."""
    assert read("{}", "twitch").rejected == "unknown_platform"


def test_clean_text() -> None:
    """Half an emoji becomes U+FFFD and a control character a space: a paid message is not lost for either."""
    event = one(changed(SUPER_CHAT, message=" a\0b\ud83cc\n", user_info={"uname": "\x1b[1m"}))
    assert (event.text, event.viewer.name) == ("a b\ufffdc", "[1m")


def test_broken_body() -> None:
    """A body that has no form in UTF-8 is kept in one that has."""
    assert one(SUPER_CHAT.replace("…", "\ud83c")).raw == SUPER_CHAT.replace("…", "\ufffd")


def test_clipped() -> None:
    """Texts are clipped to the contract's limits, and a raw frame above its limit is left out."""
    event = one(changed(SUPER_CHAT, message="字" * 70_000, user_info={"uname": "名" * 500}))
    assert (len(event.text), len(event.viewer.name), event.raw) == (2_000, 128, "")


def test_time_of_the_platform() -> None:
    """The platform's time counts, unless it lies ahead, makes no sense, or is that of a recording."""
    assert one(SUPER_CHAT).at_ms == 1_677_069_035_000
    assert one(SUPER_CHAT, recorded=True).at_ms == NOW_MS
    for stamp in (1_900_000_000, -5, "x", 10**40):
        assert one(changed(SUPER_CHAT, start_time=stamp)).at_ms == NOW_MS


def test_laps() -> None:
    """Each lap of a looping source has ids, combos and withdrawals of its own."""
    gift = changed(GIFT, batch_combo_id="c")
    delete = '{"cmd":"SUPER_CHAT_MESSAGE_DELETE","data":{"ids":[6522809]}}'
    assert one(gift, lap=2).combo == "bilibili:c#2"
    assert one(delete, lap=2).withdraws == (one(SUPER_CHAT, lap=2).id,) == ("bilibili:super_chat:6522809#2",)
    assert one(SUPER_CHAT, lap=0).id == "bilibili:super_chat:6522809"
