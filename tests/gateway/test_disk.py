"""The folders of ONAIR_DATA: what is old goes, nothing else is touched, and an id opens a report or nothing."""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contract.failure import Code, Failure
from services.gateway.adapters import disk
from services.gateway.adapters.disk import AUDIO, FOLDERS, Forgotten, Shelf, Tapes, forget
from services.gateway.core.english import SILENCE, SILENCE_WAV, is_recording
from services.runtime.config import Keep

NOW_MS, DAY_MS = 1_700_000_000_000, 86_400_000
NAMES = st.sampled_from(["a", "b.wav", ".c", "语音", "d e"])
KINDS = st.sampled_from(["old", "new", "link to file", "link to folder", "fifo"])


def put(path: Path, age_ms: int = 0, body: bytes = b"1234") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    aged(path, age_ms)
    return path


def aged(path: Path, age_ms: int) -> None:
    at = (NOW_MS - age_ms) / 1_000
    os.utime(path, (at, at), follow_symlinks=False)


@contextmanager
def ground() -> Generator[tuple[Path, Path]]:
    """A folder that expires, and one beside it that does not."""
    with tempfile.TemporaryDirectory() as folder:
        inside, outside = Path(folder, "audio"), Path(folder, "outside")
        inside.mkdir()
        put(outside / "precious.wav", 100 * DAY_MS)
        put(outside / "deep" / "precious.wav", 100 * DAY_MS)
        yield inside, outside


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(NAMES, max_size=3), NAMES, KINDS), max_size=12), st.booleans())
def test_only_old_files_inside_go(made: list[tuple[list[str], str, str]], dry_run: bool) -> None:  # noqa: FBT001  drawn
    """Whatever lies there: every old regular file goes and is counted, each other one and all that is outside stays."""
    with ground() as (inside, outside):
        for folders, name, kind in made:
            path = inside.joinpath(*(f"{each}.d" for each in folders), name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink() or path.exists():
                continue
            match kind:
                case "link to file":
                    path.symlink_to(outside / "precious.wav")
                case "link to folder":
                    path.symlink_to(outside)
                case "fifo":
                    os.mkfifo(path)
                case _:
                    path.write_bytes(b"1234")
            aged(path, 0 if kind == "new" else 8 * DAY_MS)
        regular = [path for path in inside.rglob("*") if path.is_file() and not path.is_symlink()]
        old = {path for path in regular if path.stat().st_mtime * 1_000 < NOW_MS - DAY_MS}
        others = {path for path in inside.rglob("*") if path.is_symlink() or not path.is_dir()} - old
        found = forget(inside, NOW_MS - 7 * DAY_MS, dry_run=dry_run)
        assert found == Forgotten(len(old), 4 * len(old))
        assert {path for path in old if path.exists()} == (old if dry_run else set())
        assert all(path.is_symlink() or path.exists() for path in others)
        assert len(list(outside.rglob("precious.wav"))) == 2


def test_a_folder_that_is_a_link_is_left_alone(tmp_path: Path) -> None:
    """Whoever puts a link there may mean anything by it."""
    real = put(tmp_path / "elsewhere" / "old.wav", 100 * DAY_MS)
    (tmp_path / "audio").symlink_to(real.parent)
    assert forget(tmp_path / "audio", NOW_MS) == Forgotten()
    assert real.exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Nothing to forget."""
    assert forget(tmp_path / "none", NOW_MS) == Forgotten()


def test_empty_folders_go_when_they_are_old(tmp_path: Path) -> None:
    """A recording's folder goes some time after its files; one that was just made, or holds something, stays."""
    old, new, full = (tmp_path / name for name in ("old", "new", "full"))
    put(full / "new.wav")
    for folder, age_ms in ((old, 8 * DAY_MS), (new, 0), (full, 8 * DAY_MS)):
        folder.mkdir(exist_ok=True)
        aged(folder, age_ms)
    forget(tmp_path, NOW_MS - 7 * DAY_MS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "new"]


def test_what_cannot_be_deleted_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go all the same."""
    put(tmp_path / "stuck", 8 * DAY_MS)
    put(tmp_path / "free", 8 * DAY_MS)
    real = os.unlink

    def unlink(name: str, *, dir_fd: int) -> None:
        if name == "stuck":
            raise PermissionError(name)
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(disk.os, "unlink", unlink)
    assert forget(tmp_path, NOW_MS) == Forgotten(files=1, bytes=4, failed=1)


async def test_a_report_is_there_whole(tmp_path: Path) -> None:
    """What was written is read; a second writing takes its place; no draft is left."""
    shelf = Shelf(tmp_path)
    for html in ("<p>一", "<p>二"):
        path = shelf.write("0123456789abcdef", html)
        assert await shelf.read("0123456789abcdef") == html.encode()
    assert [each.name for each in path.parent.iterdir()] == ["0123456789abcdef.html"]
    assert await shelf.read("fedcba9876543210") is None


@pytest.mark.parametrize(
    "id_",
    ["", "..", "../secret", "%2e%2e", "0123456789abcde", "0123456789abcdef\n", "0123456789ABCDEF", "/etc/passwd", "0" * 17,
     "0123456789abcde/", "0123456789abcde\0", "０123456789abcdef"],
)  # fmt: skip
async def test_no_other_id_opens_anything(tmp_path: Path, id_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no id of ours never reaches the disk, to be read or to be written."""
    put(tmp_path / "secret.html")

    def opened(_: Path) -> bytes:
        raise AssertionError

    monkeypatch.setattr(Path, "read_bytes", opened)
    assert await Shelf(tmp_path).read(id_) is None
    with pytest.raises(ValueError, match="no id of a report"):
        Shelf(tmp_path).write(id_, "<p>")


async def test_a_recording_is_kept_under_a_name_of_its_own(tmp_path: Path) -> None:
    """Whole, without a draft; the same sound twice is two recordings; silence needs no file."""
    tapes = Tapes(tmp_path)
    names = [await tapes.keep(b"RIFF"), await tapes.keep(b"RIFF")]
    assert len({*names}) == 2
    assert all(map(is_recording, names))
    assert {path.name for path in (tmp_path / AUDIO).iterdir()} == {*names}
    assert [await tapes.read(name) for name in names] == [b"RIFF", b"RIFF"]
    assert await tapes.read(SILENCE) == SILENCE_WAV
    assert await tapes.read(SILENCE.replace("0", "1")) is None


async def test_a_recording_expires_by_the_policy_of_its_folder(tmp_path: Path) -> None:
    """What `keep.audio` says is what the hourly job forgets there; a name that is forgotten is nobody's."""
    tapes = Tapes(tmp_path)
    old, new = await tapes.keep(b"old"), await tapes.keep(b"new")
    aged(tmp_path / AUDIO / old, 8 * DAY_MS)
    aged(tmp_path / AUDIO / new, 6 * DAY_MS)
    kept_ms = Keep().ms(AUDIO)
    assert AUDIO in FOLDERS
    assert kept_ms == 7 * DAY_MS
    assert forget(tmp_path / AUDIO, NOW_MS - kept_ms) == Forgotten(1, 3)
    assert [await tapes.read(name) for name in (old, new)] == [None, b"new"]


@pytest.mark.parametrize(
    "name", ["", "..", "../secret.wav", f"{SILENCE}/../../x", f"{SILENCE}\0", "/etc/passwd", "x.wav"]
)
async def test_no_other_name_opens_a_recording(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never reaches the disk."""
    put(tmp_path / "secret.wav")

    def opened(_: Path) -> bytes:
        raise AssertionError

    monkeypatch.setattr(Path, "read_bytes", opened)
    assert await Tapes(tmp_path).read(name) is None


async def test_a_disk_that_takes_nothing_is_a_failure(tmp_path: Path) -> None:
    """With the folder's name and the reason."""
    (tmp_path / AUDIO).write_text("no folder")
    with pytest.raises(Failure, match="audio of ONAIR_DATA") as failed:
        await Tapes(tmp_path).keep(b"RIFF")
    assert failed.value.code is Code.INTERNAL
