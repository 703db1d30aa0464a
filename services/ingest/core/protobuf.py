"""A minimal bounded reader of protobuf, and the two Bilibili messages that come in it.

The wire format is that of protobuf.dev/programming-guides/encoding. The platform publishes no schema; the numbers of
the fields are those that open clients found. Each message is given in the form of its older JSON twin, so that one
rule reads both.
"""

import binascii
from base64 import b64decode

from services.ingest.core.fields import Table, UnreadableError

PAYLOAD_MAX = 65_536
"""Bytes of a payload that are looked at."""
FIELDS_MAX = 1_024
"""Fields of one message that are looked at."""
GIFTS_MAX = 32
"""Gifts of one message that are looked at."""
VARINT_MAX = 10

Fields = dict[int, list[int | bytes]]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def payload(value: object) -> bytes:
    """The bytes of the base64 text `value`."""
    if not isinstance(value, str):
        raise UnreadableError("bad_base64")
    if len(value) > PAYLOAD_MAX * 4 // 3:
        raise UnreadableError("too_large")
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableError("bad_base64") from None


def _varint(data: bytes, start: int) -> tuple[int, int]:
    value = 0
    for count, byte in enumerate(data[start : start + VARINT_MAX]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:  # noqa: PLR2004  the wire format's continuation bit
            return value & (2**64 - 1), start + count + 1
    raise UnreadableError("bad_protobuf")


def _value(data: bytes, start: int, wire: int) -> tuple[int | bytes, int]:
    if wire == _VARINT:
        return _varint(data, start)
    if wire == _BYTES:
        size, start = _varint(data, start)
    elif wire in {_FIXED64, _FIXED32}:
        size = 8 if wire == _FIXED64 else 4
    else:
        raise UnreadableError("bad_protobuf")
    if size > len(data) - start:
        raise UnreadableError("bad_protobuf")
    return data[start : start + size], start + size


def fields(data: bytes) -> Fields:
    """The fields of one message by number, each value in order; raises `UnreadableError` for anything else."""
    found: Fields = {}
    start = 0
    for _ in range(FIELDS_MAX):
        if start == len(data):
            return found
        tag, start = _varint(data, start)
        if not (no := tag >> 3):
            raise UnreadableError("bad_protobuf")
        value, start = _value(data, start, tag & 7)
        found.setdefault(no, []).append(value)
    raise UnreadableError("too_large")


def integer(found: Fields, no: int) -> int:
    """The last value of field `no`; 0 where it is missing, as proto3 leaves zeros out."""
    value = found.get(no, [0])[-1]
    if isinstance(value, bytes):
        raise UnreadableError("bad_protobuf")
    return value


def _bytes(found: Fields, no: int) -> bytes:
    value = found.get(no, [b""])[-1]
    if isinstance(value, int):
        raise UnreadableError("bad_protobuf")
    return value


def string(found: Fields, no: int) -> str:
    """The last value of field `no` as text; empty where it is missing."""
    try:
        return _bytes(found, no).decode()
    except UnicodeDecodeError:
        raise UnreadableError("bad_protobuf") from None


def nested(found: Fields, no: int) -> Fields:
    """The last message in field `no`; no fields where it is missing."""
    return fields(_bytes(found, no))


def interact_word(pb: object) -> Table:
    """`INTERACT_WORD_V2.data.pb` in the form of `INTERACT_WORD.data`."""
    found = fields(payload(pb))
    medal = nested(found, 9)
    return {
        "uid": integer(found, 1),
        "uname": string(found, 2),
        "msg_type": integer(found, 5),
        "roomid": integer(found, 6),
        "timestamp": integer(found, 7),
        "fans_medal": {"medal_level": integer(medal, 2), "medal_name": string(medal, 3)},
    }


def send_gift(pb: object) -> list[Table]:
    """`SEND_GIFT_V2.data.pb` in the form of `SEND_GIFT.data`, one for each gift in it."""
    found = fields(payload(pb))
    medal = nested(found, 8)
    gifts = found.get(10, [])
    if len(gifts) > GIFTS_MAX:
        raise UnreadableError("too_large")
    giver: Table = {
        "uid": integer(found, 1),
        "uname": string(found, 2),
        "medal_info": {"medal_level": integer(medal, 5), "medal_name": string(medal, 6)},
    }
    return [giver | _gift(nested({10: [gift]}, 10)) for gift in gifts]


def _gift(gift: Fields) -> Table:
    return {
        "giftId": integer(gift, 1),
        "giftName": string(gift, 2),
        "num": integer(gift, 3),
        "price": integer(gift, 5),
        "total_coin": integer(gift, 7),
        "coin_type": string(gift, 8),
        "tid": string(gift, 9),
        "timestamp": integer(gift, 10),
        "batch_combo_id": string(gift, 12),
        "action": string(gift, 18),
    }
