-- What a store does on the server: each call is one step, which is done or not done.
--
-- Rules. A write is planned, which reads and checks everything and changes nothing, then applied, which only does
-- what can no longer fail: for an error in the middle of a script undoes nothing. All keys of a tenant carry one hash
-- tag, so that they are on one server. The first of KEYS is what they all begin with; the others are named from it,
-- and from what the row of a session remembers.
--
-- A row is a string: stamp, revision, claim and the length of its entries, as HEAD has them; and the rest, which is the
-- client's: the entries, which say under which keys the session is filed, and a value.
--
-- Arguments of every function: the instant in microseconds, or '' for the server's own; for how many microseconds an
-- idle session lives, or '' for ever. Every answer begins with KEYS[1], so that whoever gets another's answer sees
-- it.

local HEAD, HEAD_SIZE = '>I8I8I8I4', 28
local MOST_ROWS_AT_ONCE = 500
local BARRED_FOR = 3600 -- seconds: longer than any message is under way

local ops = {}

-- Numbers

-- Up to 2^53 a double is exact; Lua would print 17 digits of it otherwise.
local function digits(number)
  return string.format('%.0f', number)
end

-- The order of instants from the year 1 on, as 16 hexadecimal digits: what `keys.py` makes of `created_at`.
local function instant_order(instant)
  instant = math.max(instant, -72057594037927936) -- before the year 1
  return string.format('%08x%08x', math.floor(instant / 4294967296) + 16777216, instant % 4294967296)
end

local function now_and_since(args)
  local now
  if args[1] == '' then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  else
    now = tonumber(args[1])
  end
  return now, args[2] ~= '' and now - tonumber(args[2]) or nil
end

-- Rows

local function unpacked(raw)
  local stamp, revision, claim, size = struct.unpack(HEAD, raw)
  return { raw = raw, stamp = stamp, revision = revision, claim = claim, size = size }
end

local function row_of(base, id)
  local raw = redis.call('GET', base .. 's:' .. id)
  return raw and unpacked(raw) or nil
end

-- Where it is filed, as it is kept: JSON, of two lists, entries and the parts of the step.
local function filed(row)
  if not row.filed then row.filed = string.sub(row.raw, HEAD_SIZE + 1, HEAD_SIZE + row.size) end
  return row.filed
end

local function entries_of(row)
  if not row.entries then row.entries = cjson.decode(filed(row)) end
  return row.entries
end

-- Whether it is at that step, and so found by that member of the facet.
local function stands_at(row, version, hash, facet, member)
  local step = entries_of(row)[2]
  return step[1] == version and step[2] == hash and step[3] == facet and step[4] == string.sub(member, 1, 16)
end

local function packed(row)
  row.raw = struct.pack(HEAD, row.stamp, row.revision, row.claim, row.size) .. row.rest
  return row.raw
end
