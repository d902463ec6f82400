-- Plans: a write collects its commands here. `apply` checks the types of all keys, then runs the commands.

local function new_plan(keys, now, cutoff)
  return { base = keys[1], feed = keys[2], stream = keys[3], now = now, cutoff = cutoff,
           types = {}, commands = {}, changes = {}, evicted = {}, rows = {} }
end

-- Plan a command on a key that this call has read. The read has already checked the key's type.
local function add_command(plan, ...)
  plan.commands[#plan.commands + 1] = { ... }
end

-- Plan a command on a key of that type. `apply` checks the type before the first write.
local function add_typed(plan, kind, command, key, ...)
  plan.types[key] = kind
  add_command(plan, command, key, ...)
end

-- Return the row as the plan leaves it.
local function planned_row(plan, id)
  local row = plan.rows[id]
  if row == nil then
    row = read_row(plan.base, id) or false
    plan.rows[id] = row
  end
  return row or nil
end

-- Indexes

-- Return the keys of the version's steps, of the step's facets, and of the facet's sessions.
local function step_keys(base, step)
  local version, hash, facet = step[1], step[2], step[3]
  local facets = base .. 'f:' .. version .. ':' .. hash
  return base .. 'v:' .. version, facets, base .. 't:' .. version .. ':' .. #hash .. ':' .. hash .. ':' .. facet
end

-- Return one text for a step. It contains the lengths, since the parts may contain any character.
local function step_name(step)
  return table.concat({ step[1], #step[2], #step[3], step[2], step[3], step[4] }, ':')
end

local function leave_step(plan, step, id)
  local version, facets, facet = step_keys(plan.base, step)
  plan.types[version], plan.types[facets] = 'set', 'set'
  add_typed(plan, 'zset', 'LEAVE_STEP', facet, step[4] .. id, facets, step[3], version, step[2])
end

-- Plan to remove the session from its indexes, except those in `kept`.
local function remove_from_indexes(plan, row, id, kept)
  local keys = index_keys(row)
  for _, list in ipairs(keys[1]) do
    if not kept[list] then add_typed(plan, 'zset', 'ZREM', plan.base .. list, id) end
  end
  local step = keys[2]
  if step and #step > 0 and not kept[step_name(step)] then leave_step(plan, step, id) end
end

local function add_to_indexes(plan, row, id)
  local stamp, keys = digits(row.stamp), index_keys(row)
  for _, list in ipairs(keys[1]) do add_typed(plan, 'zset', 'ZADD', plan.base .. list, stamp, id) end
  add_typed(plan, 'zset', 'ZADD', plan.base .. 'all', stamp, id)
  local step = keys[2]
  if #step > 0 then
    local version, facets, facet = step_keys(plan.base, step)
    add_typed(plan, 'set', 'SADD', version, step[2])
    add_typed(plan, 'set', 'SADD', facets, step[3])
    add_typed(plan, 'zset', 'ZADD', facet, '0', step[4] .. id)
  end
end

-- Puts and removals

-- Plan a change for the feed: of a save the new row, of a removal the removed row.
local function record_change(plan, kind, id, row)
  plan.changes[#plan.changes + 1] = { kind, id, digits(row.revision), digits(row.stamp) }
end

local function put(plan, id, row)
  local old, keys = planned_row(plan, id), index_keys(row)
  if old and packed_keys(old) ~= packed_keys(row) then
    local kept = {}
    for _, list in ipairs(keys[1]) do kept[list] = true end
    if #keys[2] > 0 then kept[step_name(keys[2])] = true end
    remove_from_indexes(plan, old, id, kept)
  end
  -- Unchanged index entries are written too: a save restores entries that the server has lost.
  add_to_indexes(plan, row, id)
  add_command(plan, 'SET', plan.base .. 's:' .. id, pack_row(row))
  plan.rows[id] = row
end

-- Plan to give the session another stamp. The row is not rewritten.
local function move_to_stamp(plan, id, stamp)
  local row = planned_row(plan, id)
  row.stamp = stamp
  add_to_indexes(plan, row, id)
  add_command(plan, 'SETRANGE', plan.base .. 's:' .. id, 0, struct.pack('>I8', stamp))
  record_change(plan, 'touched', id, row)
end

-- Plan to refuse all saves of the session with a fencing token up to this one. Such a save may be under way when the
-- locator is removed. An existing fence may be higher, and is never lowered.
local function raise_fence(plan, id, token)
  local key = plan.base .. 'fence:' .. id
  token = math.max(token, tonumber(redis.call('GET', key) or '0') or 0)
  add_command(plan, 'SET', key, digits(token), 'EX', FENCE_TTL_SECONDS)
end

local function remove(plan, id, kind)
  local old = planned_row(plan, id)
  remove_from_indexes(plan, old, id, {})
  add_typed(plan, 'zset', 'ZREM', plan.base .. 'all', id)
  add_command(plan, 'DEL', plan.base .. 's:' .. id)
  raise_fence(plan, id, old.token)
  record_change(plan, kind, id, old)
  plan.rows[id] = false
  return old
end

-- Eviction

local function evict(plan, id, reason)
  local old = remove(plan, id, 'evicted')
  plan.evicted[#plan.evicted + 1] = { id, digits(old.token), reason, old.raw }
end

-- Evict the session if it has expired, so that the call treats its id as free.
local function evict_if_expired(plan, id)
  local row = planned_row(plan, id)
  if row and plan.cutoff and row.stamp < plan.cutoff then evict(plan, id, 'idle') end
end

-- Evict up to `limit` expired sessions, and all sessions beyond the cap, oldest first. Return whether more expired
-- sessions may be left. `saved` are the ids that this plan puts.
local function evict_batch(plan, limit, cap, saved)
  if not plan.cutoff and not cap then return false end
  local all = plan.base .. 'all'
  local count = redis.call('ZCARD', all)
  local is_saved = {}
  for _, id in ipairs(saved) do is_saved[id] = true end
  for id, row in pairs(plan.rows) do
    local is_indexed = redis.call('ZSCORE', all, id)
    if row and not is_indexed then count = count + 1 end
    if not row and is_indexed then count = count - 1 end
  end
  local surplus = cap and math.max(count - cap, 0) or 0
  -- The index still has the old stamps of saved sessions, so these are read too, and queued by their new stamps.
  local found = redis.call('ZRANGE', all, 0, limit + surplus + #saved, 'WITHSCORES')
  local queue = {}
  for place = 1, #found, 2 do
    if plan.rows[found[place]] ~= false and not is_saved[found[place]] then
      queue[#queue + 1] = { found[place], tonumber(found[place + 1]) }
    end
  end
  for _, id in ipairs(saved) do queue[#queue + 1] = { id, plan.rows[id].stamp } end
  table.sort(queue, function(one, other) return one[2] < other[2] end)
  local left = limit
  for _, queued in ipairs(queue) do
    local id = queued[1]
    local row = planned_row(plan, id)
    if not row then -- the server has lost the row
      add_typed(plan, 'zset', 'ZREM', all, id)
      surplus = surplus - 1
    elseif plan.cutoff and row.stamp < plan.cutoff and (left > 0 or surplus > 0) then
      evict(plan, id, 'idle')
      left, surplus = left - 1, surplus - 1
    elseif surplus > 0 then
      evict(plan, id, 'cap')
      surplus = surplus - 1
    else
      break
    end
  end
  return left <= 0
end

-- Return the evicted sessions for the answer. Rows are included only if the store has an `on_evict` callback.
local function evicted_answer(plan, with_rows)
  local evicted = {}
  for place, one in ipairs(plan.evicted) do
    evicted[place] = { one[1], one[2], one[3], with_rows == '1' and one[4] or '' }
  end
  return evicted
end

-- Applying

-- Return the sequence of the last change. If the server has lost the counter, the stream's last id replaces it: a
-- stream accepts only larger ids.
local function last_sequence(plan)
  local sequence = tonumber(redis.call('HGET', plan.feed, 'sequence') or '0') or 0
  if redis.call('EXISTS', plan.stream) == 1 then
    local info = redis.call('XINFO', 'STREAM', plan.stream)
    for place = 1, #info, 2 do
      if info[place] == 'last-generated-id' then
        sequence = math.max(sequence, tonumber(string.match(info[place + 1], '^%d+')))
      end
    end
  end
  return sequence
end

-- Remove a session from a facet. Remove the facet and the step from their sets when they become empty.
local function apply_leave_step(command)
  local _, facet, member, facets, facet_name, version, hash = unpack(command)
  redis.call('ZREM', facet, member)
  if redis.call('EXISTS', facet) == 0 then
    redis.call('SREM', facets, facet_name)
    if redis.call('EXISTS', facets) == 0 then redis.call('SREM', version, hash) end
  end
end

local function append_changes(plan, sequence, capacity)
  local tenant = string.match(plan.base, '{(%x+)}:$')
  for _, change in ipairs(plan.changes) do
    sequence = sequence + 1
    if capacity then
      redis.call('XADD', plan.stream, 'MAXLEN', '=', capacity, digits(sequence) .. '-0', 'kind', change[1],
                 'tenant', tenant, 'id', change[2], 'revision', change[3], 'stamp', change[4])
    end
  end
  redis.call('HSET', plan.feed, 'sequence', digits(sequence))
end

-- Run the plan and return nil. If a key has the wrong type, run nothing and return the error.
local function apply(plan)
  for key, kind in pairs(plan.types) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      return redis.error_reply('WRONGTYPE sessiondex found a ' .. found .. ' where it keeps a ' .. kind)
    end
  end
  local has_changes = #plan.changes > 0
  local sequence = has_changes and last_sequence(plan)
  local capacity = has_changes and redis.call('HGET', plan.feed, 'kept')
  -- From here on nothing may fail.
  for _, command in ipairs(plan.commands) do
    if command[1] == 'LEAVE_STEP' then apply_leave_step(command) else redis.call(unpack(command)) end
  end
  if has_changes then append_changes(plan, sequence, capacity) end
  return nil
end
