"""Reads sessions: which there are, and what is new in those that move, without their sound."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from services.contract import streams
from services.gateway.core.console.scenes import Peek, Scene
from services.runtime.bus import Bus
from services.runtime.clock import now_ms

SESSIONS = 1_000
"""Sessions that are listed; there may be more."""
SHOWN = 400
STEP = 500
BATCH = 50
FRESH = 48
"""Sessions whose whole past is read in one reading, beginning with the rooms."""
ENTRIES = 2_000
"""Entries of a session that are read at once: more than the window holds of one voice."""

# KEYS session; ARGV after ('' looks at none), most; its length, its newest id, and of each entry id, type, JSON and the
# length of its sound, which stays where it is
PEEK = """
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if not newest[1] then return {0, '', {}} end
local told = {}
if ARGV[1] ~= '' and ARGV[1] ~= '(' .. newest[1][1] then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])) do
    local said = {t = '', j = '', b = ''}
    for i = 1, #entry[2], 2 do said[entry[2][i]] = entry[2][i + 1] end
    told[#told + 1] = {entry[1], said.t, said.j, #said.b}
  end
end
return {redis.call('XLEN', KEYS[1]), newest[1][1], told}
"""


class Live:
    """The sessions of all live brokers."""

    def __init__(self, bus: Bus, rooms: Sequence[str]) -> None:
        self._bus = bus
        self._rooms = rooms
        self._scenes: dict[str, Scene] = {}

    async def read(self) -> dict[str, Any]:
        """How things stand."""
        names, more = await self._names()
        self._scenes = {name: self._scenes.get(name) or Scene(name) for name in names}
        await self._peek({name: self._from(scene) for name, scene in self._scenes.items()})
        now = now_ms()
        fresh = [s for s in self._scenes.values() if s.after == "-" and now - s.last_ms < streams.SESSION_KEPT_MS]
        fresh.sort(key=lambda scene: (scene.name not in self._rooms, -scene.last_ms))
        await self._peek({scene.name: "-" for scene in fresh[:FRESH]})
        scenes = sorted(self._scenes.values(), key=lambda scene: (scene.name not in self._rooms, -scene.last_ms))
        rows = [scene.told(now, self._rooms) for scene in scenes[:SHOWN]]
        return {"sessions": {"rows": rows, "count": len(scenes), "more": more}}

    @staticmethod
    def _from(scene: Scene) -> str:
        return "" if scene.after == "-" else f"({scene.after}"

    async def _names(self) -> tuple[list[str], bool]:
        """Sessions that there are, and whether there are more than are listed."""
        names: dict[str, None] = {}
        for redis in self._bus.lives:
            cursor, first = 0, True
            while (cursor or first) and len(names) < SESSIONS:
                cursor, keys = await cast("Any", redis).scan(cursor, match=streams.SESSION.of("*"), count=STEP)
                names.update((key.decode().removeprefix(streams.SESSION.of("")), None) for key in keys)
                first = False
            if cursor:
                return list(names), True
        return list(names), False

    async def _peek(self, wanted: Mapping[str, str]) -> None:
        """Feed these scenes what is new after those ids."""
        for redis in self._bus.lives:
            mine = [name for name in wanted if self._bus.live(name) is redis]
            for at in range(0, len(mine), BATCH):
                part = mine[at : at + BATCH]
                pipe = cast("Any", redis).pipeline(transaction=False)
                for name in part:
                    pipe.eval(PEEK, 1, streams.SESSION.of(name), wanted[name], ENTRIES)
                for name, (length, last, entries) in zip(part, await pipe.execute(), strict=True):
                    self._scenes[name].feed(_peeked(length, last, entries))


def _peeked(length: int, last: bytes, entries: Sequence[tuple[bytes, bytes, bytes, int]]) -> Peek:
    new = [(id_.decode(), kind.decode(errors="replace"), body, sound) for id_, kind, body, sound in entries]
    return Peek(length, last.decode(), new)
