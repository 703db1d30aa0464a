"""The Lua scripts: each is one commit on the work broker, all or nothing.

A worker that was paused and wakes up can still write; what stops it is that every commit first asks whether the entry
is still pending for it. KEYS and ARGV are named in a comment above each script; `stream, epoch, silence, answer` and
`group, id, me, mine` (the turn's epoch) lead wherever an entry of a turn is committed.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis


class Scripts:
    """Runs scripts by their hash; redis-py loads one again where a restarted broker forgot it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._known: dict[str, Any] = {}

    async def run(self, script: str, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:  # noqa: ANN401  what a script returns
        """The script's answer; raises redis errors as they are."""
        if (known := self._known.get(script)) is None:
            known = self._known[script] = self._redis.register_script(script)
        return await known(keys=list(keys), args=list(args))


HOLDS = """
local function pending(stream, group, id, me)
  return #redis.call('XPENDING', stream, group, id, id, 1, me) == 1
end
local function finish(stream, group, id)
  redis.call('XACK', stream, group, id)
  redis.call('XDEL', stream, id)
end
local function old()
  return tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[4])
    or redis.call('EXISTS', KEYS[3]) == 1
    or redis.call('HEXISTS', KEYS[4], 'dropped') == 1
end
local function fence()
  if not pending(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return 'gone' end
  if old() then
    finish(KEYS[1], ARGV[1], ARGV[2])
    return 'stale'
  end
  return false
end
"""

# KEYS 5 = out stream; ARGV 5 = index, 6 = text, 7 = encoded sentence, 8 = seconds kept
SAY = (
    HOLDS
    + """
local no = fence()
if no then return no end
if redis.call('HEXISTS', KEYS[4], 'count') == 1 then return 'done' end
if (redis.call('HGET', KEYS[4], 'n') or '0') ~= ARGV[5] then return 'order' end
redis.call('HSET', KEYS[4], ARGV[5], ARGV[6], 'n', ARGV[5] + 1)
redis.call('EXPIRE', KEYS[4], ARGV[8])
redis.call('XADD', KEYS[5], '*', '__data__', ARGV[7])
return 'ok'
"""
)

# ARGV 5 = reason, 6 = seconds kept; the number of sentences is fixed by the first call
COUNT = (
    HOLDS
    + """
local no = fence()
if no then return {no, 0, ''} end
if redis.call('HEXISTS', KEYS[4], 'count') == 0 then
  redis.call('HSET', KEYS[4], 'count', redis.call('HGET', KEYS[4], 'n') or '0', 'reason', ARGV[5])
  redis.call('EXPIRE', KEYS[4], ARGV[6])
end
return {'ok', tonumber(redis.call('HGET', KEYS[4], 'count')), redis.call('HGET', KEYS[4], 'reason')}
"""
)

# KEYS answer; ARGV seconds kept; as COUNT, by whoever gives the turn up: a fact that needs no owner
END = """
if redis.call('HEXISTS', KEYS[1], 'count') == 0 then
  local n = redis.call('HGET', KEYS[1], 'n') or '0'
  redis.call('HSET', KEYS[1], 'count', n, 'reason', n == '0' and 'failed' or 'cut')
  redis.call('EXPIRE', KEYS[1], ARGV[1])
end
return {tonumber(redis.call('HGET', KEYS[1], 'count')), redis.call('HGET', KEYS[1], 'reason')}
"""

# KEYS 5 = spoken; ARGV 5 = index, 6 = seconds kept; attempts only ever grow, also across hand-backs and hand-overs.
# A terminal sentence keeps its entry: who skipped it may have died before he told the session, so the owner tells it.
BEGIN = (
    HOLDS
    + """
local no = fence()
if no then return {no, 0} end
if redis.call('HEXISTS', KEYS[5], ARGV[5]) == 1 then return {'done', 0} end
local attempt = redis.call('HINCRBY', KEYS[5], 'attempt:' .. ARGV[5], 1)
redis.call('EXPIRE', KEYS[5], ARGV[6])
return {'ok', attempt}
"""
)

# KEYS 5 = spoken; ARGV 5 = index, 6 = value; the first value stands
SPOKEN = (
    HOLDS
    + """
local no = fence()
if no then return no end
local first = redis.call('HSETNX', KEYS[5], ARGV[5], ARGV[6])
finish(KEYS[1], ARGV[1], ARGV[2])
return first == 1 and 'ok' or 'done'
"""
)

# KEYS spoken; ARGV index, value, seconds kept; a fact that needs no owner: the first value stands
SKIP = """
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return redis.call('HGET', KEYS[1], ARGV[1])
"""

# KEYS stream, target; ARGV group, id, me, encoded message; the count of deliveries starts anew
MOVE = (
    HOLDS
    + """
if not pending(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return 'gone' end
redis.call('XADD', KEYS[2], '*', '__data__', ARGV[4])
finish(KEYS[1], ARGV[1], ARGV[2])
return 'ok'
"""
)

# KEYS stream; ARGV group, id, me; the same bytes as a new entry: the count of deliveries starts anew
HAND_BACK = (
    HOLDS
    + """
if not pending(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return 'gone' end
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
if #found == 1 then redis.call('XADD', KEYS[1], '*', unpack(found[1][2])) end
finish(KEYS[1], ARGV[1], ARGV[2])
return 'ok'
"""
)

# KEYS stream; ARGV group, ms; a consumer that holds nothing and has not asked for so long is gone
SWEEP = """
local gone = 0
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #fields, 2 do consumer[fields[i]] = fields[i + 1] end
  if consumer.pending == 0 and consumer.idle >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    gone = gone + 1
  end
end
return gone
"""

# KEYS stream; ARGV group, id, me
FINISH = (
    HOLDS
    + """
if not pending(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return 'gone' end
finish(KEYS[1], ARGV[1], ARGV[2])
return 'ok'
"""
)

# KEYS stream; ARGV group, id, me; JUSTID leaves the count of deliveries as it is
BEAT = (
    HOLDS
    + """
if not pending(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return 'gone' end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, ARGV[2], 'JUSTID')
return 'ok'
"""
)

# KEYS lease, term; ARGV me, ms; the term of the holder, 0 if another holds it
LEASE = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(redis.call('GET', KEYS[2]) or '0')
end
if holder then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('INCR', KEYS[2])
"""

# KEYS lease, term; ARGV me, term, ms; only what is held is kept: a lease that was lost is taken anew, in a new term
KEEP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""

# KEYS lease; ARGV me, ms; as KEEP, where no commit asks for a term
RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

# KEYS floor, epoch; ARGV no, epoch: what the room's session has seen; work may have been emptied, readers were not
CATCH_UP = """
if tonumber(redis.call('HGET', KEYS[1], 'no') or '0') < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'no', ARGV[1])
end
if tonumber(redis.call('GET', KEYS[2]) or '0') < tonumber(ARGV[2]) then redis.call('SET', KEYS[2], ARGV[2]) end
return tonumber(redis.call('GET', KEYS[2]) or '0')
"""

# KEYS lease; ARGV me
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

# KEYS seen, paid, ledger; ARGV seconds, event id, event, row or ''
RECEIVE = """
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then return 0 end
redis.call('XADD', KEYS[2], '*', 'event', ARGV[3])
if ARGV[4] ~= '' then redis.call('HSETNX', KEYS[3], ARGV[2], ARGV[4]) end
return 1
"""

# KEYS seen, chat; ARGV seconds, newest, event
COMMENT = """
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[2], '*', 'event', ARGV[3])
return 1
"""

DIRECTS = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('GET', KEYS[2]) ~= ARGV[2] then return 'gone' end
local function rows(from, upto)
  for i = from, upto, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
end
"""

