-- Writes: each makes a plan, then applies it.

-- Save sessions, all or none. args: the request, the list of a channel identity that must have no session or '', then
-- for each session the client's part of its row.
--
-- The request is a JSON list: cap or '', limit of expired sessions to evict, whether evicted rows are wanted ('1' or
-- ''), stamp of a session of the identity that does not count or '', and the sessions. Each session is a list: id, size
-- of its index keys, schema version, expected revision or '', expected fencing token or '', fencing token or '', whether
-- it keeps its stamp ('1' or ''), stamp and revision to restore or ''.
--
-- The answer is one of these:
--   'saved' (or 'first' if the server did not know the tenant), stamps and revisions as one text, and evicted sessions
--   'claim', pairs of id and lowest acceptable fencing token minus 1: these sessions need a new claim
--   'conflict', place of the session, stored revision
--   'found', row of the session that has the identity
function ops.save(keys, args)
  local base, identity = keys[1], args[4]
  local now, cutoff = now_and_cutoff(args, base)
  local plan, stamps = new_plan(keys, now, cutoff), new_stamps(base)
  local cap, limit, with_rows, unreadable, sessions = unpack(cjson.decode(args[3]))
  local last, is_known = last_stamp(base)
  local last_place = {}
  for index, session in ipairs(sessions) do last_place[session[1]] = index end
  note_leaving(stamps, plan, sessions)

  if identity ~= '' then -- checked first: the session that has the identity may have the same id
    local rows = newest(base, { identity }, 1, '', '', '', cutoff)
    if rows[1] and digits(unpack_row(rows[1]).stamp) ~= unreadable then return { base, 'found', rows[1] } end
  end
  local unclaimed, answers, saved, made = {}, {}, {}, {}
  for index, session in ipairs(sessions) do
    local id, size, version, expected, expected_token, token, is_quiet, kept_stamp, kept_revision = unpack(session)
    evict_if_expired(plan, id)
    local old = planned_row(plan, id)
    local fence = tonumber(redis.call('GET', base .. 'fence:' .. id) or '0') or 0
    if (not old and token == '') or (token ~= '' and fence >= tonumber(token)) then
      unclaimed[#unclaimed + 1] = { id, digits(fence) }
    else
      local before = made[id] or old -- a batch may contain an id twice
      local stored = before and before.revision or 0
      local is_another = expected_token ~= '' and (not old or old.token ~= tonumber(expected_token))
      if (expected ~= '' and tonumber(expected) ~= stored) or is_another then
        return { base, 'conflict', index, digits(stored) }
      end
      local rest = args[4 + index]
      local row = { rest = rest, size = size, packed_keys = string.sub(rest, 1, size),
                    version = old and kept_version(old, rest, size, version) or version,
                    token = math.max(tonumber(token) or 0, old and old.token or 0) }
      if kept_stamp == '' then
        if is_quiet == '' or not before then
          last = math.max(now, last + 1)
          row.stamp = last
        else
          row.stamp = before.stamp
        end
        row.revision = stored + 1
      elseif is_restored(old, kept_stamp, kept_revision, cutoff) then
        row.stamp, row.revision = take_free_stamp(stamps, plan, tonumber(kept_stamp)), tonumber(kept_revision)
        last = math.max(last, row.stamp)
      end
      answers[index] = row.stamp and digits(row.stamp) .. ' ' .. digits(row.revision) or '0 0'
      made[id] = row.stamp and row or made[id]
      -- Of an id that the batch contains twice, only the later session is stored.
      if row.stamp and last_place[id] == index then
        put(plan, id, row)
        record_change(plan, 'saved', id, row)
        saved[#saved + 1] = id
      end
    end
  end
  if #unclaimed > 0 then return { base, 'claim', unclaimed } end
  if #saved > 0 then keep_last_stamp(plan, last, is_known, args[2]) end
  evict_batch(plan, limit, tonumber(cap), saved)
  local evicted = #plan.evicted > 0 and evicted_answer(plan, with_rows) or nil
  return apply(plan) or { base, is_known and 'saved' or 'first', table.concat(answers, ' '), evicted }
end

-- Give a session a new stamp. args: whether evicted rows are wanted, id. The answer: whether it exists, and the evicted
-- sessions.
function ops.touch(keys, args)
  local now, cutoff = now_and_cutoff(args, keys[1])
  local plan, id = new_plan(keys, now, cutoff), args[4]
  evict_if_expired(plan, id)
  local exists = planned_row(plan, id) and 1 or 0
  if exists == 1 then
    local last, is_known = last_stamp(keys[1])
    last = math.max(now, last + 1)
    move_to_stamp(plan, id, last)
    keep_last_stamp(plan, last, is_known, args[2])
  end
  return apply(plan) or { keys[1], exists, evicted_answer(plan, args[3]) }
end

-- Correct the index entries of sessions that were not saved since they were read. args: for each its id, stamp, revision, and index keys.
-- The answer: how many have other index keys now.
function ops.reindex(keys, args)
  local plan, count = new_plan(keys), 0
  for place = 3, #args, 4 do
    local id, packed = args[place], args[place + 3]
    local old = planned_row(plan, id)
    local is_same = old and digits(old.stamp) == args[place + 1] and digits(old.revision) == args[place + 2]
    if is_same and packed_keys(old) ~= packed then
      put(plan, id, { rest = packed .. string.sub(old.raw, HEAD_SIZE + old.size + 1), size = #packed,
                      packed_keys = packed, stamp = old.stamp, revision = old.revision, token = old.token,
                      version = old.version })
      count = count + 1
    end
  end
  return apply(plan) or { keys[1], count }
end

-- Remove sessions. args: whether evicted rows are wanted, ids. The answer: id and fencing token of each removed
-- session, and the evicted sessions.
function ops.delete(keys, args)
  local now, cutoff = now_and_cutoff(args, keys[1])
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

-- Erase the sessions of several lists, also expired ones. args: limit, lists. The answer: id and fencing token of each
-- erased session, how many of them had not expired, and whether the lists had any entry.
function ops.erase(keys, args)
  local now, cutoff = now_and_cutoff(args, keys[1])
  local plan, limit = new_plan(keys, now, cutoff), tonumber(args[3])
  local erased, visible, has_found = {}, 0, 0
  for place = 4, #args do
    local list = args[place]
    for _, id in ipairs(redis.call('ZRANGE', plan.base .. list, 0, limit - 1)) do
      has_found = 1
      local row = planned_row(plan, id)
      if row and (list == 'all' or is_in(row, list)) then
        if is_visible(row, cutoff) then visible = visible + 1 end
        erased[#erased + 1] = { id, digits(remove(plan, id, 'deleted').token) }
      else -- a stale entry, or one of another list erased it
        add_typed(plan, 'zset', 'ZREM', plan.base .. list, id)
        if not row then add_typed(plan, 'zset', 'ZREM', plan.base .. 'all', id) end
      end
    end
    if #erased >= limit then break end
  end
  return apply(plan) or { keys[1], erased, visible, has_found }
end

-- Let what is known of a tenant without sessions end, as its fences do: a save may still be under way, and must not get
-- an earlier stamp. The answer: whether it has no sessions.
function ops.forget(keys)
  local plan, meta = new_plan(keys), keys[1] .. 'meta'
  local is_empty = redis.call('EXISTS', keys[1] .. 'all') == 0
  if is_empty and redis.call('EXISTS', meta) == 1 then
    add_typed(plan, 'hash', 'HSET', meta, 'erased', '1')
    add_command(plan, 'EXPIRE', meta, FENCE_TTL_SECONDS)
  end
  return apply(plan) or { keys[1], is_empty and 1 or 0 }
end

-- Evict expired sessions. args: whether evicted rows are wanted, limit. The answer: whether more may be left, and the
-- evicted sessions.
function ops.sweep(keys, args)
  local now, cutoff = now_and_cutoff(args, keys[1])
  local plan = new_plan(keys, now, cutoff)
  keep_used_marks(plan, args[2])
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
  local now, cutoff = now_and_cutoff(args, keys[1])
  local plan = new_plan(keys, now, cutoff)
  evict_if_expired(plan, args[4])
  local is_stored = planned_row(plan, args[4])
  if not is_stored then raise_fence(plan, args[4], tonumber(args[5])) end
  return apply(plan) or { keys[1], is_stored and 1 or 0, evicted_answer(plan, args[3]) }
end
