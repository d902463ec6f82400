-- Stamps: no two sessions of a tenant have the same one.
--
-- Rules. A save gets a stamp later than all earlier ones. A restored session keeps its stamp if no other session of the
-- tenant has it, or has it only until this call. Otherwise it gets the next free microsecond. A call restores sessions
-- in the order of their stamps.
--
-- Theory of operation. An import may give thousands of sessions one stamp, so free stamps lie behind long runs of taken
-- ones. A search doubles its step and counts how many stamps are taken: O(log^2 n) for a run of n. A call remembers the
-- last run that it has searched, and the last stamp that it has given: all between a stamp and that one are taken.
--
-- After a clock was ahead and was corrected, stamps stay ahead of it, and do not say when a session was saved. Then
-- `marks` in the tenant's `meta` do: each is a stamp and a reading of the clock, and all stamps up to it were given at
-- that reading or before. They are as close as an `idle_ttl` divided by MARKS_PER_TTL. They count until the clock has
-- caught up with the stamps; a mark by which sessions have expired gets the reading 0, and counts for ever.

local MARKS_PER_TTL = 64

local function new_stamps(base)
  return { all = base .. 'all', leaving = {}, left = {}, last_given = -1, run_first = 0, run_end = 0 }
end

-- Return whether a session is restored: it has not expired, and no later version of it is stored.
local function is_restored(old, stamp, revision, cutoff)
  stamp, revision = tonumber(stamp), tonumber(revision)
  local is_later = not old or old.stamp < stamp or (old.stamp == stamp and old.revision < revision)
  return is_later and (not cutoff or stamp >= cutoff)
end

-- Note which sessions of the call will be restored. The stamps that they leave are free, wherever in the call they
-- stand.
local function note_leaving(stamps, plan, sessions)
  for _, session in ipairs(sessions) do
    local id, kept_stamp, kept_revision = session[1], session[8], session[9]
    local old = kept_stamp ~= '' and planned_row(plan, id)
    if old and is_restored(old, kept_stamp, kept_revision, plan.cutoff) then
      stamps.leaving[id] = true
      stamps.left[#stamps.left + 1] = old.stamp
    end
  end
  table.sort(stamps.left)
end

-- Return the last stamp of the tenant, and whether the server knew the tenant. If the server has lost the stamp, the
-- newest session replaces it. An erased tenant is not known, see `forget`.
local function last_stamp(base)
  local last, erased = unpack(redis.call('HMGET', base .. 'meta', 'stamp', 'erased'))
  last = tonumber(last or '0') or 0
  if last > 0 then return last, not erased end
  local newest = redis.call('ZRANGE', base .. 'all', -1, -1, 'WITHSCORES')
  return tonumber(newest[2] or '0'), false
end

-- Return the marks in the text as pairs of stamp and reading. Those with a reading before `cutoff` are one, used.
local function parsed_marks(text, cutoff)
  local used, marks = nil, {}
  for stamp, reading in string.gmatch(text, '(%d+):(%d+)') do
    if tonumber(reading) < cutoff then used = { stamp, 0 } else marks[#marks + 1] = { stamp, tonumber(reading) } end
  end
  if used then table.insert(marks, 1, used) end
  return marks
end

local function plan_marks(plan, marks)
  local texts = {}
  for place, mark in ipairs(marks) do texts[place] = mark[1] .. ':' .. digits(mark[2]) end
  local meta = plan.base .. 'meta'
  if #texts == 0 then add_command(plan, 'HDEL', meta, 'marks')
  else add_command(plan, 'HSET', meta, 'marks', table.concat(texts, ' ')) end
end

-- Plan to note by which marks sessions have expired, so that these do not come back.
local function keep_used_marks(plan, idle_ttl)
  local text, last = unpack(redis.call('HMGET', plan.base .. 'meta', 'marks', 'stamp'))
  if not text or idle_ttl == '' then return end
  if tonumber(last or '0') - plan.now > AHEAD_MICROSECONDS then
    plan_marks(plan, parsed_marks(text, plan.now - tonumber(idle_ttl)))
  end
end

-- Plan the marks after a save that gave the stamp `last`.
local function mark(plan, last, idle_ttl)
  local text = redis.call('HGET', plan.base .. 'meta', 'marks')
  local now, cutoff = plan.now, plan.now - tonumber(idle_ttl)
  if last - now <= AHEAD_MICROSECONDS then -- the clock has caught up
    if text then
      local used = parsed_marks(text, 1)[1]
      plan_marks(plan, used and used[2] == 0 and tonumber(used[1]) >= cutoff and { used } or {})
    end
    return
  end
  local marks, spacing = parsed_marks(text or '', cutoff), math.floor(tonumber(idle_ttl) / MARKS_PER_TTL)
  if #marks > 0 and marks[#marks][2] > now then marks = {} end -- corrected once more: all were given before now
  if #marks > 1 and now - marks[#marks - 1][2] < spacing then marks[#marks] = nil end
  marks[#marks + 1] = { digits(last), now }
  plan_marks(plan, marks)
end

-- Plan to keep the last stamp of the tenant. `is_known` is that of `last_stamp`.
local function keep_last_stamp(plan, last, is_known, idle_ttl)
  local meta = plan.base .. 'meta'
  add_command(plan, 'HSET', meta, 'stamp', digits(last))
  if not is_known then -- perhaps erased before: then it has sessions again
    add_command(plan, 'HDEL', meta, 'erased')
    add_command(plan, 'PERSIST', meta)
  end
  if idle_ttl ~= '' then mark(plan, last, idle_ttl) end
end

-- Return whether a stored session keeps the stamp.
local function is_taken(stamps, plan, stamp)
  local text = digits(stamp)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', stamps.all, text, text, 'LIMIT', 0, 2)) do
    if not stamps.leaving[id] and plan.rows[id] ~= false then return true end -- false: this call removes it
  end
  return false
end

-- Return the first stamp behind the run of taken stamps that begins with `first`.
local function run_end(stamps, first)
  if stamps.run_first <= first and first < stamps.run_end then return stamps.run_end end
  local function is_full(size)
    return redis.call('ZCOUNT', stamps.all, digits(first), digits(first + size - 1)) >= size
  end
  local low, high = 1, 2
  while is_full(high) do low, high = high, 2 * high end
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    if is_full(middle) then low = middle else high = middle end
  end
  stamps.run_first, stamps.run_end = first, first + low
  return first + low
end

-- Return the next stamp after a taken one that may be free: the end of its run, or one in it that a session leaves.
local function next_candidate(stamps, stamp)
  local last, low, high = run_end(stamps, stamp), 1, #stamps.left + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if stamps.left[middle] <= stamp then low = middle + 1 else high = middle end
  end
  return math.min(stamps.left[low] or last, last)
end

-- Take the first free stamp from `stamp` on, and return it.
local function take_free_stamp(stamps, plan, stamp)
  stamp = math.max(stamp, stamps.last_given + 1)
  while is_taken(stamps, plan, stamp) do stamp = next_candidate(stamps, stamp) end
  stamps.last_given = stamp
  return stamp
end
