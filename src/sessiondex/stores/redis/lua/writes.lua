-- Writing: each plans, then applies.

-- Save some sessions, all or none. args: what is asked, then of each session the rest of its row. What is asked is JSON,
-- a list: the cap or '', how many that have expired to let go, whether what is evicted is wanted, and the sessions; of
-- each a list: id, length of its entries, revision that is expected or '', stamp that is expected or '', claim or '', the
-- entry of an identity that must have no session or '', stamp and revision to keep or ''.
--
-- The answer is one of: 'saved', or 'first' if it is the tenant's first time, with stamps and revisions in one text and
-- what was evicted, if anything was; 'claim' and the ids that need one, each with the last that is barred; 'conflict',
-- the place of the session and the revision that is stored; 'found' and the row of that identity.
function ops.save(keys, args)
  local now, since = now_and_since(args)
  local base = keys[1]
  local plan = new_plan(keys, now, since)
  local cap, most, is_wanted, sessions = unpack(cjson.decode(args[3]))
  local last = tonumber(redis.call('HGET', base .. 'meta', 'stamp') or '0') or 0
  local kind = last == 0 and 'first' or 'saved'
  local last_place = {}
  for index, session in ipairs(sessions) do last_place[session[1]] = index end

  local unclaimed, answers, saved, revisions = {}, {}, {}, {}
  for index, session in ipairs(sessions) do
    local id, size, expected, expected_stamp, claim, identity, kept_stamp, kept_revision = unpack(session)
    if identity ~= '' then -- first: what is there may be of the same id
      local rows = newest(base, base .. identity, 1, '', since)
      if rows[1] then return { base, 'found', rows[1] } end
    end
    evict_if_idle(plan, id)
    local old = planned_row(plan, id)
    local barred = tonumber(redis.call('GET', base .. 'x:' .. id) or '0') or 0
    if (not old and claim == '') or (claim ~= '' and barred >= tonumber(claim)) then
      unclaimed[#unclaimed + 1] = { id, digits(barred) }
    else
      local stored = revisions[id] or (old and old.revision or 0)
      local is_another = expected_stamp ~= '' and (not old or old.stamp ~= tonumber(expected_stamp))
      if (expected ~= '' and tonumber(expected) ~= stored) or is_another then
        return { base, 'conflict', index, digits(stored) }
      end
      local rest = args[3 + index]
      local row = { rest = rest, size = size, filed = string.sub(rest, 1, size),
                    claim = math.max(tonumber(claim) or 0, old and old.claim or 0) }
      if kept_stamp == '' then
        last = math.max(now, last + 1)
        row.stamp, row.revision = last, stored + 1
      elseif (not old or old.stamp < tonumber(kept_stamp)) and (not since or tonumber(kept_stamp) >= since) then
        row.stamp, row.revision = tonumber(kept_stamp), tonumber(kept_revision)
        last = math.max(last, row.stamp)
      end
      answers[index] = row.stamp and digits(row.stamp) .. ' ' .. digits(row.revision) or '0 0'
      revisions[id] = row.revision
      -- Of two with the same id the later replaces the earlier.
      if row.stamp and last_place[id] == index then
        put(plan, id, row)
        saved[#saved + 1] = id
      end
    end
  end
  if #unclaimed > 0 then return { base, 'claim', unclaimed } end
  if #saved > 0 then write(plan, 'HSET', base .. 'meta', 'stamp', digits(last)) end
  evict_some(plan, most, tonumber(cap), saved)
  local evicted = #plan.evicted > 0 and answer_evicted(plan, is_wanted) or nil
  return apply(plan) or { base, kind, table.concat(answers, ' '), evicted }
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
