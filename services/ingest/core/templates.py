"""What is put to the model and what is spoken for an event: the persona's templates, filled in."""

from collections.abc import Mapping, Sequence

from services.contract.ingest import Kind, LiveEvent
from services.runtime.words import clip, fill

TEXT_MAX = 200
"""Characters of what a viewer wrote."""
ASK_MAX = 8_000
SAY_MAX = 4_000

_OWN = (Kind.SCHEDULE, Kind.SAY)
"""Words of the people who run the show: neither clipped nor joined to one line."""
_BRACES = str.maketrans("{}", "｛｝")
_ANSWER = "{gpt}"

_ZH = {
    Kind.DANMAKU: ("{text}", "{content} {gpt}"),
    Kind.SUPER_CHAT: ("{message}", "谢谢{user}的醒目留言！{message} {gpt}"),
    Kind.GUARD: ("{uname}开通了{giftName}，请真诚地感谢，说一句欢迎上船的话。", "谢谢{uname}的{giftName}！ {gpt}"),
    Kind.GIFT: ("{uname}{action}了{count}个{giftName}，请表示感谢，再夸一夸对方。", "谢谢{uname}的{giftName}！ {gpt}"),
    Kind.ENTER: ("{uname}来到了直播间，请用一句话欢迎，可以聊聊这个名字。", "{gpt}"),
    Kind.FOLLOW: ("{uname}刚刚关注了你，请用一句话表示感谢。", "{gpt}"),
    Kind.SHARE: ("{uname}把直播间分享给了朋友，请用一句话表示感谢。", "{gpt}"),
    Kind.LIKE: ("{uname}给你点了赞，请用一句话表示感谢。", "{gpt}"),
    Kind.SCHEDULE: ("{text}", "{gpt}"),
    Kind.SAY: ("", "{text}"),
}
_EN = {
    Kind.DANMAKU: ("{text}", "{content} {gpt}"),
    Kind.SUPER_CHAT: ("{message}", "Thank you for the super chat, {user}! {message} {gpt}"),
    Kind.GUARD: ("{uname} joined with {giftName}. Say thank you and welcome aboard.", "Thank you, {uname}! {gpt}"),
    Kind.GIFT: (
        "{uname} sent {count} × {giftName}. Say thank you and something kind about them.",
        "Thank you for the {giftName}, {uname}! {gpt}",
    ),
    Kind.ENTER: ("{uname} has just come in. Welcome them in one sentence; their name may be a topic.", "{gpt}"),
    Kind.FOLLOW: ("{uname} follows you now. Thank them in one sentence.", "{gpt}"),
    Kind.SHARE: ("{uname} shared the show with friends. Thank them in one sentence.", "{gpt}"),
    Kind.LIKE: ("{uname} likes the show. Thank them in one sentence.", "{gpt}"),
    Kind.SCHEDULE: ("{text}", "{gpt}"),
    Kind.SAY: ("", "{text}"),
}
_WORDS = {
    "zh": ("一位观众", "送出", "礼物", "{user}没有写字，请和对方打个招呼。"),
    "en": ("a viewer", "sent", "gift", "{user} wrote nothing. Say hello to them."),
}
"""Viewer, verb, gift, and what is asked about a message without words."""


def render(events: Sequence[LiveEvent], templates: Mapping[str, Mapping[str, str]], language: str) -> tuple[str, str]:
    """(ask, say) for events that are answered together, which are of one kind; `say` keeps its `{gpt}`.

    `templates` is {kind: {ask, say}}; what is missing there is ours, in Chinese for `zh` and in English otherwise.
    Placeholders: text, content, message; user, uname, nick; action; giftName, GiftName; medal_name; Content (what the
    platform says was done); count (of all the events). `{}` in `say` is `{gpt}`. What a viewer wrote is never a
    placeholder, not even in parts.
    """
    first = events[0]
    speech = "zh" if language.startswith("zh") else "en"
    usual = (_ZH if speech == "zh" else _EN).get(first.kind, ("{text}", "{gpt}"))
    own = templates.get(first.kind, {})
    values = _values(events, speech)
    template = own.get("ask", usual[0])
    ask = fill(template, values)
    if template.strip() and not ask.strip():
        ask = fill(_WORDS[speech][3], values)
    return clip(ask, ASK_MAX), clip(_say(own.get("say", usual[1]), values), SAY_MAX)


def _say(template: str, values: Mapping[str, str]) -> str:
    """Filled in between the places of the answer: braces that remain there can not make up another such place."""
    parts = template.replace("{}", _ANSWER).split(_ANSWER)
    return _ANSWER.join(fill(part, values).translate(_BRACES) for part in parts)


def _values(events: Sequence[LiveEvent], speech: str) -> dict[str, str]:
    first = events[0]
    viewer, verb, gift, _ = _WORDS[speech]
    user = _line(first.viewer.name) or viewer
    verb, gift = _line(first.action) or verb, _line(first.gift) or gift
    count = str(sum(event.count for event in events))
    text = first.text if first.kind in _OWN else clip(_line(first.text), TEXT_MAX)
    done = f"{user}{verb}了{count}个{gift}" if speech == "zh" else f"{user} {verb} {count} × {gift}"
    return {
        **dict.fromkeys(("text", "content", "message"), text),
        **dict.fromkeys(("user", "uname", "nick"), user),
        **dict.fromkeys(("giftName", "GiftName"), gift),
        "action": verb,
        "medal_name": _line(first.viewer.medal),
        "Content": text if text and len(events) == 1 else done,
        "count": count,
    }


def _line(text: str) -> str:
    return " ".join(text.split())
