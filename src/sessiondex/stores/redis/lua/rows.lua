-- The functions that a store runs on the server. Each call is one atomic step: all of it happens, or nothing.
--
-- Rules. A write plans first: it reads and checks everything, and changes nothing. Then it applies the plan, which
-- cannot fail. Redis does not roll back a script that fails, so no check may follow the first write.
--
-- Theory of operation. All keys of a tenant carry one hash tag, so a cluster keeps them on one node. KEYS[1] is their
-- common base. Functions build the other keys from the base and from the index keys in the session's row.
--
-- A row is a string. It begins with stamp, revision, fencing token, the size of the index keys and the schema version of
-- the session's class, packed by HEAD. Then follow the client's parts: the index keys, packed by `pack_names` in
-- `keys.py`, and the value: the type of the class, a NUL, and what the server does not read.
--
-- Arguments of every function: the time in microseconds, or '' for the server's clock; then `idle_ttl` in microseconds,
-- or ''. Every answer begins with KEYS[1], so a client detects the answer of another call.

local HEAD, HEAD_SIZE = '>I8I8I8I4I4', 32
local ROW_BATCH_SIZE = 500
local FENCE_TTL_SECONDS = 3600 -- longer than any request is under way
local AHEAD_MICROSECONDS = 1000000 -- stamps further ahead of the clock do not say when a session was saved

local ops = {}

-- Numbers

-- Format an integer below 2^53 exactly. Lua's own conversion would print an exponent.
local function digits(number)
  return string.format('%.0f', number)
end

-- Encode an instant as 16 hexadecimal digits that sort by time. `keys.py` encodes `created_at` in the same way.
local function instant_order(instant)
  instant = math.max(instant, -72057594037927936) -- before the year 1
  return string.format('%08x%08x', math.floor(instant / 4294967296) + 16777216, instant % 4294967296)
end

-- Return the cutoff by the marks, see `stamps.lua`. If the clock has caught up, only those with the reading 0 count.
local function cutoff_by_marks(marks, cutoff, is_ahead)
  local found = cutoff
  for stamp, reading in string.gmatch(marks, '(%d+):(%d+)') do
    if tonumber(reading) < (is_ahead and cutoff or 1) then found = math.max(found, tonumber(stamp) + 1) end
  end
  return found
end

-- Return the time, and the cutoff: sessions with an earlier stamp have expired. No `idle_ttl`, no cutoff.
local function now_and_cutoff(args, base)
  local now
  if args[1] == '' then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  else
    now = tonumber(args[1])
  end
  if args[2] == '' then return now, nil end
  local cutoff = now - tonumber(args[2])
  local marks, last = unpack(redis.call('HMGET', base .. 'meta', 'marks', 'stamp'))
  if not marks then return now, cutoff end
  return now, cutoff_by_marks(marks, cutoff, tonumber(last or '0') - now > AHEAD_MICROSECONDS)
end

-- Rows

local function unpack_row(raw)
  local stamp, revision, token, size, version = struct.unpack(HEAD, raw)
  return { raw = raw, stamp = stamp, revision = revision, token = token, size = size, version = version }
end

local function read_row(base, id)
  local raw = redis.call('GET', base .. 's:' .. id)
  return raw and unpack_row(raw) or nil
end

-- Return the schema version of a row that replaces another: the highest that wrote it, as long as the type is the same.
local function kept_version(old, rest, size, version)
  local length = string.find(rest, '\0', size + 1, true) - size
  local start = HEAD_SIZE + old.size + 1
  if string.sub(old.raw, start, start + length - 1) ~= string.sub(rest, size + 1, size + length) then return version end
  return math.max(version, old.version)
end

-- Return the index keys as they are packed.
local function packed_keys(row)
  if not row.packed_keys then row.packed_keys = string.sub(row.raw, HEAD_SIZE + 1, HEAD_SIZE + row.size) end
  return row.packed_keys
end

-- Return the index keys: the names of the lists that contain the session, and the four parts of its step, or none.
local function index_keys(row)
  if not row.index_keys then
    local packed, place = packed_keys(row), 2
    local parts = { {}, {} } -- lists, step
    local steps_left = string.byte(packed)
    while place <= #packed do
      local into = steps_left > 0 and parts[2] or parts[1]
      into[#into + 1], place = struct.unpack('>I4c0', packed, place)
      steps_left = steps_left - 1
    end
    row.index_keys = parts
  end
  return row.index_keys
end

-- Return whether the session is in the list.
local function is_in(row, list)
  for _, name in ipairs(index_keys(row)[1]) do
    if name == list then return true end
  end
  return false
end

-- Return whether the session is at that step, under that facet and member.
local function is_at_step(row, version, hash, facet, member)
  local step = index_keys(row)[2]
  return step[1] == version and step[2] == hash and step[3] == facet and step[4] == string.sub(member, 1, 16)
end

local function pack_row(row)
  row.raw = struct.pack(HEAD, row.stamp, row.revision, row.token, row.size, row.version) .. row.rest
  return row.raw
end
