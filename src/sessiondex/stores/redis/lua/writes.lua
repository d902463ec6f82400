-- Writes: each makes a plan, then applies it.

-- Save sessions, all or none. args: the request, then for each session the client's part of its row.
--
-- The request is a JSON list: cap or '', limit of expired sessions to evict, whether evicted rows are wanted ('1' or
-- ''), and the sessions. Each session is a list: id, size of its index keys, schema version, expected revision or '',
-- expected stamp or '', fencing token or '', list of an identity that must have no session or '', stamp of a
-- session of the identity that does not count or '', stamp and revision to restore or ''.
--
-- The answer is one of these:
--   'saved' (or 'first' if the server did not know the tenant), stamps and revisions as one text, and evicted sessions
--   'claim', pairs of id and lowest acceptable fencing token minus 1: these sessions need a new claim
--   'conflict', place of the session, stored revision
--   'found', row of the session that has the identity
function ops.save(keys, args)
  local now, cutoff = now_and_cutoff(args)
  local base = keys[1]
  local plan, stamps = new_plan(keys, now, cutoff), new_stamps(base)
  local cap, limit, with_rows, sessions = unpack(cjson.decode(args[3]))
  local last, is_known = last_stamp(base)
  local last_place = {}
  for index, session in ipairs(sessions) do last_place[session[1]] = index end
  note_leaving(stamps, plan, sessions)

  local unclaimed, answers, saved, revisions = {}, {}, {}, {}
  for index, session in ipairs(sessions) do
    local id, size, version, expected, expected_stamp, token = unpack(session)
    local identity, unreadable, kept_stamp, kept_revision = unpack(session, 7)
    if identity ~= '' then -- checked first: the session that has the identity may have the same id
      local rows = newest(base, identity, 1, '', cutoff)
      if rows[1] and digits(unpack_row(rows[1]).stamp) ~= unreadable then return { base, 'found', rows[1] } end
    end
    evict_if_expired(plan, id)
    local old = planned_row(plan, id)
    local fence = tonumber(redis.call('GET', base .. 'fence:' .. id) or '0') or 0
    if (not old and token == '') or (token ~= '' and fence >= tonumber(token)) then
      unclaimed[#unclaimed + 1] = { id, digits(fence) }
    else
      local stored = revisions[id] or (old and old.revision or 0)
      local is_another = expected_stamp ~= '' and (not old or old.stamp ~= tonumber(expected_stamp))
      if (expected ~= '' and tonumber(expected) ~= stored) or is_another then
        return { base, 'conflict', index, digits(stored) }
      end
      local rest = args[3 + index]
      local row = { rest = rest, size = size, index_json = string.sub(rest, 1, size),
                    version = old and kept_version(old, rest, size, version) or version,
                    token = math.max(tonumber(token) or 0, old and old.token or 0) }
      if kept_stamp == '' then
        last = math.max(now, last + 1)
        row.stamp, row.revision = last, stored + 1
      elseif (not old or old.stamp < tonumber(kept_stamp)) and (not cutoff or tonumber(kept_stamp) >= cutoff) then
        row.stamp, row.revision = take_free_stamp(stamps, plan, tonumber(kept_stamp)), tonumber(kept_revision)
        last = math.max(last, row.stamp)
      end
      answers[index] = row.stamp and digits(row.stamp) .. ' ' .. digits(row.revision) or '0 0'
      revisions[id] = row.revision
      -- A batch may contain an id twice: only the later session is stored.
      if row.stamp and last_place[id] == index then
        put(plan, id, row)
        saved[#saved + 1] = id
      end
    end
  end
  if #unclaimed > 0 then return { base, 'claim', unclaimed } end
  if #saved > 0 then add_command(plan, 'HSET', base .. 'meta', 'stamp', digits(last)) end
  evict_batch(plan, limit, tonumber(cap), saved)
  local evicted = #plan.evicted > 0 and evicted_answer(plan, with_rows) or nil
  return apply(plan) or { base, is_known and 'saved' or 'first', table.concat(answers, ' '), evicted }
end

-- Remove sessions. args: whether evicted rows are wanted, ids. The answer: id and fencing token of each removed
-- session, and the evicted sessions.
function ops.delete(keys, args)
  local now, cutoff = now_and_cutoff(args)
  local plan = new_plan(keys, now, cutoff)
  local deleted = {}
  for place = 4, #args do
    evict_if_expired(plan, args[place])
    if planned_row(plan, args[place]) then
      local old = remove(plan, args[place], 'deleted')
      deleted[#deleted + 1] = { args[place], digits(old.token) }
    end
  end
  return apply(plan) or { keys[1], deleted, evicted_answer(plan, args[3]) }
end

-- Evict expired sessions. args: whether evicted rows are wanted, limit. The answer: whether more may be left, and the
-- evicted sessions.
function ops.sweep(keys, args)
  local now, cutoff = now_and_cutoff(args)
  local plan = new_plan(keys, now, cutoff)
  local is_more = evict_batch(plan, tonumber(args[4]), nil, {})
  return apply(plan) or { keys[1], is_more and 1 or 0, evicted_answer(plan, args[3]) }
end

-- Remove stale entries from a list. args: list, ids. An entry is stale if its row is lost or has another stamp.
function ops.repair(keys, args)
  local plan, key = new_plan(keys), keys[1] .. args[3]
  for place = 4, #args do
    local row = read_row(keys[1], args[place])
    if not row or row.stamp ~= tonumber(redis.call('ZSCORE', key, args[place]) or '') then
      add_typed(plan, 'zset', 'ZREM', key, args[place])
    end
    if not row then add_typed(plan, 'zset', 'ZREM', keys[1] .. 'all', args[place]) end
  end
  return apply(plan) or { keys[1] }
end

-- Remove stale entries from a step. args: version, hash, then facet and member of each entry.
function ops.repair_step(keys, args)
  local plan = new_plan(keys)
  for place = 5, #args, 2 do
    local facet, member = args[place], args[place + 1]
    local id = string.sub(member, 17)
    local row = read_row(keys[1], id)
    if not row or not is_at_step(row, args[3], args[4], facet, member) then
      leave_step(plan, { args[3], args[4], facet, string.sub(member, 1, 16) }, id)
    end
  end
  return apply(plan) or { keys[1] }
end

-- Turn the change feed on. args: how many changes to keep. The answer: the sequence of the last change.
function ops.follow(keys, args)
  local plan = new_plan(keys)
  add_typed(plan, 'hash', 'HSET', plan.feed, 'kept', args[3])
  plan.types[plan.stream] = 'stream'
  return apply(plan) or { keys[1], digits(last_sequence(plan)) }
end

-- Fence off a session: refuse saves with a fencing token up to this one, unless the tenant has the session. args:
-- whether evicted rows are wanted, id, token. The answer: whether the tenant has the session, and the evicted sessions.
function ops.fence(keys, args)
  local now, cutoff = now_and_cutoff(args)
  local plan = new_plan(keys, now, cutoff)
  evict_if_expired(plan, args[4])
  local is_stored = planned_row(plan, args[4])
  if not is_stored then raise_fence(plan, args[4], tonumber(args[5])) end
  return apply(plan) or { keys[1], is_stored and 1 or 0, evicted_answer(plan, args[3]) }
end
