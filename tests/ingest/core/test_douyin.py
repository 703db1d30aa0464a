"""Douyin's envelopes become the events that they tell, in both dialects."""

import json

import pytest

from services.contract.ingest import Kind, Lane, LiveEvent, Viewer
from tests.ingest.core.samples import GIVEN, NOW_MS, USER, envelope, one, read


def grab(no: object, data: dict[str, object], **user: object) -> LiveEvent:
    return one(envelope(no, data, **user), "douyin")


def test_danmaku() -> None:
    """A comment gives text, viewer and club; the bridge tells no time, so the arrival counts."""
    event = grab(1, {"Content": "你好"})
    assert (event.kind, event.lane, event.id) == (Kind.DANMAKU, Lane.CHAT, "douyin:danmaku:9001")
    assert (event.text, event.at_ms, event.source) == ("你好", NOW_MS, "douyin")
    assert event.viewer == Viewer(id="77", name="小鱼", medal="鱼塘")


@pytest.mark.parametrize(
    ("no", "data", "kind", "action"),
    [
        (2, {"Count": 3, "Total": 9}, Kind.LIKE, "点了赞"),
        (3, {"CurrentCount": 60}, Kind.ENTER, "进入直播间"),
        (4, {}, Kind.FOLLOW, "关注了主播"),
        (7, {"Type": 1, "Level": 3}, Kind.FOLLOW, "升级了粉丝团"),
        (7, {"Type": 2, "Level": 1}, Kind.FOLLOW, "加入了粉丝团"),
        (7, {"Type": 9}, Kind.FOLLOW, "关注了主播"),
        (8, {"ShareType": 1}, Kind.SHARE, "分享了直播间"),
    ],
)
def test_welcomes(no: int, data: dict[str, object], kind: Kind, action: str) -> None:
    """Likes, entries, follows, clubs and shares are welcomes with the platform's words."""
    event = grab(no, data | {"Content": "小鱼 来了"})
    assert (event.kind, event.lane, event.action, event.text) == (kind, Lane.WELCOME, action, "小鱼 来了")
    assert event.count == data.get("Count", 1)


def test_gift() -> None:
    """A gift is worth its increment at 10 fen a diamond; the sum of its combo is not counted again."""
    event = one(GIVEN, "douyin")
    assert (event.kind, event.lane, event.id) == (Kind.GIFT, Lane.PAID, "douyin:gift:9001")
    assert (event.amount_fen, event.count, event.gift) == (180, 2, "棒棒糖")
    assert (event.combo, event.text, event.action) == ("douyin:5:3:8", "小鱼 送出 棒棒糖", "送出")


def test_room_as_string() -> None:
    """Newer bridges write the room's number as a string: the combo is the same."""
    body = json.loads(GIVEN)
    body["Data"] = body["Data"].replace('"RoomId": 5', '"RoomId": "5"')
    assert one(json.dumps(body), "douyin").combo == "douyin:5:3:8"


@pytest.mark.parametrize("group", [0, "", "0", None])
def test_gift_without_group(group: object) -> None:
    """Gifts that cannot be repeated are no combo."""
    event = grab(5, {"GiftId": 3, "GiftName": "跑车", "GroupId": group, "DiamondCount": 1200})
    assert (event.combo, event.count, event.amount_fen) == ("", 1, 12_000)


def test_empty_increment() -> None:
    """The envelope that closes a combo brings no new money and is harmless."""
    parsed = read(envelope(5, {"GiftId": 3, "GroupId": 8, "GiftCount": 0, "DiamondCount": 9}), "douyin")
    assert (parsed.rejected, parsed.bad) == ("ignored:5", False)


def test_statistics() -> None:
    """The room's statistics are harmless, whatever they look like."""
    assert read(envelope(6, {"OnlineUserCount": 3}), "douyin").rejected == "ignored:6"


@pytest.mark.parametrize("data", ['{"MsgId":4,"User":null,"Content":"直播已结束"}', "{}", None])
def test_ended(data: str | None) -> None:
    """The end of the show needs no viewer, nor anything else."""
    event = one(json.dumps({"Type": 9, "Data": data}), "douyin")
    assert (event.kind, event.lane, event.viewer) == (Kind.ENDED, Lane.CONTROL, Viewer())


@pytest.mark.parametrize(
    ("no", "kind"),
    [
        (1, Kind.ENTER),
        (2, Kind.FOLLOW),
        (3, Kind.DANMAKU),
        (4, Kind.LIKE),
        (5, Kind.GIFT),
        (6, Kind.SHARE),
        (9, Kind.FOLLOW),
    ],
)
def test_object_dialect(no: int, kind: Kind) -> None:
    """The fork numbers its types otherwise, gives `Data` as an object and writes `NickName`."""
    user = {"Id": 77, "NickName": "小鱼"}
    data = {"MsgId": 1, "User": user, "Content": "x", "DiamondCount": 1}
    event = one(json.dumps({"Type": no, "Data": data}), "douyin", "object")
    assert (event.kind, event.viewer.name) == (kind, "小鱼")


@pytest.mark.parametrize("no", [7, 8, 10, 11])
def test_object_dialect_ignores(no: int) -> None:
    """Statistics, status and types that are not known are harmless in the fork."""
    assert read(json.dumps({"Type": no, "Data": {}}), "douyin", "object").rejected == f"ignored:{no}"


def test_masked() -> None:
    """A masked viewer identifies nobody."""
    assert grab(1, {"Content": "x"}, Id=0).viewer.id == ""
    assert grab(1, {"Content": "x"}, Nickname="小***").viewer.id == ""


def test_without_message_id() -> None:
    """An envelope without an id has one of its own text."""
    first, second = (json.dumps({"Type": 1, "Data": {"User": USER, "Content": words}}) for words in "ab")
    assert one(first, "douyin").id == one(first, "douyin").id != one(second, "douyin").id


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("pong", "bad_json"),
        ("", "bad_json"),
        ("[]", "not_an_object"),
        ("{}", "bad_number"),
        ('{"Type":"弹幕","Data":"{}"}', "bad_number"),
        ('{"Type":1000,"Data":"{}"}', "bad_number"),
        ('{"Type":true,"Data":"{}"}', "bad_number"),
        ('{"Type":1,"Data":"{"}', "bad_json"),
        ('{"Type":1,"Data":7}', "bad_field"),
        ('{"Type":1,"Data":"{}"}', "no_text"),
        (envelope(1, {"Content": ["x"]}), "bad_field"),
        (envelope(1, {"Content": "x", "MsgId": "a b"}), "bad_id"),
        (envelope(5, {"GiftCount": -1}), "bad_number"),
        (envelope(5, {"DiamondCount": 10**9}), "bad_number"),
        (envelope(5, {"DiamondCount": 1, "GroupId": 8, "GiftId": "x" * 49}), "bad_id"),
        (envelope(5, {"DiamondCount": 1, "GroupId": [8]}), "bad_id"),
    ],
)
def test_malformed(body: str, reason: str) -> None:
    """A malformed envelope is rejected with a stable word."""
    parsed = read(body, "douyin")
    assert (parsed.events, parsed.rejected, parsed.bad) == ((), reason, True)


def test_unknown_type() -> None:
    """A type that is not known is harmless."""
    assert read('{"Type":42,"Data":"{"}', "douyin").rejected == "ignored:42"
