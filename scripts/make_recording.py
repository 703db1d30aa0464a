"""Writes recordings/demo.jsonl.gz: 75 seconds of a made-up room on Bilibili and Douyin, the same bytes every time."""

# ruff: noqa: PLR2004  the figures are places in a made-up show

import gzip
import json
import random
from base64 import b64encode
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path

SEED = 20_250_705
BEGAN_S = 1_751_716_800
"""Unix seconds at which the room opens."""
ROOM = 5_440_853
DOUYIN_ROOM = 7_523_000_000_123_456_789
TARGET = Path(__file__).parents[1] / "recordings" / "demo.jsonl.gz"

VIEWERS = (
    "晨雾里的猫", "PixelPanda", "半糖奶盖", "阿橘不吃鱼", "lofi_rabbit", "面包会飞", "青柠汽水", "BassClef88",
    "今晚吃什么", "雨后的薄荷", "moonlit_fox", "第七颗纽扣", "豆花要甜的", "ChordChaser", "云朵收集员", "小火慢炖",
    "TinyTeapot", "不加香菜", "星尘邮差", "RetroRacer", "冬瓜排骨汤", "耳机没电了", "waffle_wizard", "躺平的松鼠",
)  # fmt: skip
MASKED = ("折***", "晨***", "p***")
CHAT = (
    "主播晚上好呀！", "第一次来，这里是聊什么的？", "今天弹什么曲子？", "Hello from a rainy evening ☔",
    "昨天那首慢歌叫什么名字？", "what mic do you use? it sounds so warm", "想听你哼两句🎵", "番茄炒蛋到底先炒蛋还是先炒番茄？",
    "刚下班，来放松一下", "Can you recommend a co-op game for two people?", "那个平台跳跃游戏我卡在第三关了😭",
    "糖醋汁的比例是多少呀", "吉他初学者先练哪首比较好", "how long should I boil an egg for ramen?",
    "主播的声音好治愈", "音阶练习好枯燥，怎么坚持下来？", "我家猫也在听🐱", "Do you prefer vinyl or streaming?",
    "空气炸锅能做蛋挞吗", "新出的那个种田游戏好玩吗？", "今天的背景音乐好好听", "请问贝斯和吉他哪个更容易上手",
    "My rice always sticks to the pot, any tips?", "复习累了来听一会儿", "晚饭吃了螺蛳粉，现在不敢说话",
    "主播玩不玩节奏游戏？", "一个人住做什么菜最省事", "What song cheers you up on a bad day?", "明天还播吗？",
    "刚学会四个和弦，好开心😄", "土豆泥怎么做才细腻", "Is this persona always this cheerful? 😂", "求一首适合睡前听的歌",
    "打Boss打了三个小时，手都酸了", "面要不要过冷水？", "Greetings from the kitchen, I am making dumplings 🥟",
    "鼓点好难，左右手打架", "你会唱粤语歌吗", "联机的话带我一个🎮", "蒜要不要拍碎再切？", "说得对，火候最重要",
    "I finally beat the last level yesterday!", "听歌的时候喜欢看歌词吗", "下次直播讲讲和声吧", "这个点大家都吃夜宵了吗🍜",
    "请推荐一款不氪金的手游", "Which key is easiest for singing along?", "我妈说盐要最后放", "好温馨的直播间",
    "刚进来，错过了什么？", "Any tips for practising with neighbours around?", "冰箱里只剩鸡蛋和青菜了怎么办",
)  # fmt: skip
FLOOD = (
    "来了来了", "666", "哈哈哈哈", "前排", "好听！", "🎉🎉🎉", "再来一首", "awsl", "鼓掌👏", "encore!", "冲冲冲", "泪目",
    "太强了", "这段绝了", "LET'S GO", "起鸡皮疙瘩了", "单曲循环", "打call", "gg", "好耶", "wow", "爱了爱了",
)  # fmt: skip
DOUYIN_CHAT = (
    "主播好，今天做什么菜？", "这首歌好熟悉", "新人报到👋", "hi, greetings from Douyin!", "红烧肉要不要焯水",
    "会弹尤克里里吗", "能唱一首生日歌吗，今天我生日🎂", "打游戏别太晚哦", "声音真好听", "how do you keep basil alive?",
    "求歌单", "面团发不起来怎么办", "我也在学钢琴🎹", "这个游戏手机能玩吗", "晚安大家",
)  # fmt: skip
SUPER_CHATS = (
    # t_ms, CNY, text, when it is delivered again
    (8_000, 30, "第一次发醒目留言！主播能推荐一首下雨天听的歌吗？", ()),
    (22_100, 100, "生日快到了，想听你说一句生日祝福，再推荐一道简单的长寿面做法🎂", ()),
    (22_700, 50, "Could you explain why minor chords sound sad? I always wondered.", ()),
    (23_500, 30, "打错字了，这条请忽略", ()),
    (34_000, 30, "I cook pasta every night. How do I make it less boring?", (34_300, 35_000, 36_500, 41_000)),
    (55_000, 500, "陪伴我度过了整个考试季，谢谢你！请你随便聊聊你最喜欢的游戏音乐吧❤️", ()),
)
WITHDRAWN = 3
"""Index of the super chat that is taken back while another is being answered."""
BROKEN = (
    ("bilibili", '{"cmd":"DANMU_MSG","info":[[0,1,25,'),
    ("bilibili", '["DANMU_MSG"]'),
    ("bilibili", '{"cmd":"SUPER_CHAT_MESSAGE","data":{"id":1,"message":"价格不对","price":"很多","uid":1}}'),
    ("bilibili", '{"cmd":"INTERACT_WORD_V2","data":{"dmscore":2,"pb":"***"}}'),
    ("bilibili", '{"cmd":"SEND_GIFT_V2","data":{"pb":"CJTwwNEBEv8="}}'),
    ("bilibili", '{"cmd":42,"data":null}'),
    ("bilibili", '{"cmd":"DANMU_MSG","info":' + "[" * 20_000 + "]" * 20_000 + "}"),
    ("douyin", "pong"),
    ("douyin", '{"Type":1,"ProcessName":"bridge","Data":"{\\"MsgId\\":1,"}'),
    ("douyin", '{"Type":"弹幕","Data":"{}"}'),
    ("douyin", '{"Type":5,"Data":"{\\"MsgId\\":2,\\"GiftCount\\":1,\\"DiamondCount\\":-5}"}'),
)

