"""A persona that follows a script: needs nothing, says that it is scripted, and is the double in tests."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence

from services.llm.core import prompt, replies
from services.runtime import words

_TOKEN = re.compile(r"\s*[!-~]+|[^!-~]{1,2}", re.DOTALL)
_QUOTES_WANTED = re.compile(r"引号|quotation|quotes", re.IGNORECASE)


class ScriptedModel:
    """Answers by `core.replies`, in the language of the question, `pause_s` seconds between tokens."""

    name = "scripted"

    def __init__(self, pause_s: float = 0.02) -> None:
        self._pause_s = pause_s

    async def answer(
        self, messages: Sequence[tuple[str, str]], *, session: str, hurry: bool = False
    ) -> AsyncGenerator[str, None]:
        """See the port. A script is never silent: `hurry` changes nothing."""
        del session, hurry
        for token in _TOKEN.findall(script(messages)):
            if self._pause_s:
                await asyncio.sleep(self._pause_s)
            yield token

    async def check(self) -> str:
        """A script is always ready."""
        return ""

    async def close(self) -> None:
        """Nothing to give up."""


def script(messages: Sequence[tuple[str, str]]) -> str:
    """The whole answer to the last user message, less what was said already; between quotes where those are wanted."""
    asked = max((at for at, (role, _) in enumerate(messages) if role == "user"), default=-1)
    ask = messages[asked][1] if asked >= 0 else ""
    said = "".join(text for role, text in messages[asked + 1 :] if role == "assistant")
    first = all(role != "assistant" for role, _ in messages[: max(asked, 0)])
    system = " ".join(text for role, text in messages if role == "system")
    # Between two attempts another answer may have ended: whether this one is the first is what it began with.
    both = [replies.reply(ask, first=each, language=words.language(system)) for each in (first, not first)]
    left = next((rest for answer in both if said and (rest := replies.rest(answer, said)) != answer), both[0])
    wanted = any(text in system for text in prompt.QUOTED.values()) or _QUOTES_WANTED.search(system)
    return f'"{left}"' if wanted and left else left
