-- Stamps: no two sessions of a tenant have the same one.
--
-- Rules. A save gets a stamp later than all earlier ones. A restored session keeps its stamp if no other session of the
-- tenant has it. Otherwise it gets the next free microsecond.
--
-- Theory of operation. An import may give thousands of sessions one stamp, so free stamps lie behind long runs of taken
-- ones. A search doubles its step and counts how many stamps are taken: O(log^2 n) for a run of n. A call remembers the
-- last run that it has searched, and in `next_after` the way from each stamp that it found taken to the next free one.

local function new_stamps(base)
  return { all = base .. 'all', planned = {}, next_after = {}, run_first = 0, run_end = 0 }
end

-- Return the last stamp of the tenant, and whether the server knew it. If the server has lost it, the newest session
-- replaces it.
local function last_stamp(base)
  local last = tonumber(redis.call('HGET', base .. 'meta', 'stamp') or '0') or 0
  if last > 0 then return last, true end
  local newest = redis.call('ZRANGE', base .. 'all', -1, -1, 'WITHSCORES')
  return tonumber(newest[2] or '0'), false
end

-- Return whether a session other than `id` has the stamp, by what is stored and planned.
local function is_taken(stamps, plan, id, stamp)
  if stamps.planned[stamp] then return true end
  local text = digits(stamp)
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', stamps.all, text, text, 'LIMIT', 0, 2)) do
    local row = plan.rows[other] -- nil if this call has not met the session, false if it removes it
    if other ~= id and (row == nil or (row and row.stamp == stamp)) then return true end
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

-- Take the first free stamp from `stamp` on for the session, and return it.
local function take_free_stamp(stamps, plan, id, stamp)
  local passed = {}
  while stamps.next_after[stamp] or is_taken(stamps, plan, id, stamp) do
    passed[#passed + 1] = stamp
    stamp = stamps.next_after[stamp] or run_end(stamps, stamp)
  end
  for _, one in ipairs(passed) do stamps.next_after[one] = stamp + 1 end
  stamps.planned[stamp] = true
  return stamp
end
