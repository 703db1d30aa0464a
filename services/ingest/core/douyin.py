"""Douyin through the DouyinBarrageGrab bridge: its numbered envelopes as events, in both dialects."""

from collections.abc import Callable
from typing import Literal

from services.contract.ingest import Kind, Lane, LiveEvent, Viewer
from services.ingest.core.fields import (
    SHORT_MAX,
    Origin,
    Table,
    UnreadableError,
    decode,
    digest,
    ident,
    number,
    table,
    text,
    viewer,
)
from services.ingest.core.welcome import welcomed

Dialect = Literal["grab", "object"]
"""`grab`: the bridge itself. `object`: a fork with other numbers, whose `Data` is an object and not a string of JSON."""
Rule = Callable[[Origin, Table, Viewer, str], LiveEvent]

FEN_PER_DIAMOND = 10
CLUB = {1: "升级了粉丝团", 2: "加入了粉丝团"}
"""By `Type` of a fan club's envelope."""
PART_MAX = 48
"""Characters of each of the three parts of a combo's key."""


def events(origin: Origin, body: Table, dialect: Dialect) -> tuple[LiveEvent, ...]:
    """The event of one envelope; raises `UnreadableError` with the reason, `ignored:<type>` for one that says nothing."""
    no = number(body.get("Type"), 999)
    if (rule := RULES[dialect].get(no)) is None:
        raise UnreadableError(f"ignored:{no}")
    inner = body.get("Data")
    data = table(decode(inner) if isinstance(inner, str) else inner)
    message = data.get("MsgId")
    key = ident(message) if message else digest(origin.frame.body)
    return (rule(origin, data, _viewer(data), key),)


def _viewer(data: Table) -> Viewer:
    user = table(data.get("User"))
    name = user.get("Nickname", user.get("NickName"))
    return viewer(user.get("Id"), name, table(user.get("FansClub")).get("ClubName"))


def _danmaku(origin: Origin, data: Table, person: Viewer, key: str) -> LiveEvent:
    if not (words := text(data.get("Content"))):
        raise UnreadableError("no_text")
    return origin.event(Kind.DANMAKU, f"danmaku:{key}", Lane.CHAT, person, at_ms=origin.frame.at_ms, words=words)


def _gift(origin: Origin, data: Table, person: Viewer, key: str) -> LiveEvent:
    # `RepeatCount` is the combo's sum so far; only the increment is new money.
    if not (count := number(data.get("GiftCount", 1), 10**6)):
        raise UnreadableError("ignored:5")
    return origin.event(
        Kind.GIFT,
        f"gift:{key}",
        Lane.PAID,
        person,
        at_ms=origin.frame.at_ms,
        words=text(data.get("Content")),
        amount_fen=number(data.get("DiamondCount"), 10**6) * count * FEN_PER_DIAMOND,
        gift=text(data.get("GiftName"), SHORT_MAX),
        count=count,
        action="送出",
        combo=_combo(data),
    )


def _combo(data: Table) -> str:
    # A group of 0 is a gift that cannot be repeated: without the check all of them would be one combo.
    if data.get("GroupId") in (None, 0, "", "0"):
        return ""
    return ":".join(ident(data.get(part), PART_MAX) for part in ("RoomId", "GiftId", "GroupId"))


def _enter(origin: Origin, data: Table, person: Viewer, key: str) -> LiveEvent:
    return _welcomed(origin, Kind.ENTER, data, person, key)


def _follow(origin: Origin, data: Table, person: Viewer, key: str) -> LiveEvent:
    return _welcomed(origin, Kind.FOLLOW, data, person, key)


def _share(origin: Origin, data: Table, person: Viewer, key: str) -> LiveEvent:
    return _welcomed(origin, Kind.SHARE, data, person, key)


def _club(origin: Origin, data: Table, person: Viewer, key: str) -> LiveEvent:
    return _welcomed(origin, Kind.FOLLOW, data, person, key, CLUB.get(number(data.get("Type", 2)), ""))


def _like(origin: Origin, data: Table, person: Viewer, key: str) -> LiveEvent:
    return _welcomed(origin, Kind.LIKE, data, person, key, count=number(data.get("Count", 1)))


def _welcomed(
    origin: Origin, kind: Kind, data: Table, person: Viewer, key: str, verb: str = "", count: int = 1
) -> LiveEvent:
    words = text(data.get("Content"))
    return welcomed(origin, kind, key, person, at_ms=origin.frame.at_ms, words=words, verb=verb, count=count)


def _ended(origin: Origin, data: Table, person: Viewer, key: str) -> LiveEvent:
    words = text(data.get("Content"))
    return origin.event(Kind.ENDED, f"ended:{key}", Lane.CONTROL, person, at_ms=origin.frame.at_ms, words=words)


RULES: dict[Dialect, dict[int, Rule]] = {
    "grab": {1: _danmaku, 2: _like, 3: _enter, 4: _follow, 5: _gift, 7: _club, 8: _share, 9: _ended},
    "object": {1: _enter, 2: _follow, 3: _danmaku, 4: _like, 5: _gift, 6: _share, 9: _club},
}
"""The rule of each type; the statistics say nothing that is answered."""
