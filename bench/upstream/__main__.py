"""python -m bench.upstream [--port 9000] [--machinery] [--log times.jsonl]: serve until SIGTERM or SIGINT."""

import argparse
import asyncio
import logging
import selectors
import signal
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path

from bench.upstream import content
from bench.upstream.awake import keep_awake
from bench.upstream.journal import Journal
from bench.upstream.schedule import MACHINERY, Delays
from bench.upstream.server import Upstream, serving

HELP = {
    "chat_first_ms": "to the first token of an answer",
    "chat_rate": "tokens a second from then on; 0: at once",
    "transcription_ms": "to the text of a clip",
    "speech_first_ms": "to the first byte of sound",
    "speech_pace": "times real time from then on; 0: at once",
}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; `delays` has all of them together."""
    parser = argparse.ArgumentParser("bench.upstream", description="A fake OpenAI-compatible server with exact timing.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one; the address is printed")
    parser.add_argument("--log", type=Path, help="where each request's times are written, one JSON object a line")
    said = "what is heard in each clip; {number} counts them, {seconds} is its length"
    parser.add_argument("--transcript", default=content.TRANSCRIPT, help=said)
    parser.add_argument("--machinery", action="store_true", help="nothing takes time")
    said = "how often it asks itself for nothing, so that no request finds it cold; 0: never (default 5)"
    parser.add_argument("--awake-ms", type=float, default=5, help=said)
    for each in fields(Delays):
        said = f"{HELP[each.name]} (default {each.default:g})"
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=float, help=said)
    given = parser.parse_args(argv)
    named = {each.name: value for each in fields(Delays) if (value := getattr(given, each.name)) is not None}
    given.delays = replace(MACHINERY if given.machinery else Delays(), **named)
    return given


async def serve(given: argparse.Namespace) -> None:
    """Serve until a signal comes."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    with ExitStack() as files:
        log = files.enter_context(given.log.open("a", encoding="utf-8")) if given.log else None
        app = Upstream(given.delays, given.transcript, Journal(log))
        async with serving(app, given.host, given.port) as url:
            awake = [asyncio.ensure_future(keep_awake(url, given.awake_ms / 1_000))] if given.awake_ms else []
            print(f"ready {url}", flush=True)
            await stop.wait()
            for task in awake:
                task.cancel()


if __name__ == "__main__":
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it calls faults that were asked for errors
    # epoll waits whole milliseconds, select what is left to the microsecond.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(parse()))
