"""What a process says of itself on work, and what is left of it when it is gone."""

import json
import os
import signal
from pathlib import Path
from typing import Any, cast

from redis import Redis

from services.contract import streams
from tests.redis.test_service import note, running, until


def told(redis: Any) -> dict[str, dict[str, Any]]:
    """Every process that lives, by `<service>:<name>`."""
    members: list[bytes] = redis.zrange(streams.WORKERS, 0, -1)
    found = {member.decode(): cast("bytes | None", redis.get(streams.WORKER.of(member.decode()))) for member in members}
    return {member: json.loads(body) for member, body in found.items() if body}


def test_a_process_says_who_it_is(tmp_path: Path, broker_url: str, live_url: str) -> None:
    """Its pid, its host, what it does and whether it can; nothing is left of it after a clean end."""
    redis = cast("Any", Redis).from_url(broker_url)
    with running("tts", tmp_path, {"work": broker_url, "live": live_url}) as process:
        note(tmp_path, process)
        until(lambda: any(not who["problems"] for who in told(redis).values()))
        ((member, who),) = told(redis).items()
        consumers = redis.xinfo_consumers("speak:espeak:show", "tts")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert told(redis) == {}
        assert redis.zcard(streams.WORKERS) == 0
    service, name = member.split(":")
    assert (service, who["pid"], who["slots"]) == ("tts", process.pid, {"speak:espeak:call": 2, "speak:espeak:show": 2})
    assert all(consumer["name"].decode().startswith(name) for consumer in consumers)
    redis.close()


def test_a_killed_process_vanishes_by_itself(tmp_path: Path, broker_url: str, live_url: str) -> None:
    """Its key runs out; that it was there is remembered for a while."""
    redis = cast("Any", Redis).from_url(broker_url)
    with running("avatar", tmp_path, {"work": broker_url, "live": live_url}) as process:
        until(lambda: bool(told(redis)))
        (member,) = told(redis)
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: not told(redis))
        assert redis.zrange(streams.WORKERS, 0, -1) == [member.encode()]
    redis.close()
