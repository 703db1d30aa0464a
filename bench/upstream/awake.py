"""Keeps the fake server quick: a process that waited is slow at first, which is no engine's exact timing."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

from bench.upstream.server import AWAKE


async def keep_awake(url: str, every_s: float) -> None:
    """Ask the server under `url` for nothing so often, over one connection, until it ends.

    On a virtual machine whose host takes idle memory away, a request would else wait milliseconds until it is noticed.
    """
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    ask = f"POST {AWAKE} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    try:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                writer.write(ask)
                await reader.readuntil(b"{}")
                await asyncio.sleep(every_s)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
