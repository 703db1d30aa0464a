"""The sources that need nothing but a file give frames as promised."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.contract.failure import Code, Failure
from services.ingest.adapters import replay
from services.ingest.adapters.replay import Replay, load
from services.ingest.adapters.scripted import Scripted
from services.ingest.core.ports import Frame, Source

BEGAN_MS = 1_800_000_000_000


class EnoughError(Exception):
    """Ends a source that would go on."""


class Clock:
    """Sleeps in no time: the loop's clock goes on by what was slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.yields = 0
        self._sleep = asyncio.sleep

    async def sleep(self, delay: float) -> None:
        """Stand in for `asyncio.sleep`."""
        self.now += delay
        self.yields += 1
        await self._sleep(0)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(asyncio, "sleep", fake.sleep)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: fake.now)
    return fake


def line(t_ms: object, frame: object = "{}", platform: object = "bilibili") -> str:
    return json.dumps({"t_ms": t_ms, "platform": platform, "frame": frame})


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{one}\n" for one in lines))
    return path


def times() -> Iterator[int]:
    return iter(range(BEGAN_MS, BEGAN_MS + 100_000_000, 1_000_000))


async def given(source: Source, limit: int = 1_000) -> list[Frame]:
    """The frames of `source`, at most `limit` of them."""
    frames: list[Frame] = []

    async def emit(frame: Frame) -> None:
        frames.append(frame)
        if len(frames) == limit:
            raise EnoughError

    try:
        await source.run(emit)
    except EnoughError:
        return frames
    return frames


async def test_scripted() -> None:
    """The scripted source gives its frames in order and ends."""
    frames = [Frame(1, "bilibili", "a"), Frame(2, "douyin", "b")]
    source = Scripted(frames)
    assert await given(source) == frames
    assert source.name == "scripted"


async def test_replay(tmp_path: Path, clock: Clock) -> None:
    """Each frame comes when it is due, stamped with the time at which it was due."""
    path = written(tmp_path / "a.jsonl", line(0, "a"), "", line(500, "b", "douyin"), line(500, "c"), line(2_000, "d"))
    source, due = Replay(path, now_ms=times().__next__), list[float]()

    async def emit(frame: Frame) -> None:
        due.append(clock.now)
        assert frame.at_ms == BEGAN_MS + round(clock.now * 1_000)

    await source.run(emit)
    assert due == [0, 0.5, 0.5, 2]
    assert source.name == "replay"
    assert [frame.body for frame in await given(source)] == ["a", "b", "c", "d"]


async def test_speed(tmp_path: Path, clock: Clock) -> None:
    """At speed 4 a recording takes a quarter of its time, and its frames say so."""
    path = written(tmp_path / "a.jsonl", line(0), line(4_000))
    frames = await given(Replay(path, now_ms=times().__next__, speed=4))
    assert [frame.at_ms - BEGAN_MS for frame in frames] == [0, 1_000]
    assert clock.now == 1


async def test_slow_reader(tmp_path: Path, clock: Clock) -> None:
    """A reader that took long gets what is overdue at once, with the times at which it was due."""
    path, seen = written(tmp_path / "a.jsonl", line(0), line(100), line(200)), list[tuple[int, float]]()

    async def emit(frame: Frame) -> None:
        seen.append((frame.at_ms - BEGAN_MS, clock.now))
        clock.now += 5

    await Replay(path, now_ms=times().__next__).run(emit)
    assert seen == [(0, 0), (100, 5), (200, 10)]


async def test_burst_lets_others_run(tmp_path: Path, clock: Clock) -> None:
    """Between any two frames the loop is given back, also where all are due."""
    path = written(tmp_path / "a.jsonl", *[line(0)] * 50)
    assert len(await given(Replay(path, now_ms=times().__next__))) == 50
    assert clock.yields == 50


