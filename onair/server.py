"""The gateway that a client command talks to: where it is, and what is said when it does not answer."""

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2

from onair.drive import tame
from services.contract.failure import Code, Failure
from services.runtime.words import clip

CONNECT_S = 4.0
NOT_FOUND = 404
SILENT_S = 120.0
"""A stream without a byte for so long is broken: no answer takes that long to begin."""
_TOKEN = re.compile(r"[\x21-\x7e]*")
WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  nothing is bound here


@dataclass(frozen=True)
class Server:
    """A gateway."""

    url: str
    """Without a slash at its end."""
    token: str = ""
    folder: Path | None = None
    """The data folder of the `onair` of this machine that runs it, where that is how it was found."""

    @property
    def local(self) -> bool:
        """Whether it is this machine: then no proxy of the environment is used."""
        host = urlsplit(self.url).hostname or ""
        return host in {"localhost", "::1"} or host.startswith("127.")

    @contextmanager
    def open(self) -> Generator[httpx2.Client]:
        """A client for it; every failure of the wire is a Failure that names the server and the remedy."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        limits = httpx2.Timeout(SILENT_S, connect=CONNECT_S)
        try:
            with httpx2.Client(
                base_url=self.url, headers=headers, timeout=limits, trust_env=not self.local, follow_redirects=False
            ) as client:
                yield client
        except httpx2.ConnectError as error:
            remedy = "start one by `onair up`, or name another by --server"
            raise Failure(Code.BUS_DOWN, f"no server listens at {self.url}: {remedy}", retryable=True) from error
        except httpx2.TimeoutException as error:
            raise Failure(Code.ENGINE_SILENT, f"{self.url} does not answer in time; its log says why") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, ImportError) as error:
            what = clip(str(error), 200) or type(error).__name__
            raise Failure(Code.ENGINE_BROKEN, f"the connection to {self.url} broke off ({what}); try again") from error


def given(url: str, token: str) -> Server:
    """The server that a person named, `http://` added where it was left out; raises Failure(BAD_INPUT)."""
    full = (url if "://" in url else f"http://{url}").rstrip("/")
    try:
        parts = urlsplit(full)
        good = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or not full.isprintable() or any(mark in full for mark in " @?#\\"):
        raise Failure(Code.BAD_INPUT, "--server is no address of a server; write http://host:port")
    if not _TOKEN.fullmatch(token):
        raise Failure(Code.BAD_INPUT, "the token has characters that no token has; look at --token or ONAIR_TOKEN")
    return Server(full, token)


def find(url: str, token: str, folders: list[Path], environ: Mapping[str, str]) -> Server:
    """The named server, else that of the `onair` which works in one of these folders; raises Failure(NOT_FOUND)."""
    if url:
        return given(url, token)
    for folder in folders:
        if port := _port(folder):
            host = environ.get("GATEWAY_HOST", "") if folder == folders[0] else ""
            host = WILDCARDS.get(host, host)
            found = given(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", token)
            return Server(found.url, token, folder)
    where = " or ".join(str(folder) for folder in folders)
    remedy = "start it by `onair up`, or name a server by --server http://host:port"
    raise Failure(Code.NOT_FOUND, f"no onair runs in {where}: {remedy}")


def _port(folder: Path) -> int:
    """The gateway's port in the notes of the `onair` that works in that folder now; 0 if none does."""
    if not (folder / "onair.lock").exists():
        return 0
    # Late, because file locks do not exist on every system that a client runs on.
    from onair.processes import held  # noqa: PLC0415  see above

    if not held(folder):
        return 0
    for note in sorted((folder / "run").glob("gateway-*.json")):
        try:
            return int(json.loads(note.read_text(encoding="utf-8"))["port"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return 0


def refusal(status: int, body: bytes, url: str) -> Failure:
    """What an answer that is not the expected one means, with the server's own words where it has any."""
    said = clip(_detail(body), 300)
    if status == 401:  # noqa: PLR2004  HTTP's own numbers, here and below
        remedy = "give the operator's token by ONAIR_TOKEN or --token"
        return Failure(Code.UNAUTHORIZED, f"{url} lets nobody in without a token: {remedy}")
    if 300 <= status < 400:  # noqa: PLR2004
        return Failure(Code.BAD_INPUT, f"{url} redirects ({status}), which is not followed; name its end by --server")
    if status == NOT_FOUND and not said:
        return Failure(Code.NOT_FOUND, f"{url} has no such page (404); is it an OnAir gateway of this version?")
    code = Code.BAD_INPUT if 400 <= status < 500 else Code.ENGINE_BROKEN  # noqa: PLR2004
    return Failure(code, f"{url} answered {status}: {said or 'nothing that says why'}")


def _detail(body: bytes) -> str:
    """`detail` of the gateway's JSON error, tame; '' for anything else."""
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    detail = cast("dict[str, Any]", found).get("detail", "") if isinstance(found, dict) else ""
    return tame(detail) if isinstance(detail, str) else ""
