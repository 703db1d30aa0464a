"""Services that are scaled and killed while paid messages are spoken. The tests of this file follow each other."""

import json
import os
import signal
import time
from typing import Any

from tests.compose.stack import Stack, docker, free_ports, inspect, until

ROOMS = ("one", "two", "three")
TEXT = "The quick brown fox jumps over the lazy dog number {}."
"""Some 4 s of sound, which take the engine 12 s."""
STREAM = "speak:scripted:show"


def spoken(stage: Stack, room: str, id_: str) -> bool:
    """Whether that paid event has been spoken; fails at once if it failed."""
    row = stage.ledger(room).get(f"api:super_chat:{id_}")
    assert row is None or row.state != "failed", row
    return row is not None and row.state == "spoken"


def pending(stage: Stack) -> list[dict[str, Any]]:
    """The sentences that are being made: message_id, consumer, time_since_delivered (ms since the last beat)."""
    with stage.broker() as work:
        return list(work.xpending_range(STREAM, "tts", "-", "+", 100)) if work.exists(STREAM) else []


def told(stage: Stack, room: str, *types: bytes) -> list[dict[str, Any]]:
    """The entries of these types in the room's session, in order."""
    with stage.broker("live") as live:
        entries = live.xrange(f"session:{room}")
    return [json.loads(fields[b"j"]) for _, fields in entries if fields[b"t"] in types]


def attempts(stage: Stack, room: str) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Turn and sentence → its SpeechStarted and SpeechEnded entries, in order."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for body in told(stage, room, b"SpeechStarted", b"SpeechEnded"):
        found.setdefault((body["turn"], body["index"]), []).append(body)
    return found


def test_three_workers_share_the_work(stage: Stack) -> None:
    """With tts=3, llm=2 and gateway=2 on a range of ports everything gets healthy, and each tts worker speaks."""
    ports = free_ports(2)
    stage.env["GATEWAY_PUBLISHED_PORTS"] = f"{min(ports)}-{max(ports)}"
    stage.up("--scale", "tts=3", "--scale", "llm=2", "--scale", "gateway=2")
    assert [len(stage.ids(service)) for service in ("tts", "llm", "gateway", "avatar")] == [3, 2, 2, 1]
    for number in range(4):
        for room in ROOMS:
            stage.super_chat(room, f"share-{number}", f"Hello {number}.")
    for room in ROOMS:
        until(lambda room=room: all(spoken(stage, room, f"share-{number}") for number in range(4)), 120)
    # a worker counts a sentence just after the ledger knows that it was spoken
    until(lambda: sum(done(stage)) >= 12, told=lambda: str(done(stage)))
    print(f"sentences of each worker: {done(stage)}")
    assert min(done(stage)) >= 1
    assert sum(done(stage)) == 12


def done(stage: Stack) -> list[float]:
    """How many sentences each tts worker says that it has done."""
    line = f'onair_jobs_total{{outcome="done",stream="{STREAM}"}} '
    told = [stage.metrics(container, 8103) for container in stage.ids("tts")]
    return [float(text.partition(line)[2].split("\n")[0] or 0) for text in told]


def test_a_worker_killed_in_mid_sentence(stage: Stack) -> None:
    """Another worker goes on where the sound stopped; it is spoken once; the killed container comes back by itself."""
    before = len(told(stage, "one", b"SpeechChunk"))
    stage.super_chat("one", "kill", TEXT.format(1))
    until(lambda: len(told(stage, "one", b"SpeechChunk")) >= before + 3)
    (held,) = pending(stage)
    victim = holder(stage, held["consumer"])
    os.kill(inspect([victim])[0]["State"]["Pid"], signal.SIGKILL)
    killed = time.monotonic()
    until(lambda: any(entry.get("attempt") == 2 for entries in attempts(stage, "one").values() for entry in entries))
    print(f"taken over {time.monotonic() - killed:.1f} s after the kill")
    until(lambda: spoken(stage, "one", "kill"), 60)
    (entries,) = [found for found in attempts(stage, "one").values() if any(each["attempt"] == 2 for each in found)]
    first, second, end = entries
    assert (first["attempt"], second["attempt"], end["attempt"]) == (1, 2, 2)
    assert second["from_sample"] > 0
    assert end["samples"] > second["from_sample"]
    assert pending(stage) == []
    stage.healthy("tts")
    assert inspect([victim])[0]["RestartCount"] == 1


def holder(stage: Stack, consumer: bytes) -> str:
    """The container whose worker reads under that name: the one that, frozen, stops beating."""
    for container in stage.ids("tts"):
        docker("pause", container)
        try:
            time.sleep(1.5)
            idle = {each["consumer"]: each["time_since_delivered"] for each in pending(stage)}
            if idle.get(consumer, 0) > 1_300:
                return container
        finally:
            docker("unpause", container)
    raise AssertionError(f"no container reads as {consumer!r}")
