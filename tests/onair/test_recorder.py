"""The recorder: a session on a real broker becomes files that are whole."""

import asyncio
import json
import wave
from pathlib import Path

import pytest

from onair.recorder import Recorder, WavFile
from onair.show import Line
from services.contract.failure import Code, Failed, Failure
from services.contract.gateway import Interrupted
from services.contract.ingest import LedgerRow, ShowEnded, TurnDropped
from services.contract.message import Message
from services.runtime.bus import Bus
from services.runtime.sessions import Item, Sessions
from tests.onair.test_show import MS, ORIGIN, Entry, aired, ended, event, requested, sentence

END = (ShowEnded(received=1, answered=1, dropped={}), b"")


def show_lines(folder: Path) -> list[Line]:
    return [json.loads(line) for line in (folder / "show.jsonl").read_text(encoding="utf-8").splitlines()]


def pcm_of(folder: Path) -> bytes:
    with wave.open(str(folder / "show.wav"), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        return file.readframes(file.getnframes())


def feed(recorder: Recorder, at_ms: int, *entries: Entry) -> None:
    for message, blob in entries:
        recorder.feed(Item("1-0", ORIGIN + at_ms, message, blob))


async def test_a_session_becomes_a_show(tmp_path: Path, broker_url: str, live_url: str) -> None:
    """What was said on the session is found again: the paid id, its turn, its sound, its caption, its ledger row."""
    bus, shown = Bus(broker_url, [live_url]), list[str]()
    sessions = Sessions(bus)
    entries = [requested("a", 1), aired("a", 1), *sentence("a", 1, 0, 300), ended("a", 1), END]
    for message, blob in entries:
        await sessions.publish("demo", message, blob, room=True)
    with Recorder(tmp_path, shown.append) as recorder:
        await recorder.follow(sessions, "demo")
        row = LedgerRow(event=event("cause-of-a"), state="spoken", turn="a", at_ms=0, samples=300 * MS)
        found = recorder.sum_up({"cause-of-a": row})
    await bus.close()
    assert found == json.loads((tmp_path / "summary.json").read_text())
    assert found["paid"] == {"received": 1, "spoken": 1, "withdrawn": 0, "failed": 0}
    ledger = next(line for line in show_lines(tmp_path) if line["type"] == "ledger")
    turn = next(line for line in show_lines(tmp_path) if line["type"] == "turn_closed")
    assert (ledger["event"], ledger["turn"]) == ("cause-of-a", "a")
    assert turn["causes"] == ["cause-of-a"]
    pcm = pcm_of(tmp_path)
    assert pcm[2 * turn["from_sample"] : 2 * turn["to_sample"]] == b"\1\0" * 300 * MS
    assert pcm[: 2 * turn["from_sample"]] == bytes(2 * turn["from_sample"])
    assert "a says 0" in (tmp_path / "show.srt").read_text(encoding="utf-8")
    assert shown == ["chat › why?", "    “a says 0”"]


async def test_a_show_that_stands_still_ends(tmp_path: Path, broker_url: str, live_url: str) -> None:
    """Without an entry for too long the recording ends with a sentence; its files are whole all the same."""
    bus = Bus(broker_url, [live_url])

    async def record() -> None:
        with Recorder(tmp_path, print) as recorder:
            await recorder.follow(Sessions(bus), "demo", stall_s=0.1)

    with pytest.raises(Failure, match="the show stands still") as caught:
        await record()
    await bus.close()
    assert caught.value.code is Code.EXPIRED
    assert pcm_of(tmp_path) == b""


def test_an_interrupted_show_leaves_whole_files(tmp_path: Path) -> None:
    """A recording that is broken off keeps what was heard; an older summary is gone, so that nobody takes it for this one."""
    (tmp_path / "summary.json").write_text("{}")

    def record() -> None:
        with Recorder(tmp_path, print) as recorder:
            feed(recorder, 0, aired("a", 1), *sentence("a", 1, 0, 200))
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        record()
    assert pcm_of(tmp_path) == b"\1\0" * 200 * MS
    assert (tmp_path / "show.srt").read_text().startswith("1\n")
    assert not (tmp_path / "summary.json").exists()


def test_what_was_cut_is_not_in_the_file(tmp_path: Path) -> None:
    """Sound beyond an interrupt is silence in the file, and the next turn is laid over it."""
    interrupted: Message = Interrupted(epoch=1, by="operator")
    with Recorder(tmp_path, print) as recorder:
        feed(recorder, 0, aired("a", 1), *sentence("a", 1, 0, 1_000))
        feed(recorder, 100, (interrupted, b""))
        feed(recorder, 300, aired("b", 2, epoch=1), *sentence("b", 2, 0, 100, epoch=1), ended("b", 1))
        feed(recorder, 500, END)
    heard, quiet = b"\1\0" * 100 * MS, bytes(2 * 200 * MS)
    assert pcm_of(tmp_path) == heard + quiet + heard + bytes(2 * 100 * MS)


def test_failures_and_drops_are_shown(tmp_path: Path) -> None:
    """People see what went wrong and what was dropped, without anything that steers their terminal."""
    shown: list[str] = []
    with Recorder(tmp_path, shown.append) as recorder:
        feed(recorder, 0, (Failed(code=Code.ENGINE_SILENT, sentence="no\x1b answer"), b""))
        feed(recorder, 0, (TurnDropped(turn="a", reason="withdrawn"), b""))
    assert shown == ["    ! no  answer", "    – a dropped: withdrawn"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that cannot be made is a Failure with the remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="name another folder by --out"), Recorder(tmp_path / "file" / "out", print):
        pass


def test_sound_may_be_laid_anywhere(tmp_path: Path) -> None:
    """A file that grows by holes, is trimmed and closed longer is a whole WAV; trimming beyond its end does nothing."""
    file = WavFile(tmp_path / "show.wav")
    file.put(3, b"\1\0\2\0")
    file.trim(100)
    file.trim(4)
    file.close(6)
    assert pcm_of(tmp_path) == bytes(6) + b"\1\0" + bytes(4)
