"""What each Python process of a house under attack puts on as it starts: a guard of its connections, a broken rule."""

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

BAIT = "canary-bait"
"""In the name of every file that a payload names."""
ASKED = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}


def guard(path: str) -> None:
    """Note what this process connects to or asks the name of, and which bait it opens: process, event, what.

    uvloop's connections are libuv's, of which Python hears nothing; on asyncio's own loop each of them is an event.
    """
    import uvloop  # noqa: PLC0415  a process that is not watched does without

    uvloop.run = asyncio.run
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    who = "onair" if any(Path(word).name == "onair" for word in sys.orig_argv) else "service"

    def note(event: str, args: tuple[Any, ...]) -> None:
        if event in ASKED:
            place = args[-1] if event in {"socket.connect", "socket.sendto"} else args[:2]
        elif event == "open" and BAIT in str(args[0]):
            place = str(args[0])
        else:
            return
        os.write(log, f"{json.dumps([who, event, place], default=repr)}\n".encode())

    sys.addaudithook(note)


def _look_at(url: str) -> None:
    urllib.request.urlopen(url, timeout=1).close()


def curious() -> None:
    """The service that answers looks at the links that it is sent."""
    from services.llm.adapters.openai import OpenAIModel  # noqa: PLC0415  after the guard, in a process that is dressed so

    plain = OpenAIModel.answer

    async def answer(self: OpenAIModel, messages: Any, **more: Any) -> AsyncGenerator[str, None]:
        for word in (word for _, text in messages for word in text.split()):
            if word.startswith("http://"):
                try:
                    await asyncio.to_thread(_look_at, word)
                except (OSError, ValueError):
                    continue
        async for delta in plain(self, messages, **more):
            yield delta

    OpenAIModel.answer = cast("Any", answer)


def talkative() -> None:
    """Nothing is taken out of what is told."""
    from services.runtime import logs  # noqa: PLC0415  as above

    def as_it_is(text: str) -> str:
        return text

    logs.discreet = as_it_is


def noted() -> None:
    """`onair up` writes down where its brokers are, as they were given."""
    from onair import brokers  # noqa: PLC0415  as above

    plain = brokers.start

    async def start(family: Any, **given: Any) -> Any:
        urls = await plain(family, **given)
        brokers.note(family.data).write_text(json.dumps({"work": urls.work, "lives": urls.lives}), encoding="utf-8")
        return urls

    brokers.start = start


def shouted() -> None:
    """The gateway's token is an argument of a process that it starts."""
    if "services.gateway" in sys.orig_argv and (token := os.environ.get("ONAIR_TOKEN_FILE")):
        import subprocess  # noqa: PLC0415  as above

        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(300)", Path(token).read_text(encoding="utf-8")]
        )


RULES = {rule.__name__: rule for rule in (curious, talkative, noted, shouted)}


def dress(told: str) -> None:
    """`{"watch": path of the notes or "", "rule": the broken rule or ""}`."""
    wanted = json.loads(told)
    if wanted["watch"]:
        guard(wanted["watch"])
    if wanted["rule"] in RULES:
        RULES[wanted["rule"]]()
