"""A program for scale: the same work by three processes and three raw hops, with nothing kept, ordered anew or resumed.

python -m bench.minimal front|llm|tts BROKER UPSTREAM NOTES    (started by `bench.chat`, as a whole by `stage`)
"""

import asyncio
import json
import os
import socket
import sys
import tempfile
import uuid
from base64 import b64encode
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import uvicorn
import uvloop
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from redis.asyncio import Redis

from bench.stage import Stage, started
from services.runtime.bus import connect
from tests.conftest import LIVE, broker

ROLES = ("front", "llm", "tts")
BLOCK_MS = 2_000
Fields = dict[bytes, bytes]


async def entries(redis: Redis, key: str) -> AsyncGenerator[Fields]:
    """All that is added to the stream, from its beginning."""
    last = b"0-0"
    while True:
        found = cast("list[tuple[bytes, list[tuple[bytes, Fields]]]]", await redis.xread({key: last}, block=BLOCK_MS))
        for _, items in found or []:
            last = items[-1][0]
            for _, fields in items:
                yield fields


async def front(redis: Redis, notes: Path) -> None:
    """HTTP in, events out."""
    app = FastAPI()

    async def chat(request: Request) -> StreamingResponse:
        asked = (await request.json())["msg"][-1]["content"]
        name = uuid.uuid4().hex
        await redis.xadd("turns", {"turn": name, "text": asked})
        return StreamingResponse(events(name), media_type="text/event-stream")

    async def events(name: str) -> AsyncGenerator[str]:
        async for fields in entries(redis, f"out:{name}"):
            if b"pcm" not in fields:
                await redis.delete(f"out:{name}")
                return
            yield f"event: audio\ndata: {json.dumps({'pcm': b64encode(fields[b'pcm']).decode()})}\n\n"

    app.add_api_route("/api/chat", chat, methods=["POST"], response_model=None)
    listener = socket.create_server(("127.0.0.1", 0))
    note(notes, "front")
    print(f"ready http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off")).serve(sockets=[listener])


async def llm(redis: Redis, client: AsyncOpenAI) -> None:
    """A turn in, its sentences out."""

    async def answer(turn: bytes, text: str) -> None:
        said = ""
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": text}], stream=True
        )
        async for chunk in stream:
            said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            head, end, rest = said.partition(". ")
            if end:
                said = rest
                await redis.xadd("speak", {"turn": turn, "text": f"{head}."})
        await redis.xadd("speak", {"turn": turn, "text": said, "last": "1"})

    async with asyncio.TaskGroup() as group:
        async for fields in entries(redis, "turns"):
            group.create_task(answer(fields[b"turn"], fields[b"text"].decode()))


async def tts(redis: Redis, client: AsyncOpenAI) -> None:
    """A sentence in, its sound out; those of a turn one after the other."""
    before: dict[bytes, asyncio.Task[None]] = {}

    async def speak(fields: Fields, previous: asyncio.Task[None] | None) -> None:
        key = f"out:{fields[b'turn'].decode()}"
        speech = client.audio.speech.with_streaming_response
        async with speech.create(
            model="m", voice="alloy", input=fields[b"text"].decode(), response_format="pcm"
        ) as response:
            if previous:
                await previous
            async for pcm in response.iter_bytes():
                await redis.xadd(key, {"pcm": pcm})
        if b"last" in fields:
            del before[fields[b"turn"]]
            await redis.xadd(key, {"end": "1"})

    async with asyncio.TaskGroup() as group:
        async for fields in entries(redis, "speak"):
            turn = fields[b"turn"]
            before[turn] = group.create_task(speak(fields, before.get(turn)))


def note(notes: Path, role: str) -> None:
    """Where `Stage` finds the process."""
    (notes / f"{role}.json").write_text(json.dumps({"service": role, "pid": os.getpid()}), encoding="utf-8")


async def serve(role: str, url: str, upstream: str, notes: Path) -> None:
    """One process, until it is ended."""
    redis = connect(url)
    if role == "front":
        await front(redis, notes)
        return
    client = AsyncOpenAI(api_key="k", base_url=upstream, max_retries=0)
    note(notes, role)
    print("ready", flush=True)
    await (llm if role == "llm" else tts)(redis, client)


@contextmanager
def stage(*upstream: str) -> Generator[Stage]:
    """The whole, with these options of `python -m bench.upstream`."""
    with tempfile.TemporaryDirectory(prefix="minimal-") as temporary, ExitStack() as opened:
        folder = Path(temporary)
        notes = folder / "data" / "run"
        notes.mkdir(parents=True)
        server = [sys.executable, "-m", "bench.upstream", "--log", str(folder / "upstream.jsonl"), *upstream]
        url = opened.enter_context(started(server, {}, folder / "upstream.err"))
        redis = opened.enter_context(broker(folder, *LIVE))
        urls = [
            opened.enter_context(
                started(
                    [sys.executable, "-m", "bench.minimal", role, redis, url, str(notes)], {}, folder / f"{role}.err"
                )
            )
            for role in ROLES
        ]
        yield Stage(urls[0], folder)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
