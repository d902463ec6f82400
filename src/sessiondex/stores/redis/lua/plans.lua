-- Plans: what is to be written, and where it is checked that it can be.

local function new_plan(keys, now, since)
  return { base = keys[1], feed = keys[2], changes = keys[3], now = now, since = since,
           types = {}, writes = {}, told = {}, evicted = {}, rows = {} }
end

-- Plan to write to a key that was read, or else reading it would have failed: it is of its type.
local function write(plan, ...)
  plan.writes[#plan.writes + 1] = { ... }
end

local function add(plan, kind, command, key, ...)
  plan.types[key] = kind
  write(plan, command, key, ...)
end

-- The row as it will be once what is planned so far is done.
local function planned_row(plan, id)
  local row = plan.rows[id]
  if row == nil then
    row = row_of(plan.base, id) or false
    plan.rows[id] = row
  end
  return row or nil
end

local function step_keys(base, step)
  local version, hash, facet = step[1], step[2], step[3]
  local of_step = base .. 'f:' .. version .. ':' .. hash
  return base .. 'v:' .. version, of_step, base .. 't:' .. version .. ':' .. #hash .. ':' .. hash .. ':' .. facet
end

-- A step as one text; its parts are free, and may have any character in them.
local function step_name(step)
  return table.concat({ step[1], #step[2], #step[3], step[2], step[3], step[4] }, ':')
end

local function leave_step(plan, step, id)
  local version, of_step, facet = step_keys(plan.base, step)
  plan.types[version], plan.types[of_step] = 'set', 'set'
  add(plan, 'zset', 'LEAVE', facet, step[4] .. id, of_step, step[3], version, step[2])
end

local function unfile(plan, row, id, keeps)
  local entries = entries_of(row)
  for _, entry in ipairs(entries[1]) do
    if not keeps[entry] then add(plan, 'zset', 'ZREM', plan.base .. entry, id) end
  end
  local step = entries[2]
  if step and #step > 0 and not keeps[step_name(step)] then leave_step(plan, step, id) end
end

local function file(plan, row, id)
  local stamp, entries = digits(row.stamp), entries_of(row)
  for _, entry in ipairs(entries[1]) do add(plan, 'zset', 'ZADD', plan.base .. entry, stamp, id) end
  add(plan, 'zset', 'ZADD', plan.base .. 'all', stamp, id)
  local step = entries[2]
  if #step > 0 then
    local version, of_step, facet = step_keys(plan.base, step)
    add(plan, 'set', 'SADD', version, step[2])
    add(plan, 'set', 'SADD', of_step, step[3])
    add(plan, 'zset', 'ZADD', facet, '0', step[4] .. id)
  end
end

local function tell(plan, kind, before, after)
  plan.told[#plan.told + 1] = { kind, before and before.raw or '', after and after.raw or '' }
end

local function put(plan, id, row)
  local old, entries = planned_row(plan, id), entries_of(row)
  if old and filed(old) ~= filed(row) then
    local keeps = {}
    for _, entry in ipairs(entries[1]) do keeps[entry] = true end
    if #entries[2] > 0 then keeps[step_name(entries[2])] = true end
    unfile(plan, old, id, keeps)
  end
  -- All of it anew, also what is as it was: whatever was lost of an index is back after a save.
  file(plan, row, id)
  write(plan, 'SET', plan.base .. 's:' .. id, packed(row))
  tell(plan, 'saved', old, row)
  plan.rows[id] = row
end

-- Bar claims of a session up to this one, before its locator may go: a save with one of them may be under way. An
-- earlier bar may be of a later claim: that stands.
local function bar(plan, id, claim)
  local key = plan.base .. 'x:' .. id
  claim = math.max(claim, tonumber(redis.call('GET', key) or '0') or 0)
  write(plan, 'SET', key, digits(claim), 'EX', BARRED_FOR)
end

local function take_out(plan, id, kind)
  local old = planned_row(plan, id)
  unfile(plan, old, id, {})
  add(plan, 'zset', 'ZREM', plan.base .. 'all', id)
  write(plan, 'DEL', plan.base .. 's:' .. id)
  bar(plan, id, old.claim)
  tell(plan, kind, old, nil)
  plan.rows[id] = false
  return old
end

local function evict(plan, id, reason)
  local old = take_out(plan, id, 'evicted')
  plan.evicted[#plan.evicted + 1] = { id, digits(old.claim), reason, old.raw }
end

-- Plan to let go of a session that has expired, so that it is in nobody's way.
local function evict_if_idle(plan, id)
  local row = planned_row(plan, id)
  if row and plan.since and row.stamp < plan.since then evict(plan, id, 'idle') end
end

-- Plan to let go of those idle longest: up to `most` that have expired, and as many as there are beyond the cap.
-- Return whether there may be more that have expired. `saved` are the ids that this plan puts.
local function evict_some(plan, most, cap, saved)
  if not plan.since and not cap then return false end
  local all = plan.base .. 'all'
  local count = redis.call('ZCARD', all)
  local is_saved = {}
  for _, id in ipairs(saved) do is_saved[id] = true end
  for id, row in pairs(plan.rows) do
    local was_there = redis.call('ZSCORE', all, id)
    if row and not was_there then count = count + 1 end
    if not row and was_there then count = count - 1 end
  end
  local surplus = cap and math.max(count - cap, 0) or 0
  -- Those of this plan stand at the beginning as well, if they were idle before it; they come by their new stamps.
  local found = redis.call('ZRANGE', all, 0, most + surplus + #saved, 'WITHSCORES')
  local queue = {}
  for place = 1, #found, 2 do
    if plan.rows[found[place]] ~= false and not is_saved[found[place]] then
      queue[#queue + 1] = { found[place], tonumber(found[place + 1]) }
    end
  end
  for _, id in ipairs(saved) do queue[#queue + 1] = { id, plan.rows[id].stamp } end
  table.sort(queue, function(one, other) return one[2] < other[2] end)
  local left = most
  for _, one in ipairs(queue) do
    local row = planned_row(plan, one[1])
    if not row then -- its row was lost
      add(plan, 'zset', 'ZREM', all, one[1])
      surplus = surplus - 1
    elseif plan.since and row.stamp < plan.since and (left > 0 or surplus > 0) then
      evict(plan, one[1], 'idle')
      left, surplus = left - 1, surplus - 1
    elseif surplus > 0 then
      evict(plan, one[1], 'cap')
      surplus = surplus - 1
    else
      break
    end
  end
  return left <= 0
end

-- The number of the last change, also if it was lost: a stream takes none that is not larger.
local function last_change(plan)
  local sequence = tonumber(redis.call('HGET', plan.feed, 'sequence') or '0') or 0
  if redis.call('EXISTS', plan.changes) == 1 then
    local about = redis.call('XINFO', 'STREAM', plan.changes)
    for place = 1, #about, 2 do
      if about[place] == 'last-generated-id' then
        sequence = math.max(sequence, tonumber(string.match(about[place + 1], '^%d+')))
      end
    end
  end
  return sequence
end

local function apply_leave(leave)
  local _, facet, member, of_step, facet_name, version, hash = unpack(leave)
  redis.call('ZREM', facet, member)
  if redis.call('EXISTS', facet) == 0 then
    redis.call('SREM', of_step, facet_name)
    if redis.call('EXISTS', of_step) == 0 then redis.call('SREM', version, hash) end
  end
end

-- Return an error, or do all that is planned.
local function apply(plan)
  for key, kind in pairs(plan.types) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      return redis.error_reply('WRONGTYPE sessiondex found a ' .. found .. ' where it keeps a ' .. kind)
    end
  end
  local sequence, kept = 0, nil
  if #plan.told > 0 then
    sequence = last_change(plan)
    kept = redis.call('HGET', plan.feed, 'kept')
  end
  -- From here on nothing fails.
  for _, one in ipairs(plan.writes) do
    if one[1] == 'LEAVE' then apply_leave(one) else redis.call(unpack(one)) end
  end
  for _, change in ipairs(plan.told) do
    sequence = sequence + 1
    if kept then
      redis.call('XADD', plan.changes, 'MAXLEN', '=', kept, digits(sequence) .. '-0',
                 'kind', change[1], 'before', change[2], 'after', change[3])
    end
  end
  if #plan.told > 0 then redis.call('HSET', plan.feed, 'sequence', digits(sequence)) end
  return nil
end

-- Only where somebody is to be told are the sessions sent along.
local function answer_evicted(plan, is_wanted)
  local evicted = {}
  for place, one in ipairs(plan.evicted) do
    evicted[place] = { one[1], one[2], one[3], is_wanted == '1' and one[4] or '' }
  end
  return evicted
end
