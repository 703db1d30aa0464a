"""Clients of a gateway by plain sockets: pages of a room and calls, which come, stay, stop reading, or come back."""

import asyncio
import json
import resource
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from websockets.frames import Opcode

from tests.caller import request
from tests.security.ground import Wire, handshake, masked, wire

CALL = "/api/live_voice_call/chat"
STREAMED = request("BotUpdateConfig", audio="stream")
WELCOME_S = 20.0


@dataclass
class There:
    """Where a gateway listens."""

    port: int
    own: str = "127.0.0.1"


def many_files() -> None:
    """As many as may be open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@asynccontextmanager
async def attached(there: There, path: str, buffer: int = 0) -> AsyncGenerator[Wire]:
    """A client that was told how things stand; raises OSError or TimeoutError if it is not let in."""
    async with wire(there, buffer) as plain:
        plain.say(handshake(path, host=f"localhost:{there.port}"))
        if (status := await plain.status()) != 101:
            raise ConnectionError(str(status))
        async with asyncio.timeout(WELCOME_S):
            opcode, body = await plain.message()
        if opcode == Opcode.CLOSE or not (b'"present"' in body or b'"BotReady"' in body):
            raise ConnectionError(body.decode(errors="replace"))
        if path.startswith(CALL):
            plain.say(masked(Opcode.BINARY, STREAMED))
        yield plain


async def stays(plain: Wire) -> None:
    """Read until the connection is gone."""
    with suppress(OSError):
        while await plain.reader.read(65_536):
            pass


def sound(body: bytes) -> bytes:
    """The samples of a page's binary message."""
    return body[4 + int.from_bytes(body[:4], "big") :]


def kind(body: bytes) -> str:
    """Of a page's text message."""
    return str(json.loads(body)["type"])


def unread(port: int, peers: set[int]) -> int:
    """Bytes that the kernel keeps for these clients of the gateway's port, in all."""
    kept = 0
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        local, remote = (int(field.rpartition(":")[2], 16) for field in fields[1:3])
        if local == port and remote in peers:
            kept += int(fields[4].partition(":")[0], 16)
    return kept


def memory(pid: int, what: str = "VmRSS") -> int:
    """Bytes of a process; `VmHWM`: at most, since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return 1_024 * int(status.partition(f"{what}:")[2].split()[0])


def forget_peak(pid: int) -> None:
    """The most memory is counted anew from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