@pytest.mark.usefixtures("clock")
async def test_once(tmp_path: Path) -> None:
    """Played once, a recording ends; its frames are marked as recorded."""
    (frame,) = await given(Replay(written(tmp_path / "a.jsonl", line(0)), now_ms=times().__next__))
    assert frame == Frame(BEGAN_MS, "bilibili", "{}", lap=0, recorded=True)


async def test_looping(tmp_path: Path, clock: Clock) -> None:
    """A looping recording numbers its laps, reads the time anew at each, and pauses between them."""
    path = written(tmp_path / "a.jsonl", line(0), line(1_000))
    frames = await given(Replay(path, now_ms=times().__next__, once=False, lap=4), 5)
    assert [frame.lap for frame in frames] == [4, 4, 5, 5, 6]
    assert frames[2].at_ms == BEGAN_MS + 1_000_000
    assert clock.now == 2 + 2 * replay.PAUSE_S


def test_gzipped(tmp_path: Path) -> None:
    """A gzipped recording is the same recording."""
    plain = written(tmp_path / "a.jsonl", line(0, "你好🎵"), line(7))
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    assert load(packed) == load(plain)


async def test_missing(tmp_path: Path) -> None:
    """A missing recording is named, with the place to correct it."""
    with pytest.raises(Failure, match=r"onair\.yaml") as caught:
        await given(Replay(tmp_path / "none.jsonl.gz", now_ms=times().__next__))
    assert caught.value.code == Code.NOT_FOUND
    assert not caught.value.retryable


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_bad_speed(tmp_path: Path, speed: float) -> None:
    """A speed that is not above 0 is refused at once."""
    with pytest.raises(Failure, match="above 0") as caught:
        Replay(tmp_path, now_ms=times().__next__, speed=speed)
    assert caught.value.code == Code.BAD_CONFIG


@pytest.mark.parametrize(
    "bad",
    [
        "no json",
        "[]",
        line(-1),
        line("1"),
        line({}),
        line(1.5),
        line(None),
        line(0, 7),
        line(0, "{}", "twitch"),
        '{"t_ms":0,"platform":"bilibili"}',
        '{"t_ms":0,"platform":"bilibili","frame":"' + "\x01" + '"}',
    ],
)
def test_bad_line(tmp_path: Path, bad: str) -> None:
    """A line that is no frame is refused with its number."""
    with pytest.raises(Failure, match=r"a\.jsonl, line 2: ") as caught:
        load(written(tmp_path / "a.jsonl", line(0), bad))
    assert caught.value.code == Code.BAD_INPUT


@pytest.mark.parametrize(
    "content", [b"plain text", gzip.compress(b"x" * 99, mtime=0)[:-9], b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xff\xff\xff"]
)
def test_bad_gzip(tmp_path: Path, content: bytes) -> None:
    """A file that is no gzip, or a broken one, is refused."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(Failure, match=r"cannot be read|line 1") as caught:
        load(path)
    assert caught.value.code == Code.BAD_INPUT


def test_folder(tmp_path: Path) -> None:
    """A folder is no recording."""
    with pytest.raises(Failure, match="cannot be read") as caught:
        load(tmp_path)
    assert caught.value.code == Code.BAD_INPUT


def test_empty(tmp_path: Path) -> None:
    """A recording without frames is refused: looping it would be silence for ever."""
    with pytest.raises(Failure, match="no frames") as caught:
        load(written(tmp_path / "a.jsonl", ""))
    assert caught.value.code == Code.BAD_INPUT


@pytest.mark.parametrize(("limit", "value"), [("LINE_MAX", 60), ("SIZE_MAX", 150), ("FRAMES_MAX", 2)])
def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    """A line, a file and a number of lines beyond their limits are refused."""
    path = written(tmp_path / "a.jsonl", line(0), line(0), line(0, "x" * 40))
    assert len(load(path)) == 3
    monkeypatch.setattr(replay, limit, value)
    with pytest.raises(Failure, match="line 3: the recording is too large"):
        load(path)
