"""What a process says of itself on work, and what is left of it when it is gone."""

import json
import os
import signal
from pathlib import Path
from typing import Any, cast

from redis import Redis

from services.contract import streams
from services.runtime.bus import connect
from services.runtime.clock import now_ms
from services.runtime.health import Health
from services.runtime.presence import DRAIN, Presence, lately
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


async def test_of_several_that_drain_one_is_alone(broker_url: str) -> None:
    """One that works on keeps the others from it; another service does not count; whoever drains last is alone."""
    redis = connect(broker_url)
    states = [Health("gateway"), Health("gateway")]
    gateways = [Presence(redis, state, name, {}) for state, name in zip(states, "ab", strict=True)]
    other = Presence(redis, Health("jobs"), "c", {})
    for each in (*gateways, other):
        await each.beat()
    first, second = gateways
    assert not await first.alone()
    states[1].report({DRAIN: "the service is draining"})
    assert not await second.alone()
    states[0].report({DRAIN: "the service is draining"})
    assert [await each.alone() for each in gateways] == [True, True]
    await redis.aclose()


async def test_who_vanished_a_moment_ago_may_come_back(broker_url: str) -> None:
    """A killed process was there lately for a minute; one that ended as it should, and another service, were not."""
    redis = connect(broker_url)
    here = Presence(redis, Health("gateway"), "a", {})
    await here.beat()
    await redis.delete(streams.WORKER.of("gateway:a"))
    assert (await lately(redis, "gateway"), await lately(redis, "gate")) == (True, False)
    await cast("Any", redis).zadd(streams.WORKERS, {"gateway:a": now_ms() - streams.GONE_KEPT_MS - 1})
    assert not await lately(redis, "gateway")
    await here.beat()
    await here.leave()
    assert not await lately(redis, "gateway")
    await redis.aclose()
