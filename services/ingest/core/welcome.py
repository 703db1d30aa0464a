"""Entering, following, sharing, liking: what both platforms tell in the same way."""

from services.contract.ingest import Kind, Lane, LiveEvent, Viewer
from services.ingest.core.fields import Origin

VERBS = {
    Kind.ENTER: "进入直播间",
    Kind.FOLLOW: "关注了主播",
    Kind.SHARE: "分享了直播间",
    Kind.LIKE: "点了赞",
}
"""What is said to have been done where the platform gives no text of its own."""


def welcomed(
    origin: Origin, kind: Kind, key: str, person: Viewer, *, at_ms: int, words: str = "", verb: str = "", count: int = 1
) -> LiveEvent:
    """An event of the welcome lane; `words` is the platform's own text, `verb` its verb."""
    done = verb or VERBS[kind]
    said = words or f"{person.name} {done}".strip()
    return origin.event(kind, f"{kind}:{key}", Lane.WELCOME, person, at_ms=at_ms, words=said, action=done, count=count)
