"""Bilibili's gifts and guards: one purchase is one event, however often it is told."""

import json

import pytest

from services.contract.ingest import Kind, Lane
from services.ingest.core.bilibili import is_summary
from tests.ingest.core.samples import GIFT, GUARD, changed, message, one, packed, read

COMBO = "batch:gift:combo_id:510149209:31036:1673622464.5"
SUMMARY = json.dumps(
    {
        "cmd": "COMBO_SEND",
        "data": {
            "uid": 510149209,
            "uname": "12138额83121",
            "action": "投喂",
            "gift_id": 31036,
            "gift_name": "小花花",
            "gift_num": 0,
            "combo_num": 5,
            "total_num": 5,
            "combo_total_coin": 500,
            "combo_id": "gift:combo_id:1",
            "batch_combo_id": COMBO,
        },
    }
)


def test_gold_gift() -> None:
    """A gift of gold coins is paid: 1,000 of them are ¥1."""
    event = one(GIFT)
    assert (event.kind, event.lane, event.id) == (Kind.GIFT, Lane.PAID, "bilibili:gift:1673622464121900003")
    assert (event.amount_fen, event.gift, event.count, event.action) == (10, "小花花", 1, "投喂")
    assert (event.viewer.name, event.at_ms, event.combo) == ("12138额83121", 1_673_622_464_000, "")


def test_silver_gift() -> None:
    """A gift of silver coins costs nothing and is chat."""
    event = one(changed(GIFT, coin_type="silver"))
    assert (event.lane, event.amount_fen) == (Lane.CHAT, 0)


def test_gift_without_total() -> None:
    """Without a total the price counts for each piece."""
    body = json.loads(GIFT)
    del body["data"]["total_coin"]
    body["data"] |= {"num": 3, "action": None}
    event = one(json.dumps(body))
    assert (event.amount_fen, event.count, event.action) == (30, 3, "投喂")


def test_gift_without_tid() -> None:
    """A gift without a transaction has an id of giver, gift, number and time."""
    bare = changed(GIFT, tid="")
    assert one(bare).id == one(changed(bare, action="赠送")).id
    assert one(bare).id != one(changed(bare, num=2)).id


@pytest.mark.parametrize(
    "data",
    [
        {"batch_combo_id": COMBO, "batch_combo_send": None},
        {"batch_combo_send": {"batch_combo_id": COMBO}},
        {"combo_send": {"combo_id": COMBO}},
    ],
)
def test_combo(data: dict[str, object]) -> None:
    """The gifts of a combo bear its id wherever the platform puts it, and so does their summary."""
    gift, summary = one(changed(GIFT, **data)), one(SUMMARY)
    assert gift.combo == summary.combo == f"bilibili:{COMBO}"
    assert (is_summary(gift), is_summary(summary)) == (False, True)


def test_summary() -> None:
    """A combo's summary has the sum of its gifts."""
    event = one(SUMMARY)
    assert event.id == f"bilibili:combo:{COMBO}"
    assert (event.lane, event.amount_fen, event.count, event.gift) == (Lane.PAID, 50, 5, "小花花")


@pytest.mark.parametrize("data", [{"combo_total_coin": 0}, {"coin_type": "silver"}])
def test_silver_summary(data: dict[str, object]) -> None:
    """A combo of silver gifts costs nothing and is chat."""
    event = one(changed(SUMMARY, action="", **data))
    assert (event.lane, event.amount_fen, event.action) == (Lane.CHAT, 0, "投喂")


def test_summary_without_combo() -> None:
    """A summary that names no combo cannot be told from its gifts and is rejected."""
    assert read(changed(SUMMARY, combo_id="", batch_combo_id=None)).rejected == "bad_id"


def gift_v2(**more: int | str | bytes) -> str:
    gift = message(
        f1=31036, f2="小花花", f3=1, f5=100, f7=100, f8="gold", f9="1673622464121900003", f10=1673622464, f18="投喂"
    )
    medal = message(f5=7, f6="夜灯")
    return packed("SEND_GIFT_V2", message(f1=510149209, f2="12138额83121", f8=medal, f10=gift, **more))


def test_gift_twin() -> None:
    """The protobuf twin of a gift is the same event, but for the medal that only it has."""
    plain, twin = one(GIFT), one(gift_v2())
    assert twin.viewer.medal == "夜灯"
    assert twin.model_copy(update={"viewer": plain.viewer, "raw": plain.raw}) == plain


def test_gifts_at_once() -> None:
    """Two gifts in one protobuf command are two events, each with its transaction and combo."""
    more = message(f1=2, f2="情书", f3=1, f7=5200, f8="gold", f9="2", f12=COMBO)
    first, second = read(gift_v2(f10_more=more)).events
    assert (first.id, second.id) == ("bilibili:gift:1673622464121900003", "bilibili:gift:2")
    assert (second.amount_fen, second.combo) == (520, f"bilibili:{COMBO}")


def test_no_gift() -> None:
    """A protobuf command without a gift is rejected."""
    assert read(packed("SEND_GIFT_V2", message(f1=1))).rejected == "no_gift"


def toast_v2(level: int = 3, source: int = 0) -> str:
    data = {
        "sender_uinfo": {"uid": 14225357, "base": {"name": "妙妙喵喵妙妙喵O_O"}},
        "guard_info": {"guard_level": level, "start_time": 1677069316},
        "pay_info": {"num": 1, "price": 198000, "unit": "月"},
        "option": {"source": source},
    }
    return json.dumps({"cmd": "USER_TOAST_MSG_V2", "data": data})


def test_guard() -> None:
    """A guard is paid, its price in fen, its title in Chinese."""
    event = one(GUARD)
    assert (event.kind, event.lane, event.gift, event.amount_fen) == (Kind.GUARD, Lane.PAID, "舰长", 19_800)
    assert (event.viewer.id, event.at_ms, event.count) == ("14225357", 1_677_069_316_000, 1)


@pytest.mark.parametrize(("level", "title"), [(1, "总督"), (2, "提督"), (3, "舰长")])
def test_guard_titles(level: int, title: str) -> None:
    """Level 1 is the highest guard."""
    assert one(toast_v2(level)).gift == title


@pytest.mark.parametrize("twin", [changed(GUARD, "USER_TOAST_MSG", payflow_id="2302"), toast_v2(), toast_v2(source=2)])
def test_guard_twins(twin: str) -> None:
    """The three commands that tell one purchase give the same event."""
    assert one(twin).model_copy(update={"raw": GUARD}) == one(GUARD)


def test_masked_guards() -> None:
    """Masked buyers are told apart by their masked names, and their twins share the id."""
    first = changed(GUARD, uid=0, username="折***")
    assert one(first).id == one(changed(first, "USER_TOAST_MSG")).id
    assert one(first).id != one(changed(first, username="晨***")).id


def test_unknown_guard() -> None:
    """A guard level that nobody sells is rejected."""
    assert read(changed(GUARD, guard_level=4)).rejected == "bad_guard"