# KEYS lease, term, ledger, floor, turns, silence; ARGV me, term, turn, note, encoded turn, then ledger id, row …
REQUEST = (
    DIRECTS
    + """
if redis.call('EXISTS', KEYS[6]) == 1 then return 'stale' end
if redis.call('HEXISTS', KEYS[4], ARGV[3]) == 1 then return 'done' end
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
redis.call('XADD', KEYS[5], '*', '__data__', ARGV[5])
rows(6, #ARGV)
return 'ok'
"""
)

# KEYS lease, term, ledger, floor; ARGV me, term, turn, note, then ledger id, row …
AIR = (
    DIRECTS
    + """
if redis.call('HEXISTS', KEYS[4], ARGV[3]) == 0 then return 'done' end
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
rows(5, #ARGV)
return 'ok'
"""
)

# KEYS lease, term, ledger, floor, paid, answer; ARGV me, term, turn, reason of the drop or '', seconds kept,
# number of entries to delete, those entries, then ledger id, row …
SETTLE = (
    DIRECTS
    + """
redis.call('HDEL', KEYS[4], ARGV[3])
if ARGV[4] ~= '' then
  redis.call('HSETNX', KEYS[6], 'dropped', ARGV[4])
  redis.call('EXPIRE', KEYS[6], ARGV[5])
end
local n = tonumber(ARGV[6])
for i = 7, 6 + n do redis.call('XDEL', KEYS[5], ARGV[i]) end
rows(7 + n, #ARGV)
return 'ok'
"""
)
