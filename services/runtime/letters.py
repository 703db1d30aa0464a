"""The Lua scripts that write and move dead letters; KEYS and ARGV as in `scripts`."""

from services.runtime.scripts import HOLDS

# A dead letter: what is said of the entry, then its own fields (500 at most), each under the name `was:<field>`
LETTER = """
local function letter(dead, stream, id, deliveries, said, fields)
  local now = redis.call('TIME')
  local at = now[1] * 1000 + math.floor(now[2] / 1000)
  local whole = {'stream', stream, 'id', id, 'deliveries', deliveries, 'at_ms', string.format('%d', at)}
  for _, part in ipairs(said) do whole[#whole + 1] = part end
  for i = 1, math.min(#fields, 1000), 2 do
    whole[#whole + 1] = 'was:' .. fields[i]
    whole[#whole + 1] = fields[i + 1]
  end
  redis.call('XADD', dead, '*', unpack(whole))
end
"""

# KEYS stream, dead; ARGV group, id, me, then field, value …; what is no longer in the stream is only let go
BURY = (
    HOLDS
    + LETTER
    + """
local held = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1, ARGV[3])
if #held ~= 1 then return 'gone' end
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
local said = {'group', ARGV[1], unpack(ARGV, 4)}
if #found == 1 then letter(KEYS[2], KEYS[1], ARGV[2], held[1][4], said, found[1][2]) end
finish(KEYS[1], ARGV[1], ARGV[2])
return 'ok'
"""
)

# KEYS lane, dead; ARGV id, then field, value …; a lane has no group: whoever reads it first buries it
BURY_LANE = (
    LETTER
    + """
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then return 0 end
letter(KEYS[2], KEYS[1], ARGV[1], 1, {unpack(ARGV, 2)}, found[1][2])
return redis.call('XDEL', KEYS[1], ARGV[1])
"""
)

# KEYS hash, dead; ARGV field, its value, then field, value …; only if the row is still the one that was read
BURY_ROW = (
    LETTER
    + """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
letter(KEYS[2], KEYS[1], ARGV[1], 1, {unpack(ARGV, 3)}, {'row', ARGV[2]})
return redis.call('HDEL', KEYS[1], ARGV[1])
"""
)

# KEYS dead, the letter's stream; ARGV id; the entry's own fields as a new entry, or as the row of its hash
REQUEUE = """
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then return 'gone' end
local fields, said, was = found[1][2], {}, {}
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 4) == 'was:' then
    was[#was + 1] = string.sub(fields[i], 5)
    was[#was + 1] = fields[i + 1]
  else
    said[fields[i]] = fields[i + 1]
  end
end
if said.stream ~= KEYS[2] or #was == 0 then return 'order' end
local kind = redis.call('TYPE', KEYS[2]).ok
if said.hash == '1' then
  if kind ~= 'none' and kind ~= 'hash' then return 'order' end
  redis.call('HSETNX', KEYS[2], said.id, was[2])
else
  if kind ~= 'none' and kind ~= 'stream' then return 'order' end
  redis.call('XADD', KEYS[2], '*', unpack(was))
end
redis.call('XDEL', KEYS[1], ARGV[1])
return 'ok'
"""
