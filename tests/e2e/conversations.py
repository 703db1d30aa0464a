"""Processes of services against the stand-in of Daily: started, killed and started again by a test."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.ingest.cloud import Cloud
from tests.waiting import until

ROOT = Path(__file__).parents[2]
SDK = ROOT / "tests" / "ingest" / "fake_daily"
PATIENCE_S = 60.0


@dataclass
class Program:
    """One process of a service."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def note(self) -> dict[str, Any]:
        """What it says of itself."""
        (path,) = (self.folder / "run").glob(f"*-{self.process.pid}.json")
        return json.loads(path.read_text(encoding="utf-8"))

    @property
    def url(self) -> str:
        """Of a gateway."""
        return f"http://127.0.0.1:{self.note['port']}"

    def kill(self) -> None:
        """Without a word."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)


@dataclass
class House:
    """Two brokers, a configuration, and what runs on them."""

    folder: Path
    work: str
    live: str
    cloud: Cloud
    daily: str = "{}"
    sdk: bool = True
    programs: list[Program] = field(default_factory=list[Program])

    def start(self, service: str) -> Program:
        """One more process; returns when it is ready."""
        config = self.folder / "onair.yaml"
        yaml = (ROOT / "onair.yaml").read_text(encoding="utf-8").replace("openai: {model: gpt-4o-mini}", "scripted: {}")
        config.write_text(f"{yaml}\ndaily: {self.daily}\n", encoding="utf-8")
        ports = {f"{name}_HEALTH_PORT": "0" for name in ("ASR", "LLM", "TTS", "INGEST", "AVATAR", "GATEWAY")}
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")},
            **ports,
            "WORK_REDIS_URL": self.work,
            "LIVE_REDIS_URLS": self.live,
            "ONAIR_CONFIG": str(config),
            "ONAIR_DATA": str(self.folder),
            "GATEWAY_PORT": "0",
            "FAKE_DAILY": self.cloud.address,
            "PYTHONPATH": str(SDK) if self.sdk else "",
        }
        argv = (sys.executable, "-m", f"services.{service}")
        with (self.folder / f"{service}.log").open("ab") as log:
            made = Program(subprocess.Popen(argv, cwd=ROOT, env=env, stderr=log, stdout=log), self.folder)
        self.programs.append(made)
        until(lambda: self._started(made), PATIENCE_S, (self.folder / f"{service}.log").read_text)
        return made

    def _started(self, program: Program) -> bool:
        assert program.process.poll() is None, f"{program.process.args} ended"
        return any((self.folder / "run").glob(f"*-{program.process.pid}.json"))

    def onair(self, *argv: str, **more: str) -> subprocess.Popen[str]:
        """A command of the command line, in the folder."""
        env = {**os.environ, **more}
        command = (sys.executable, "-m", "onair", *argv)
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True)


@contextmanager
def house(folder: Path, work: str, live: str, cloud: Cloud, daily: str = "{}") -> Generator[House]:
    """Everything that it starts ends with the block."""
    made = House(folder, work, live, cloud, daily)
    with ExitStack() as stack:
        stack.callback(lambda: [program.kill() for program in made.programs if program.process.poll() is None])
        yield made


@asynccontextmanager
async def listening(gateway: Program, conversation: str, query: str = "?v=2") -> AsyncGenerator[ClientConnection]:
    """A listener."""
    async with connect(f"{gateway.url.replace('http', 'ws')}/ws{query}", proxy=None) as socket:
        await socket.send(f"conversation_id:{conversation}")
        yield socket


async def told(socket: ClientConnection) -> Any:
    """The next frame."""
    async with asyncio.timeout(PATIENCE_S):
        return json.loads(await socket.recv())
