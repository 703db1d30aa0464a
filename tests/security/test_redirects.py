"""Every client of ours that asks another server is one that S9 sends on to a second one."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.security.redirects import CLIENTS

ROOT = Path(__file__).parents[2]
MAKERS = {"AsyncClient", "Client", "ClientSession", "urlopen", "connect", "Straight", "AsyncOpenAI"}
"""What opens a connection to a server that speaks HTTP, as it is called in its library."""
LIBRARIES = {
    "httpx2",
    "httpx",
    "aiohttp",
    "urllib.request",
    "websockets.asyncio.client",
    "websockets.sync.client",
    "openai",
}
KNOWN = {
    "services/llm/adapters/openai.py": "llm openai",
    "services/asr/adapters/openai.py": "asr openai",
    "services/tts/adapters/openai.py": "tts openai",
    "onair/probes.py": "onair doctor",
    "onair/server.py": "onair talk",
    "onair/sockets.py": "onair talk --mic",
    "services/gateway/adapters/tavus.py": "tavus",
}
"""Where one is made, and as which of `CLIENTS` it is put to the test: a new one needs a line here, and one there."""


def makers() -> Iterator[str]:
    """Files in which a client of such a library is made."""
    for path in sorted([*(ROOT / "services").rglob("*.py"), *(ROOT / "onair").rglob("*.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        called = {ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(tree) if isinstance(node, ast.Call)}
        if imported & LIBRARIES and called & MAKERS:
            yield str(path.relative_to(ROOT))


def test_every_client_is_put_to_the_test() -> None:
    """Whoever adds one adds it to S9, or it fails here."""
    assert [*makers()] == sorted(KNOWN)
    assert set(KNOWN.values()) == set(CLIENTS)
