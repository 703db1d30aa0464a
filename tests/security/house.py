"""A whole house under attack: `onair up` as people start it, on brokers of ours, every Python process of it dressed."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onair.brokers import free_port
from tests.chaos.stack import KEPT
from tests.security.ground import ROOT

STARTS_S, STOPS_S = 90.0, 20.0
DRESS = "SECURITY_DRESS"
SITE = f"import os\nfrom tests.security.dressing import dress\ndress(os.environ[{DRESS!r}])\n"


@dataclass
class House:
    """It runs."""

    folder: Path
    """Everything of this run; its data lies in the folder `data`."""
    port: int
    """The gateway's."""
    process: asyncio.subprocess.Process
    own: str = "127.0.0.1"

    def notes(self) -> list[dict[str, Any]]:
        """What each service wrote about itself: service, pid, health_port."""
        found: list[dict[str, Any]] = []
        for path in (self.folder / "data" / "run").glob("*-*.json"):
            with contextlib.suppress(OSError, ValueError):  # it is gone, or half written
                found.append(json.loads(path.read_text(encoding="utf-8")))
        return found


def dressed(folder: Path, environ: Mapping[str, str], rule: str = "", watch: Path | None = None) -> dict[str, str]:
    """The environment of a Python process that shall be dressed so; nothing of ours but what every process needs."""
    site = folder / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    dress = json.dumps({"rule": rule, "watch": str(watch or "")})
    return {**own, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", DRESS: dress, **environ}


@asynccontextmanager
async def house(
    folder: Path, config: str, environ: Mapping[str, str], rule: str = "", watch: Path | None = None
) -> AsyncGenerator[House]:
    """`onair up`, ready; raises RuntimeError with what it says if it does not get so."""
    path = folder / "onair.yaml"
    path.write_text(config, encoding="utf-8")
    port = free_port(0)  # not 0: killed, the gateway comes back where it was
    argv = ("-m", "onair", "up", "--port", str(port), "--data", str(folder / "data"), "--config", str(path))
    env, pipe = dressed(folder, environ, rule, watch), asyncio.subprocess.PIPE
    with (folder / "up.err").open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, cwd=folder, env=env, stdout=pipe, stderr=err
        )
    try:
        if not await _ready(process):
            raise RuntimeError((folder / "up.err").read_text(encoding="utf-8", errors="replace"))
        yield House(folder, port, process)
    finally:
        await _end(process)


async def _ready(process: asyncio.subprocess.Process) -> bool:
    """Whether it says so before it ends."""
    if process.stdout is None:
        raise RuntimeError("the house has no output")
    async with asyncio.timeout(STARTS_S):
        while line := await process.stdout.readline():
            if line.startswith(b"ready "):
                return True
    return False


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOPS_S)
    except TimeoutError:
        process.kill()
        await process.wait()
