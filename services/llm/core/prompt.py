"""From a persona, a history and a stimulus to the messages that a chat model gets."""

from collections.abc import Sequence
from dataclasses import dataclass

Chat = tuple[str, str]
"""(role, content)."""
ROLES = frozenset({"system", "user", "assistant"})
QUOTED = {
    "zh": '凡是要说出口的话，都用英文双引号 " 括起来；引号外的文字不会被念出来。',
    "en": 'Put everything that you say aloud between ASCII double quotes ("). What stands outside them is not spoken.',
}
TAGS = {
    "zh": "每句话前可以写一个情绪标签，只能从这些里选：{tags}。",
    "en": "Before a sentence you may write one tag for its emotion, only one of these: {tags}.",
}
GO_ON = {
    "zh": "你的上一段回答被打断了。从断开的地方接着说，不要重复已经说过的内容；如果已经说完，就什么也不要写。",
    "en": "Your last answer was interrupted. Go on exactly where it stopped, repeat nothing, and write nothing if it was "
    "complete.",
}


@dataclass(frozen=True)
class Persona:
    """Who answers, in one language."""

    prompt: str
    language: str = "zh"
    quoted: bool = False
    """Only what stands between quotes is spoken."""
    emotions: tuple[str, ...] = ()
    """Tags that the voice understands."""


def build(
    persona: Persona,
    ask: str,
    *,
    history: Sequence[Chat] = (),
    own: Sequence[Chat] | None = None,
    said: str = "",
) -> list[Chat]:
    """The messages for one answer.

    `own` is a history that the client keeps: it takes the place of ours, and its leading system message that of the
    persona. It may already end with `ask`. `said` is what an earlier attempt at this answer has already spoken.
    """
    past = [_known(message) for message in own] if own is not None else list(history)
    if ask and past[-1:] != [("user", ask)]:
        past.append(("user", ask))
    past = past if own is not None else _in_turns(past)
    leading = past[0][0] == "system" if past else False
    messages = past if leading else [("system", system(persona)), *past]
    messages = [message for message in messages if message[1]]
    return [*messages, ("assistant", said), ("system", _in(GO_ON, persona))] if said else messages


def _in_turns(messages: Sequence[Chat]) -> list[Chat]:
    """Neighbours of one role are joined: some servers insist that the roles take turns."""
    joined: list[Chat] = []
    for role, content in messages:
        if joined and joined[-1][0] == role:
            joined[-1] = (role, f"{joined[-1][1]}\n{content}")
        else:
            joined.append((role, content))
    return joined


def system(persona: Persona) -> str:
    """What the persona is told about itself."""
    lines = [persona.prompt.strip()]
    if persona.quoted:
        lines.append(_in(QUOTED, persona))
    if persona.emotions:
        lines.append(_in(TAGS, persona).format(tags=" ".join(f"[{tag}]" for tag in persona.emotions)))
    return "\n".join(line for line in lines if line)


def _in(texts: dict[str, str], persona: Persona) -> str:
    return texts["zh" if persona.language.startswith("zh") else "en"]


def _known(message: Chat) -> Chat:
    """Roles that not every server knows count as the user's."""
    role, content = message
    return (role if role in ROLES else "user", content)
