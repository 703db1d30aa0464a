"""Frames as the platforms send them, and the short ways in which tests read them."""

import json
from base64 import b64encode
from collections.abc import Mapping

from services.contract.ingest import LiveEvent
from services.ingest.core.douyin import Dialect
from services.ingest.core.events import Parsed, parse
from services.ingest.core.ports import Frame

NOW_MS = 1_800_000_000_000

DANMAKU = (
    '{"cmd":"DANMU_MSG","info":[[0,1,25,9920249,1723979200649],"白花300块[热]",[6088969,"tim1997",0,0,0,10000,1,""],'
    '[29,"果咩吖","果宝Official",31180317],[39,0,10512625,42523,2],["",""],0,0,null,{"ct":"AFFF4206","ts":1723979200},'
    "0,0,null,null,0,1040,[49],null]}"
)
SUPER_CHAT = (
    '{"cmd":"SUPER_CHAT_MESSAGE","data":{"id":6522809,"message":"…","price":30,"time":60,"start_time":1677069035,'
    '"uid":294094150,"user_info":{"uname":"界原虚","guard_level":3}},"roomid":6154037}'
)
GIFT = (
    '{"cmd":"SEND_GIFT","data":{"action":"投喂","uid":510149209,"uname":"12138额83121","giftId":31036,"giftName":"小花花",'
    '"num":1,"price":100,"total_coin":100,"coin_type":"gold","timestamp":1673622464,"tid":"1673622464121900003"}}'
)
GUARD = (
    '{"cmd":"GUARD_BUY","data":{"uid":14225357,"username":"妙妙喵喵妙妙喵O_O","guard_level":3,"num":1,"price":198000,'
    '"gift_name":"舰长","start_time":1677069316}}'
)
INTERACT_PB = (
    "CJTwwNEBEgpTdGFyU2VhMjQ2IgIDASgBMNWgITispaTDBkDUubHe/jJKLAiv8CkQEhoG55Sf5oCBIKS6ngYopLqeBjCkup4GOKS6ngZAAWDVoCFo9JQR"
    "YgB4gZ/v1tmc1qcYmgEAsgHPAQiU8MDRARJYCgpTdGFyU2VhMjQ2EkpodHRwczovL2kwLmhkc2xiLmNvbS9iZnMvZmFjZS8xMDliNzg3YzVmMTEzYzRh"
    "M2M3NDE1YmI5YmY2YjgyYmMzM2JjNGUyLmpwZxpnCgbnlJ/mgIEQEhikup4GIKS6ngYopLqeBjCkup4GOP/hAUgBUK/wKWD0lBF6CSNEQzZCNkI5OYIB"
    "CSNEQzZCNkI5OYoBCSNEQzZCNkI5OZIBCSNGRkZGRkZGRpoBCSM4MTAwMUY5OSICCAkyALoBAA=="
)
INTERACT = json.dumps({"cmd": "INTERACT_WORD_V2", "data": {"dmscore": 2, "pb": INTERACT_PB}})

USER = {"Id": 77, "Nickname": "小鱼", "FansClub": {"ClubName": "鱼塘", "Level": 4}}


def envelope(no: object, data: Mapping[str, object], **user: object) -> str:
    """A Douyin frame whose `Data` is a string of JSON."""
    inner: object = {"MsgId": 9001, "User": USER | user, "RoomId": 5, **data}
    return json.dumps({"Type": no, "ProcessName": "bridge", "Data": json.dumps(inner)})


GIVEN = envelope(
    5,
    {
        "Content": "小鱼 送出 棒棒糖",
        "GiftId": 3,
        "GiftName": "棒棒糖",
        "GroupId": 8,
        "GiftCount": 2,
        "RepeatCount": 5,
        "DiamondCount": 9,
    },
)


def changed(sample: str, cmd: str = "", /, **data: object) -> str:
    """`sample` under another command, with fields of its `data` replaced."""
    body = json.loads(sample)
    body["cmd"] = cmd or body["cmd"]
    body["data"] |= data
    return json.dumps(body)


def read(
    body: str, platform: str = "bilibili", dialect: Dialect = "grab", *, lap: int = 0, recorded: bool = False
) -> Parsed:
    """What the frame gives in a room named demo."""
    return parse(Frame(NOW_MS, platform, body, lap, recorded), "demo", dialect)


def one(
    body: str, platform: str = "bilibili", dialect: Dialect = "grab", *, lap: int = 0, recorded: bool = False
) -> LiveEvent:
    """The only event of the frame."""
    parsed = read(body, platform, dialect, lap=lap, recorded=recorded)
    assert parsed.rejected == ""
    assert not parsed.bad
    (event,) = parsed.events
    return event


def varint(value: int) -> bytes:
    """`value` as protobuf writes it."""
    head = b""
    while value > 127:
        head += bytes([value & 127 | 128])
        value >>= 7
    return head + bytes([value])


def message(**fields: int | str | bytes) -> bytes:
    """A protobuf message of fields named `f<number>`; a second value is named `f<number>_…`."""
    out = b""
    for name, value in fields.items():
        no = int(name[1:].partition("_")[0])
        if isinstance(value, int):
            out += varint(no << 3) + varint(value)
        else:
            body = value.encode() if isinstance(value, str) else value
            out += varint(no << 3 | 2) + varint(len(body)) + body
    return out


def packed(cmd: str, pb: bytes) -> str:
    """A command that carries protobuf."""
    return json.dumps({"cmd": cmd, "data": {"pb": b64encode(pb).decode()}})
