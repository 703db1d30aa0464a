"""Bilibili's live commands as events: one rule per command, the twins of one purchase under one id."""

from collections.abc import Callable
from contextlib import suppress
from re import compile as pattern

from services.contract.ingest import Kind, Lane, LiveEvent, Viewer
from services.ingest.core.fields import (
    ACTION_MAX,
    SHORT_MAX,
    Origin,
    Table,
    UnreadableError,
    decode,
    digest,
    ident,
    item,
    number,
    row,
    table,
    text,
    viewer,
    who,
)
from services.ingest.core.protobuf import interact_word, send_gift
from services.ingest.core.welcome import welcomed

Events = tuple[LiveEvent, ...]

GUARDS = {1: "总督", 2: "提督", 3: "舰长"}
INTERACTIONS = {1: Kind.ENTER, 2: Kind.FOLLOW, 3: Kind.SHARE, 4: Kind.FOLLOW, 5: Kind.FOLLOW}
"""By `msg_type`; 4 is a special follow, 5 a mutual one."""
GOLD_PER_FEN = 10
"""1,000 gold coins are ¥1."""
COMBO_ID_MAX = 128
WITHDRAWN_MAX = 100
"""Ids of one withdrawal."""

_CMD = pattern(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def events(origin: Origin, body: Table) -> Events:
    """The events of one command; raises `UnreadableError` with the reason, `ignored:<cmd>` for one that says nothing.

    A command may carry a suffix, as `DANMU_MSG:4:0:2:2:2:0`.
    """
    cmd = body.get("cmd")
    name = cmd.partition(":")[0] if isinstance(cmd, str) else ""
    if not _CMD.fullmatch(name):
        raise UnreadableError("bad_cmd")
    if (rule := RULES.get(name)) is None:
        raise UnreadableError(f"ignored:{name}")
    return rule(origin, body)


def is_summary(event: LiveEvent) -> bool:
    """Whether the event is a COMBO_SEND, which sums up the SEND_GIFTs of one combo and bears the same `combo`.

    Whoever has seen one of those gifts drops the summary: it is the same money a second time.
    """
    return event.kind is Kind.GIFT and event.id.startswith("bilibili:combo:")


def _danmaku(origin: Origin, body: Table) -> Events:
    info = row(body.get("info"))
    meta, user = row(item(info, 0)), row(item(info, 2))
    if not (words := text(item(info, 1))):
        raise UnreadableError("no_text")
    person = viewer(item(user, 0), item(user, 1), item(row(item(info, 3)), 1))
    second = table(item(info, 9)).get("ts", 0)
    key = _danmaku_id(item(meta, 15)) or digest(person.id, person.name, ident(second), words)
    at_ms = origin.at(item(meta, 4), 1) if item(meta, 4) else origin.at(second)
    return (origin.event(Kind.DANMAKU, f"danmaku:{key}", Lane.CHAT, person, at_ms=at_ms, words=words),)


def _danmaku_id(column: object) -> str:
    # JSON inside JSON, absent in older commands and changed at times: then the danmaku has an id of its content.
    with suppress(UnreadableError):
        extra = table(column).get("extra")
        return ident(table(decode(extra)).get("id_str")) if isinstance(extra, str) else ""
    return ""


def _super_chat(origin: Origin, body: Table) -> Events:
    data = table(body.get("data"))
    person = viewer(data.get("uid"), table(data.get("user_info")).get("uname"), _medal(data))
    return (
        origin.event(
            Kind.SUPER_CHAT,
            f"super_chat:{ident(data.get('id'))}",
            Lane.PAID,
            person,
            at_ms=origin.at(data.get("start_time")),
            words=text(data.get("message")),
            amount_fen=number(data.get("price")) * 100,
        ),
    )


def _withdrawal(origin: Origin, body: Table) -> Events:
    ids = [ident(one) for one in row(table(body.get("data")).get("ids"))]
    if not ids or len(ids) > WITHDRAWN_MAX:
        raise UnreadableError("bad_id")
    return (
        origin.event(
            Kind.WITHDRAWAL,
            f"withdrawal:{digest(*ids)}",
            Lane.PAID,
            Viewer(),
            at_ms=origin.frame.at_ms,
            withdraws=tuple(f"super_chat:{one}" for one in ids),
        ),
    )


def _gift(origin: Origin, body: Table) -> Events:
    return (_one_gift(origin, table(body.get("data"))),)


def _gift_v2(origin: Origin, body: Table) -> Events:
    if not (gifts := send_gift(table(body.get("data")).get("pb"))):
        raise UnreadableError("no_gift")
    return tuple(_one_gift(origin, gift) for gift in gifts)


def _one_gift(origin: Origin, data: Table) -> LiveEvent:
    person = viewer(data.get("uid"), data.get("uname"), _medal(data))
    name, count = text(data.get("giftName"), SHORT_MAX), number(data.get("num"))
    gold = data.get("coin_type") == "gold"
    coins = number(data["total_coin"]) if "total_coin" in data else number(data.get("price")) * count
    tid, stamp = data.get("tid"), data.get("timestamp", 0)
    key = ident(tid) if tid else digest(who(person), name, str(count), ident(stamp))
    return origin.event(
        Kind.GIFT,
        f"gift:{key}",
        Lane.PAID if gold else Lane.CHAT,
        person,
        at_ms=origin.at(stamp),
        amount_fen=coins // GOLD_PER_FEN if gold else 0,
        gift=name,
        count=count,
        action=text(data.get("action"), ACTION_MAX) or "投喂",
        combo=_combo(data),
    )


def _combo(data: Table) -> str:
    batch, single = table(data.get("batch_combo_send")), table(data.get("combo_send"))
    for value in (
        data.get("batch_combo_id"),
        batch.get("batch_combo_id"),
        data.get("combo_id"),
        single.get("combo_id"),
    ):
        if value:
            return ident(value, COMBO_ID_MAX)
    return ""


def _combo_end(origin: Origin, body: Table) -> Events:
    data = table(body.get("data"))
    if not (combo := _combo(data)):
        raise UnreadableError("bad_id")
    coins = number(data.get("combo_total_coin"))
    gold = coins > 0 and data.get("coin_type", "gold") == "gold"
    person = viewer(data.get("uid"), data.get("uname"), _medal(data))
    return (
        origin.event(
            Kind.GIFT,
            f"combo:{combo}",
            Lane.PAID if gold else Lane.CHAT,
            person,
            at_ms=origin.frame.at_ms,
            amount_fen=coins // GOLD_PER_FEN if gold else 0,
            gift=text(data.get("gift_name"), SHORT_MAX),
            count=number(data.get("total_num")),
            action=text(data.get("action"), ACTION_MAX) or "投喂",
            combo=combo,
        ),
    )


def _guard(origin: Origin, body: Table) -> Events:
    data = table(body.get("data"))
    person = viewer(data.get("uid"), data.get("username"))
    return (_bought_guard(origin, person, data, number(data.get("price")), number(data.get("num", 1))),)


def _guard_v2(origin: Origin, body: Table) -> Events:
    data = table(body.get("data"))
    sender, pay = table(data.get("sender_uinfo")), table(data.get("pay_info"))
    person = viewer(sender.get("uid"), table(sender.get("base")).get("name"))
    return (
        _bought_guard(
            origin, person, table(data.get("guard_info")), number(pay.get("price")), number(pay.get("num", 1))
        ),
    )


def _bought_guard(origin: Origin, person: Viewer, data: Table, price: int, count: int) -> LiveEvent:
    # GUARD_BUY, USER_TOAST_MSG and its V2 tell one purchase three times; only uid, time and level are in all of them.
    level, start = number(data.get("guard_level")), data.get("start_time")
    if level not in GUARDS:
        raise UnreadableError("bad_guard")
    return origin.event(
        Kind.GUARD,
        f"guard:{who(person)}-{ident(start)}-{level}",
        Lane.PAID,
        person,
        at_ms=origin.at(start),
        amount_fen=price * count // GOLD_PER_FEN,
        gift=GUARDS[level],
        count=count,
        action="开通",
    )


def _interaction(origin: Origin, body: Table) -> Events:
    return (_interacted(origin, table(body.get("data")), "INTERACT_WORD"),)


def _interaction_v2(origin: Origin, body: Table) -> Events:
    return (_interacted(origin, interact_word(table(body.get("data")).get("pb")), "INTERACT_WORD_V2"),)


def _interacted(origin: Origin, data: Table, cmd: str) -> LiveEvent:
    if (kind := INTERACTIONS.get(number(data.get("msg_type")))) is None:
        raise UnreadableError(f"ignored:{cmd}")
    person = viewer(data.get("uid"), data.get("uname"), table(data.get("fans_medal")).get("medal_name"))
    stamp = data.get("timestamp")
    return welcomed(origin, kind, f"{who(person)}-{ident(stamp)}", person, at_ms=origin.at(stamp))


def _like(origin: Origin, body: Table) -> Events:
    # The command has neither id nor time: a viewer likes once, as long as his id is remembered.
    data = table(body.get("data"))
    person = viewer(data.get("uid"), data.get("uname"), _medal(data))
    key, words = person.id or digest(origin.frame.body), text(data.get("like_text"))
    return (welcomed(origin, Kind.LIKE, key, person, at_ms=origin.frame.at_ms, words=f"{person.name} {words}".strip()),)


def _medal(data: Table) -> object:
    return table(data.get("medal_info") or data.get("fans_medal")).get("medal_name")


def _started(origin: Origin, body: Table) -> Events:
    return (_control(origin, Kind.STARTED, body.get("live_key")),)


def _ended(origin: Origin, body: Table) -> Events:
    return (_control(origin, Kind.ENDED, body.get("msg_id")),)


def _control(origin: Origin, kind: Kind, key: object) -> LiveEvent:
    at_ms = origin.frame.at_ms
    name = ident(key) if key else str(at_ms)
    return origin.event(kind, f"{kind}:{name}", Lane.CONTROL, Viewer(), at_ms=at_ms)


RULES: dict[str, Callable[[Origin, Table], Events]] = {
    "DANMU_MSG": _danmaku,
    "DANMU_MSG_MIRROR": _danmaku,
    "SUPER_CHAT_MESSAGE": _super_chat,
    "SUPER_CHAT_MESSAGE_JPN": _super_chat,
    "SUPER_CHAT_MESSAGE_DELETE": _withdrawal,
    "SEND_GIFT": _gift,
    "SEND_GIFT_V2": _gift_v2,
    "COMBO_SEND": _combo_end,
    "GUARD_BUY": _guard,
    "USER_TOAST_MSG": _guard,
    "USER_TOAST_MSG_V2": _guard_v2,
    "INTERACT_WORD": _interaction,
    "INTERACT_WORD_V2": _interaction_v2,
    "LIKE_INFO_V3_CLICK": _like,
    "LIVE": _started,
    "PREPARING": _ended,
}
"""The rule of each command that says something."""
