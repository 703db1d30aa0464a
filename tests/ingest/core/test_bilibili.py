"""Bilibili's commands become the events that they tell."""

import json

import pytest

from services.contract.ingest import Kind, Lane, Viewer
from tests.ingest.core.samples import (
    DANMAKU,
    GIFT,
    INTERACT,
    NOW_MS,
    SUPER_CHAT,
    changed,
    message,
    one,
    packed,
    read,
)


def test_danmaku() -> None:
    """A danmaku gives text, viewer, medal and the platform's time in the chat lane."""
    event = one(DANMAKU)
    assert (event.kind, event.lane, event.room, event.source) == (Kind.DANMAKU, Lane.CHAT, "demo", "bilibili")
    assert event.text == "白花300块[热]"
    assert event.viewer == Viewer(id="6088969", name="tim1997", medal="果咩吖")
    assert event.at_ms == 1_723_979_200_649
    assert event.raw == DANMAKU


def with_extra(extra: object) -> str:
    body = json.loads(DANMAKU)
    body["info"][0] += [0] * 10 + [extra]
    return json.dumps(body)


def test_danmaku_id() -> None:
    """The platform's own id is taken where the danmaku has one."""
    assert one(with_extra({"extra": '{"id_str":"5fab"}'})).id == "bilibili:danmaku:5fab"


@pytest.mark.parametrize(
    "extra", [None, 7, {"extra": 7}, {"extra": "{"}, {"extra": "{}"}, {"extra": '{"id_str":"a b"}'}]
)
def test_danmaku_without_id(extra: object) -> None:
    """Without a readable id a danmaku has an id of uid, time and text."""
    assert one(with_extra(extra)).id == one(DANMAKU).id
    assert one(DANMAKU).id != one(DANMAKU.replace("300", "200")).id


def test_danmaku_without_milliseconds() -> None:
    """Where the first column lacks the time the seconds of the tenth count, else the arrival."""
    assert one(DANMAKU.replace("1723979200649", "0")).at_ms == 1_723_979_200_000
    assert one('{"cmd":"DANMU_MSG","info":[[],"hi",[1,"a"]]}').at_ms == NOW_MS


def test_danmaku_without_medal() -> None:
    """An empty medal column is no medal."""
    assert one(DANMAKU.replace('[29,"果咩吖","果宝Official",31180317]', "[]")).viewer.medal == ""


def test_mirror_and_suffix() -> None:
    """A mirrored danmaku, and one whose command has a suffix, are the same danmaku."""
    mirror = DANMAKU.replace("DANMU_MSG", "DANMU_MSG_MIRROR")
    suffix = DANMAKU.replace("DANMU_MSG", "DANMU_MSG:4:0:2:2:2:0")
    assert one(mirror).id == one(suffix).id == one(DANMAKU).id


@pytest.mark.parametrize("user", ['[0,"tim1997"]', '["0","tim1997"]', '[6088969,"折***"]', "[]"])
def test_masked(user: str) -> None:
    """A uid of 0 or a masked name identifies nobody."""
    assert one(DANMAKU.replace('[6088969,"tim1997",0,0,0,10000,1,""]', user)).viewer.id == ""


def test_masked_viewers_are_not_one() -> None:
    """Two masked viewers who say the same are two events."""
    first = DANMAKU.replace("6088969", "0").replace("tim1997", "折***")
    assert one(first).id != one(first.replace("折***", "晨***")).id


def test_super_chat() -> None:
    """A super chat is paid, its price in fen, its id the platform's."""
    event = one(SUPER_CHAT)
    assert (event.kind, event.lane, event.id) == (Kind.SUPER_CHAT, Lane.PAID, "bilibili:super_chat:6522809")
    assert (event.text, event.amount_fen, event.at_ms) == ("…", 3_000, 1_677_069_035_000)
    assert event.viewer == Viewer(id="294094150", name="界原虚")


def test_super_chat_twin() -> None:
    """The Japanese twin, which writes its id as a string, is the same super chat."""
    assert one(changed(SUPER_CHAT, "SUPER_CHAT_MESSAGE_JPN", id="6522809")).id == one(SUPER_CHAT).id


def test_super_chat_medal() -> None:
    """The medal of a super chat is that of `medal_info`."""
    assert one(changed(SUPER_CHAT, medal_info={"medal_name": "夜灯"})).viewer.medal == "夜灯"


def test_withdrawal() -> None:
    """A deletion names the super chats that it takes back."""
    event = one('{"cmd":"SUPER_CHAT_MESSAGE_DELETE","data":{"ids":[6522809,"7"]},"roomid":1}')
    assert (event.kind, event.lane) == (Kind.WITHDRAWAL, Lane.PAID)
    assert event.withdraws == (one(SUPER_CHAT).id, "bilibili:super_chat:7")


@pytest.mark.parametrize("ids", [[], list(range(101)), [-1], [None], [True]])
def test_bad_withdrawal(ids: list[object]) -> None:
    """A deletion of nothing, of too many, or of what is no id is rejected."""
    body = json.dumps({"cmd": "SUPER_CHAT_MESSAGE_DELETE", "data": {"ids": ids}})
    assert read(body).rejected == "bad_id"


