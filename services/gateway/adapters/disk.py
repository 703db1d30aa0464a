"""The folders of ONAIR_DATA that people fill: reports, recordings, and what is forgotten when its time has come."""

import asyncio
import os
import re
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.contract.failure import Code, Failure
from services.gateway.core.english import SILENCE, SILENCE_WAV, is_recording

REPORTS, AUDIO = "reports", "audio"
FOLDERS = ("recordings", AUDIO, REPORTS)
"""What expires by policy; nothing else of ONAIR_DATA is ever looked at."""
_ID = re.compile(r"[0-9a-f]{16}")


class Shelf:
    """Finished reports, each under its id."""

    def __init__(self, data: Path) -> None:
        self._folder = data / REPORTS

    async def read(self, id_: str) -> bytes | None:
        """The report of that id; None if there is none. An id that is none of ours opens nothing."""
        return await asyncio.to_thread(self._read, id_)

    def _read(self, id_: str) -> bytes | None:
        if not _ID.fullmatch(id_):
            return None
        try:
            return (self._folder / f"{id_}.html").read_bytes()
        except FileNotFoundError:
            return None

    def write(self, id_: str, html: str) -> Path:
        """Put it there whole or not at all: a reader never sees a part of it."""
        if not _ID.fullmatch(id_):
            raise ValueError(f"{id_!r} is no id of a report")
        return _put(self._folder / f"{id_}.html", html.encode())


class Tapes:
    """Recordings of the English partner, each under a name that nobody guesses; they expire as `keep.audio` says."""

    def __init__(self, data: Path) -> None:
        self._folder = data / AUDIO

    async def read(self, name: str) -> bytes | None:
        """The WAV of that name; None if there is none (any more). A name that is none of ours opens nothing."""
        return SILENCE_WAV if name == SILENCE else await asyncio.to_thread(self._read, name)

    def _read(self, name: str) -> bytes | None:
        if not is_recording(name):
            return None
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    async def keep(self, wav: bytes) -> str:
        """Put it there under a new name; raises Failure INTERNAL where the disk does not take it."""
        name = f"{uuid.uuid4()}.wav"
        try:
            await asyncio.to_thread(_put, self._folder / name, wav)
        except OSError as error:
            sentence = f"the recording cannot be kept in {AUDIO} of ONAIR_DATA: {error.strerror}"
            raise Failure(Code.INTERNAL, sentence, retryable=True) from error
        return name


def _put(path: Path, body: bytes) -> Path:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


@dataclass(frozen=True)
class Forgotten:
    """What was deleted of a folder."""

    files: int = 0
    bytes: int = 0
    failed: int = 0
    """Files that could not be deleted; they are tried again the next time."""


def forget(folder: Path, before_ms: int, *, dry_run: bool = False) -> Forgotten:
    """Delete regular files below `folder` that were last changed before then (Unix milliseconds).

    No symbolic link is followed or deleted, the folder itself may be none; a folder that is empty and as old goes too.
    `dry_run` only counts.
    """
    files = size = failed = 0
    if not folder.is_dir() or folder.is_symlink():
        return Forgotten()
    for root_fd, name, found in _old(folder, before_ms, dry_run=dry_run):
        try:
            if not dry_run:
                os.unlink(name, dir_fd=root_fd)
        except OSError:
            failed += 1
            continue
        files, size = files + 1, size + found.st_size
    return Forgotten(files, size, failed)


def _old(folder: Path, before_ms: int, *, dry_run: bool) -> Iterator[tuple[int, str, os.stat_result]]:
    """Each old regular file with the folder that holds it, by descriptor: what is moved meanwhile leads nowhere else."""
    for _, folders, names, root_fd in os.fwalk(folder, topdown=False, follow_symlinks=False):
        for name in names:
            found = _look(name, root_fd)
            if found and stat.S_ISREG(found.st_mode) and found.st_mtime * 1_000 < before_ms:
                yield root_fd, name, found
        for name in () if dry_run else folders:
            found = _look(name, root_fd)
            if found and stat.S_ISDIR(found.st_mode) and found.st_mtime * 1_000 < before_ms:
                _rmdir(name, root_fd)


def _look(name: str, root_fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=root_fd, follow_symlinks=False)
    except OSError:
        return None


def _rmdir(name: str, root_fd: int) -> None:
    """Remove the folder if it is empty."""
    try:
        os.rmdir(name, dir_fd=root_fd)
    except OSError:
        return
