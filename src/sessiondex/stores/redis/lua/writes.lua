-- Writing: each plans, then applies.

-- Save some sessions, all or none. args: the cap or '', how many that have expired to let go, whether what is evicted
-- is wanted, the number of sessions; then of each: id, revision that is expected or '', stamp that is expected or '',
-- claim or '', the entry of an identity that must have no session or '', stamp and revision to keep or '', the number
-- of entries, these, the number of parts of its step (0 or 4), these, and its value.
--
-- The answer is one of: 'saved', stamps and revisions, what was evicted, whether it is the tenant's first; 'claim'
-- and the ids that need one, each with the last that is barred; 'conflict', the place of the session and the revision
-- that is stored; 'found' and the row of that identity.
local function parsed_session(args, place)
  local session = { id = args[place], expected = args[place + 1], expected_stamp = args[place + 2],
                    claim = args[place + 3], identity = args[place + 4],
                    kept_stamp = args[place + 5], kept_revision = args[place + 6] }
  local size = tonumber(args[place + 7])
  place = place + 8
  session.entries = { { unpack(args, place, place + size - 1) }, {} }
  place = place + size
  local parts = tonumber(args[place])
  for at = 1, parts do session.entries[2][at] = args[place + at] end
  session.value = args[place + parts + 1]
  return session, place + parts + 2
end

function ops.save(keys, args)
  local now, since = now_and_since(args)
  local base = keys[1]
  local plan = new_plan(keys, now, since)
  local cap, most, is_wanted, number = tonumber(args[3]), tonumber(args[4]), args[5], tonumber(args[6])
  local last = tonumber(redis.call('HGET', base .. 'meta', 'stamp') or '0') or 0
  local is_first = last == 0 and 1 or 0
  local sessions, last_place, place = {}, {}, 7
  for index = 1, number do
    sessions[index], place = parsed_session(args, place)
    last_place[sessions[index].id] = index
  end

  local unclaimed, answers, saved, revisions = {}, {}, {}, {}
  for index, session in ipairs(sessions) do
    local id, claim = session.id, session.claim
    if session.identity ~= '' then -- first: what is there may be of the same id
      local rows = newest(base, base .. session.identity, 1, '', since)
      if rows[1] then return { base, 'found', rows[1] } end
    end
    evict_if_idle(plan, id)
    local old = planned_row(plan, id)
    local barred = tonumber(redis.call('GET', base .. 'x:' .. id) or '0') or 0
    if (not old and claim == '') or (claim ~= '' and barred >= tonumber(claim)) then
      unclaimed[#unclaimed + 1] = { id, digits(barred) }
    else
      local stored = revisions[id] or (old and old.revision or 0)
      local is_another = session.expected_stamp ~= '' and (not old or old.stamp ~= tonumber(session.expected_stamp))
      if (session.expected ~= '' and tonumber(session.expected) ~= stored) or is_another then
        return { base, 'conflict', index, digits(stored) }
      end
      local row = { entries = session.entries, claim = math.max(tonumber(claim) or 0, old and old.claim or 0) }
      if session.kept_stamp == '' then
        last = math.max(now, last + 1)
        row.stamp, row.revision = last, stored + 1
      elseif (not old or old.stamp < tonumber(session.kept_stamp))
        and (not since or tonumber(session.kept_stamp) >= since) then
        row.stamp, row.revision = tonumber(session.kept_stamp), tonumber(session.kept_revision)
        last = math.max(last, row.stamp)
      end
      answers[index] = row.stamp and { digits(row.stamp), digits(row.revision) } or { '', '' }
      revisions[id] = row.revision
      -- Of two with the same id the later replaces the earlier.
      if row.stamp and last_place[id] == index then
        put(plan, id, row, session.value)
        saved[#saved + 1] = id
      end
    end
  end
  if #unclaimed > 0 then return { base, 'claim', unclaimed } end
  if #saved > 0 then add(plan, 'hash', 'HSET', base .. 'meta', 'stamp', digits(last)) end
  evict_some(plan, most, cap, saved)
  return apply(plan) or { base, 'saved', answers, answer_evicted(plan, is_wanted), is_first }
end

-- Remove sessions. args: whether what is evicted is wanted, ids. The answer: of each that was there its id and claim,
-- and what was evicted.
function ops.delete(keys, args)
  local now, since = now_and_since(args)
  local plan = new_plan(keys, now, since)
  local deleted = {}
  for place = 4, #args do
    evict_if_idle(plan, args[place])
    if planned_row(plan, args[place]) then
      local old = take_out(plan, args[place], 'deleted')
      deleted[#deleted + 1] = { args[place], digits(old.claim) }
    end
  end
  return apply(plan) or { keys[1], deleted, answer_evicted(plan, args[3]) }
end

-- Let go of sessions that have expired. args: whether they are wanted, how many at most. The answer: whether there
-- may be more, and these.
function ops.sweep(keys, args)
  local now, since = now_and_since(args)
  local plan = new_plan(keys, now, since)
  local is_more = evict_some(plan, tonumber(args[4]), nil, {})
  return apply(plan) or { keys[1], is_more and 1 or 0, answer_evicted(plan, args[3]) }
end

-- Take those whose rows are gone, or are filed elsewhere by now, out of a list. args: entry, ids.
function ops.mend(keys, args)
  local plan, key = new_plan(keys), keys[1] .. args[3]
  for place = 4, #args do
    local row = row_of(keys[1], args[place])
    if not row or row.stamp ~= tonumber(redis.call('ZSCORE', key, args[place]) or '') then
      add(plan, 'zset', 'ZREM', key, args[place])
    end
    if not row then add(plan, 'zset', 'ZREM', keys[1] .. 'all', args[place]) end
  end
  return apply(plan) or { keys[1] }
end

-- Take those whose rows are gone, or stand elsewhere by now, out of a step. args: version, hash, then facet and member
-- of each.
function ops.mend_step(keys, args)
  local plan = new_plan(keys)
  for place = 5, #args, 2 do
    local facet, member = args[place], args[place + 1]
    local id = string.sub(member, 17)
    local row = row_of(keys[1], id)
    if not row or not stands_at(row, args[3], args[4], facet, member) then
      leave_step(plan, { args[3], args[4], facet, string.sub(member, 1, 16) }, id)
    end
  end
  return apply(plan) or { keys[1] }
end

-- Follow the changes. args: how many to keep. The answer: the number of the last.
function ops.follow(keys, args)
  local plan = new_plan(keys)
  add(plan, 'hash', 'HSET', plan.feed, 'kept', args[3])
  plan.types[plan.changes] = 'stream'
  return apply(plan) or { keys[1], digits(last_change(plan)) }
end

-- Bar all claims of a session up to this one, if the tenant does not have it. args: whether what is evicted is
-- wanted, id, claim. The answer: whether it has it, and what was evicted.
function ops.bar(keys, args)
  local now, since = now_and_since(args)
  local plan = new_plan(keys, now, since)
  evict_if_idle(plan, args[4])
  local is_there = planned_row(plan, args[4])
  if not is_there then bar(plan, args[4], tonumber(args[5])) end
  return apply(plan) or { keys[1], is_there and 1 or 0, answer_evicted(plan, args[3]) }
end