def test_interaction_vector() -> None:
    """The recorded INTERACT_WORD_V2 is the entry of a viewer with a medal."""
    event = one(INTERACT)
    assert (event.kind, event.lane, event.id) == (Kind.ENTER, Lane.WELCOME, "bilibili:enter:439367700-1751716524")
    assert event.viewer == Viewer(id="439367700", name="StarSea246", medal="生态")
    assert (event.text, event.at_ms) == ("StarSea246 进入直播间", 1_751_716_524_000)


@pytest.mark.parametrize(
    ("no", "kind"), [(1, Kind.ENTER), (2, Kind.FOLLOW), (3, Kind.SHARE), (4, Kind.FOLLOW), (5, Kind.FOLLOW)]
)
def test_interactions(no: int, kind: Kind) -> None:
    """`msg_type` says what the viewer did, the same in both forms."""
    data = {"uid": 439367700, "uname": "StarSea246", "msg_type": no, "timestamp": 5, "fans_medal": None}
    plain = one(json.dumps({"cmd": "INTERACT_WORD", "data": data}))
    twin = one(packed("INTERACT_WORD_V2", message(f1=439367700, f2="StarSea246", f5=no, f7=5)))
    assert plain.kind == kind
    assert twin.model_copy(update={"raw": plain.raw}) == plain


def test_unknown_interaction() -> None:
    """Another `msg_type` is harmless."""
    assert read(packed("INTERACT_WORD_V2", message(f5=9))).rejected == "ignored:INTERACT_WORD_V2"


def like(uid: int, name: str, words: str = "为主播点赞了") -> str:
    return json.dumps({"cmd": "LIKE_INFO_V3_CLICK", "data": {"uid": uid, "uname": name, "like_text": words}})


def test_like() -> None:
    """A like has the platform's words, the arrival's time, and one id per viewer."""
    event = one(like(7, "小鱼"))
    assert (event.kind, event.lane, event.id) == (Kind.LIKE, Lane.WELCOME, "bilibili:like:7")
    assert (event.text, event.at_ms) == ("小鱼 为主播点赞了", NOW_MS)
    assert one(like(0, "折***")).id != one(like(0, "晨***")).id


def test_long_like() -> None:
    """Words that fill the limit leave no room to overflow."""
    assert len(one(like(7, "小" * 200, "赞" * 3_000)).text) == 2_000


def test_room() -> None:
    """LIVE and PREPARING say that the room opens and closes; LIVE is repeated under one key."""
    started = one('{"cmd":"LIVE","live_key":"610","roomid":1}')
    assert (started.kind, started.lane, started.id) == (Kind.STARTED, Lane.CONTROL, "bilibili:started:610")
    ended = one('{"cmd":"PREPARING","roomid":"1"}')
    assert (ended.kind, ended.lane, ended.id) == (Kind.ENDED, Lane.CONTROL, f"bilibili:ended:{NOW_MS}")


def test_unknown_command() -> None:
    """A command without a rule gives nothing and is no fault."""
    parsed = read('{"cmd":"NOTICE_MSG","data":{}}')
    assert (parsed.events, parsed.rejected, parsed.bad) == ((), "ignored:NOTICE_MSG", False)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{}", "bad_cmd"),
        ('{"cmd":42}', "bad_cmd"),
        ('{"cmd":"a b"}', "bad_cmd"),
        ('{"cmd":"' + "A" * 65 + '"}', "bad_cmd"),
        ('{"cmd":"DANMU_MSG"}', "no_text"),
        ('{"cmd":"DANMU_MSG","info":{}}', "bad_field"),
        ('{"cmd":"DANMU_MSG","info":[7]}', "bad_field"),
        ('{"cmd":"DANMU_MSG","info":[[],7]}', "bad_field"),
        ('{"cmd":"SUPER_CHAT_MESSAGE","data":[]}', "bad_field"),
        ('{"cmd":"SUPER_CHAT_MESSAGE","data":{}}', "bad_id"),
        (changed(SUPER_CHAT, price=-30), "bad_number"),
        (changed(SUPER_CHAT, price=10**12), "bad_number"),
        (changed(SUPER_CHAT, price="many"), "bad_number"),
        (changed(SUPER_CHAT, price=True), "bad_number"),
        (changed(SUPER_CHAT, uid=1.5), "bad_id"),
        (changed(SUPER_CHAT, uid=2**64), "bad_id"),
        (changed(GIFT, num=None), "bad_number"),
        ('{"cmd":"INTERACT_WORD_V2","data":{"pb":"***"}}', "bad_base64"),
        ('{"cmd":"INTERACT_WORD_V2","data":{}}', "bad_base64"),
        ('{"cmd":"SEND_GIFT_V2","data":{"pb":"CJTwwNEBEv8="}}', "bad_protobuf"),
    ],
)
def test_malformed(body: str, reason: str) -> None:
    """A malformed command is rejected with a stable word."""
    parsed = read(body)
    assert (parsed.events, parsed.rejected, parsed.bad) == ((), reason, True)
