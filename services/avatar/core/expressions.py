"""Which face goes with what is said: by the sentence's emotion, else by its words, else by what is answered."""

import re
from collections.abc import Sequence

from services.contract.ingest import Kind, Lane

NEUTRAL = "neutral"
_TAGS = {
    NEUTRAL: ("neutral", "calm", "normal", "普通", "平静", "中立", "默认"),
    "happy": ("happy", "joy", "cheerful", "excited", "laugh", "smile", "开心", "高兴", "快乐", "喜悦", "兴奋", "笑"),
    "sad": ("sad", "sorrow", "crying", "depressed", "难过", "伤心", "悲伤", "哭", "失落"),
    "angry": ("angry", "mad", "annoyed", "furious", "生气", "愤怒", "气愤", "恼火"),
    "surprised": ("surprised", "shocked", "amazed", "惊讶", "吃惊", "惊喜", "震惊"),
    "shy": ("shy", "embarrassed", "blush", "bashful", "害羞", "脸红", "羞涩", "不好意思"),
}
_BY_TAG = {tag: face for face, tags in _TAGS.items() for tag in tags}
_CUES = (
    ("shy", r"害羞|脸红|不好意思|人家才|讨厌啦|\b(?:blush(?:es|ing)?|embarrass\w*|i'm shy)\b"),
    ("angry", r"生气|气死|可恶|哼[！!，,。~～]|\b(?:angry|furious|annoying|how dare)\b"),
    ("sad", r"呜呜|难过|伤心|可惜|遗憾|对不起|抱歉|\b(?:sad|sadly|sorry|unfortunately|miss you)\b"),
    ("surprised", r"哇|天[哪啊呐]|不会吧|真的[吗假]|居然|竟然|\b(?:wow|whoa|really\?|no way|oh my|unbelievable)"),
    (
        "happy",
        r"哈哈|嘻嘻|太好了|好棒|开心|高兴|谢谢|感谢|喜欢|欢迎|\b(?:haha\w*|great|awesome|thank\w*|glad|happy|welcome|love)\b",
    ),
)
_PATTERNS = tuple((face, re.compile(pattern, re.IGNORECASE)) for face, pattern in _CUES)
_GLAD = frozenset({Kind.SUPER_CHAT, Kind.GUARD, Kind.GIFT, Kind.ENTER, Kind.FOLLOW, Kind.SHARE, Kind.LIKE})


def of_tag(emotion: str) -> str:
    """The face of an emotion's name, Chinese or English; '' for one that is not known."""
    return _BY_TAG.get(emotion.strip().lower(), "")


def of_text(text: str) -> str:
    """The face that the words ask for; '' if they ask for none. The rarer face wins over the common one."""
    return next((face for face, pattern in _PATTERNS if pattern.search(text)), "")


def of_causes(causes: Sequence[str], lane: Lane) -> str:
    """The face for what is answered: who gave or came is smiled at. A cause is `<platform>:<kind>:<message id>`."""
    kinds = {cause.split(":")[1] for cause in causes if cause.count(":")}
    return "happy" if lane is Lane.PAID or kinds & _GLAD else NEUTRAL


def choose(emotion: str, text: str, default: str) -> str:
    """The face of one sentence."""
    return of_tag(emotion) or of_text(text) or default