Json = dict[str, object]


def varint(value: int) -> bytes:
    """`value` in protobuf's base 128."""
    head = bytearray()
    while value > 0x7F:
        head.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*head, value])


def message(**fields: int | str | bytes) -> bytes:
    """A protobuf message of fields named `f<number>`."""
    out = b""
    for name, value in fields.items():
        no = int(name[1:])
        if isinstance(value, int):
            out += varint(no << 3) + varint(value)
        else:
            body = value.encode() if isinstance(value, str) else value
            out += varint(no << 3 | 2) + varint(len(body)) + body
    return out


def compact(value: object) -> str:
    """JSON as the platforms write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Recorder:
    """Collects the frames of the show; all that looks like chance comes from the seed."""

    def __init__(self) -> None:
        self.random = random.Random(SEED)
        self.uids = {name: self.random.randrange(10**8, 10**9) for name in VIEWERS}
        self.names = cycle(VIEWERS)
        self.frames: list[tuple[int, str, str]] = []
        self.message_id = 7_523_100_000_000_000_000

    def bilibili(self, t_ms: int, cmd: str, again: Iterable[int] = (), **rest: object) -> None:
        """One command, delivered again at the times in `again`."""
        for at in (t_ms, *again):
            self.frames.append((at, "bilibili", compact({"cmd": cmd, **rest})))

    def douyin(self, t_ms: int, no: int, name: str, content: str, **rest: object) -> None:
        """One envelope; the room's number is written as a string by newer bridges."""
        self.message_id += self.random.randrange(1, 9_999)
        user: Json = {"Id": self.uids[name], "Nickname": name, "Level": 3, "FansClub": {"ClubName": "小夜灯"}}
        room: object = DOUYIN_ROOM if t_ms < 40_000 else str(DOUYIN_ROOM)
        data: Json = {"MsgId": self.message_id, "User": user if no not in {6, 9} else None, "Content": content}
        data |= {"RoomId": room, **rest}
        body = {"Type": no, "ProcessName": "bridge", "Data": compact(data)}
        self.frames.append((t_ms, "douyin", compact(body)))

    def danmaku(self, t_ms: int, words: str, name: str, cmd: str = "DANMU_MSG", again: Iterable[int] = ()) -> None:
        """One danmaku; a third of the viewers wears a medal, masked ones have no uid."""
        uid = self.uids.get(name, 0)
        extra = {"extra": compact({"id_str": f"{self.random.getrandbits(128):032x}", "content": words})}
        stamp = BEGAN_S * 1_000 + t_ms
        meta: list[object] = [0, 1, 25, 16_777_215, stamp, uid % 1_000, 0, "", 0, 0, 0, "", 0, "{}", "{}"]
        medal: list[object] = [7, "小夜灯", "夜灯主播", ROOM] if uid % 3 == 1 else []
        user: list[object] = [uid, name, 0, 0, 0, 10_000, 1, ""]
        tail: list[object] = [[12, 0, 0], ["", ""], 0, 0, None, {"ct": "7A", "ts": stamp // 1_000}, 0, 0, None, None]
        info: list[object] = [[*meta, extra] if uid % 5 else meta, words, user, medal, *tail]
        self.bilibili(t_ms, cmd, again, info=info)
        if t_ms % 7 == 0:
            self.bilibili(t_ms + 40, "DANMU_MSG_MIRROR", info=info)

    def gift(
        self, t_ms: int, name: str, gift: str, coins: int, *, forms: str = "1", combo: str = "", gold: bool = True
    ) -> None:
        """One gift as SEND_GIFT (1), as SEND_GIFT_V2 (2), or as both (12)."""
        uid, second = self.uids[name], BEGAN_S + t_ms // 1_000
        tid, coin = f"{second}{self.random.randrange(10**9):09d}", "gold" if gold else "silver"
        if "1" in forms:
            data: Json = {"action": "投喂", "uid": uid, "uname": name, "giftId": 31_036, "giftName": gift, "num": 1}
            data |= {"price": coins, "total_coin": coins, "coin_type": coin, "timestamp": second, "tid": tid}
            if combo:
                data |= {"batch_combo_id": combo, "batch_combo_send": None}
            self.bilibili(t_ms, "SEND_GIFT", data=data)
        if "2" in forms:
            inner = message(f1=31_036, f2=gift, f3=1, f5=coins, f7=coins, f8=coin, f9=tid, f10=second, f18="投喂")
            pb = message(f1=uid, f2=name, f5=0, f8=message(f5=7, f6="小夜灯"), f10=inner)
            self.bilibili(t_ms + 30, "SEND_GIFT_V2", data={"pb": b64encode(pb).decode()})

    def interact(self, t_ms: int, name: str, no: int, *, packed: bool) -> None:
        """Enter (1), follow (2) or share (3), packed as protobuf or plain."""
        uid, second = self.uids.get(name, 0), BEGAN_S + t_ms // 1_000
        if packed:
            pb = message(f1=uid, f2=name, f5=no, f6=ROOM, f7=second, f9=message(f2=7, f3="小夜灯"))
            self.bilibili(t_ms, "INTERACT_WORD_V2", data={"dmscore": 2, "pb": b64encode(pb).decode()})
        else:
            data: Json = {"uid": uid, "uname": name, "msg_type": no, "roomid": ROOM, "timestamp": second}
            self.bilibili(t_ms, "INTERACT_WORD", data=data)


def talk(show: Recorder) -> None:
    """The usual comments, one a second or so, some delivered twice, some masked."""
    texts, t_ms = cycle(CHAT), 700
    for no in range(76):
        name = MASKED[no // 9 % 3] if no % 9 == 8 else next(show.names)
        cmd = "DANMU_MSG:4:0:2:2:2:0" if no % 12 == 5 else "DANMU_MSG"
        show.danmaku(t_ms, next(texts), name, cmd, [t_ms + 400] if no % 15 == 4 else [])
        t_ms += show.random.randrange(700, 1_180)


def flood(show: Recorder) -> None:
    """A hundred and forty comments within two seconds."""
    for no in range(140):
        show.danmaku(40_000 + no * 14, show.random.choice(FLOOD), next(show.names))


def super_chats(show: Recorder) -> None:
    """Each with its Japanese twin; one is delivered five times, one withdrawn."""
    for no, (t_ms, price, words, again) in enumerate(SUPER_CHATS):
        name = next(show.names)
        data: Json = {"id": 6_600_100 + no * 7, "message": words, "price": price, "time": 60, "uid": show.uids[name]}
        data |= {"start_time": BEGAN_S + t_ms // 1_000, "user_info": {"uname": name, "guard_level": 0}}
        show.bilibili(t_ms, "SUPER_CHAT_MESSAGE", again, data=data, roomid=ROOM)
        twin = data | {"id": str(data["id"]), "message_jpn": ""}
        show.bilibili(t_ms + 60, "SUPER_CHAT_MESSAGE_JPN", data=twin, roomid=str(ROOM))
    ids = [6_600_100 + WITHDRAWN * 7]
    show.bilibili(SUPER_CHATS[WITHDRAWN][0] + 1_200, "SUPER_CHAT_MESSAGE_DELETE", data={"ids": ids}, roomid=ROOM)


def guards(show: Recorder) -> None:
    """Two purchases, each told three times, in either order."""
    for t_ms, level, price in ((14_000, 3, 138_000), (61_000, 2, 1_998_000)):
        name, second = next(show.names), BEGAN_S + t_ms // 1_000
        data: Json = {"uid": show.uids[name], "username": name, "guard_level": level, "num": 1, "price": price}
        data |= {"gift_name": "舰长" if level == 3 else "提督", "start_time": second, "end_time": second}
        new: Json = {"sender_uinfo": {"uid": show.uids[name], "base": {"name": name}}, "option": {"source": 0}}
        new |= {"guard_info": {"guard_level": level, "start_time": second}}
        new |= {"pay_info": {"num": 1, "price": price, "unit": "月"}}
        late = level == 3
        show.bilibili(t_ms + 200 * late, "USER_TOAST_MSG_V2", data=new)
        flow = f"25070512{second}"
        show.bilibili(t_ms + 100 * late, "USER_TOAST_MSG", data=data | {"payflow_id": flow, "unit": "月"})
        show.bilibili(t_ms + 200 * (not late), "GUARD_BUY", data=data)


def gifts(show: Recorder) -> None:
    """A combo of five with its summary, gold ones in both forms, silver ones."""
    giver, combo = "面包会飞", "batch:gift:combo_id:31036:1751716811.5"
    for no in range(5):
        show.gift(11_000 + no * 300, giver, "小花花", 100, combo=combo)
    data: Json = {"action": "投喂", "uid": show.uids[giver], "uname": giver, "gift_id": 31_036, "gift_name": "小花花"}
    data |= {"gift_num": 0, "combo_num": 5, "total_num": 5, "combo_total_coin": 500, "combo_id": "gift:combo_id:31036"}
    show.bilibili(14_300, "COMBO_SEND", data=data | {"batch_combo_id": combo})
    show.gift(30_000, "ChordChaser", "情书", 5_200, forms="12")
    show.gift(48_000, "云朵收集员", "告白花束", 22_000, forms="2")
    for t_ms in (5_200, 16_500, 27_000, 38_000, 52_500, 63_800):
        show.gift(t_ms, next(show.names), "辣条", 100, gold=False)


def others(show: Recorder) -> None:
    """Entering, following, sharing, liking, and commands that say nothing."""
    for no in range(36):
        name = MASKED[no % 3] if no % 12 == 7 else next(show.names)
        show.interact(400 + no * 2_010, name, (1, 1, 1, 2, 1, 3)[no % 6], packed=no % 4 != 3)
    for no in range(12):
        name = next(show.names)
        data: Json = {"uid": show.uids[name], "uname": name, "like_text": "为主播点赞了", "show_area": 1}
        show.bilibili(3_300 + no * 5_900, "LIKE_INFO_V3_CLICK", data=data)
    for no in range(18):
        show.bilibili(1_000 + no * 4_000, "ONLINE_RANK_COUNT", data={"count": 120 + no, "online_count": 300 + 2 * no})
        show.bilibili(1_500 + no * 4_000, "WATCHED_CHANGE", data={"num": 2_000 + 31 * no, "text_small": "2千+"})
    for at in (0, 100):
        show.bilibili(at, "LIVE", live_key="610000000000000001", roomid=ROOM)


def douyin_gifts(show: Recorder) -> None:
    """A combo that closes with an empty increment, and one that just stops."""
    combos = ((18_000, "第七颗纽扣", 463, "小心心", 1, 77_001, (1, 1, 2, 1, 3, 2, 0)),)
    combos += ((66_000, "TinyTeapot", 3_389, "棒棒糖", 9, 77_002, (1, 1, 1)),)
    for t_ms, name, gift, title, diamonds, group, steps in combos:
        for no, step in enumerate(steps):
            rest: Json = {"GiftId": gift, "GiftName": title, "GroupId": group, "GiftCount": step}
            rest |= {"RepeatCount": sum(steps[: no + 1]), "DiamondCount": diamonds}
            show.douyin(t_ms + no * 400, 5, name, f"{name} 送出 {title} x{step}", **rest)


def douyin(show: Recorder) -> None:
    """The other room: all nine types."""
    texts = cycle(DOUYIN_CHAT)
    for no in range(42):
        show.douyin(900 + no * 1_730, 1, next(show.names), next(texts))
    for no in range(20):
        name, t_ms = next(show.names), 2_000 + no * 3_600
        show.douyin(t_ms, 2, name, f"{name} 为主播点了{no % 5 + 1}个赞", Count=no % 5 + 1, Total=900 + 7 * no)
        name = next(show.names)
        show.douyin(t_ms + 800, 3, name, f"{name} 来了", CurrentCount=60 + no)
    for no in range(6):
        name, t_ms = next(show.names), 4_600 + no * 11_000
        show.douyin(t_ms, 4, name, f"{name} 关注了主播")
        show.douyin(t_ms + 1_500, 6, name, "在线 60，累计 900", OnlineUserCount=60 + no, TotalUserCount=900 + no)
        show.douyin(t_ms + 3_000, 7, name, f"{name} 加入了粉丝团", Type=2 - no % 2, Level=1 + no)
        show.douyin(t_ms + 4_000, 8, name, f"{name} 分享了直播间", ShareType=1)
    douyin_gifts(show)
    show.douyin(74_500, 9, "TinyTeapot", "直播已结束")


def lines() -> list[str]:
    """The recording, one line of JSON per frame, by time."""
    show = Recorder()
    for part in (talk, flood, super_chats, guards, gifts, others, douyin):
        part(show)
    for no, (platform, frame) in enumerate(BROKEN):
        show.frames.append((6_000 + no * 5_500, platform, frame))
    show.bilibili(75_000, "PREPARING", roomid=str(ROOM))
    kept = sorted(show.frames, key=lambda frame: frame[0])
    return [compact({"t_ms": t_ms, "platform": platform, "frame": frame}) for t_ms, platform, frame in kept]


def main() -> None:
    """Write the file."""
    body = "".join(f"{line}\n" for line in lines()).encode()
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(gzip.compress(body, mtime=0))
    print(f"{TARGET}: {len(body.splitlines())} frames, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
