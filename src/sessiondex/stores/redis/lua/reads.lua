-- Reading: these change nothing.

local function is_seen(row, since)
  return row and (not since or row.stamp >= since)
end

-- The newest of a list that can be seen, and the ids of those whose rows were lost.
local function newest(base, key, limit, before, since)
  local rows, lost = {}, {}
  local from, low = before ~= '' and '(' .. before or '+inf', since and digits(since) or '-inf'
  local skipped = 0
  while #rows < limit do
    local wanted = math.min(limit - #rows, MOST_ROWS_AT_ONCE)
    local found = redis.call('ZREVRANGEBYSCORE', key, from, low, 'WITHSCORES', 'LIMIT', skipped, wanted)
    for place = 1, #found, 2 do
      local row = row_of(base, found[place])
      -- One that has another stamp was lost, and was then saved under other entries.
      if row and row.stamp == tonumber(found[place + 1]) then
        rows[#rows + 1] = row.raw
      else
        lost[#lost + 1] = found[place]
      end
    end
    skipped = skipped + #found / 2
    if #found / 2 < wanted then break end
  end
  return rows, lost
end

-- args: id.
function ops.get(keys, args)
  local _, since = now_and_since(args)
  local row = row_of(keys[1], args[3])
  return { keys[1], is_seen(row, since) and row.raw or false }
end

-- args: entries of an identity, one or two.
function ops.latest(keys, args)
  local _, since = now_and_since(args)
  local found, lost = nil, {}
  for place = 3, #args do
    local rows, gone = newest(keys[1], keys[1] .. args[place], 1, '', since)
    for _, id in ipairs(gone) do lost[#lost + 1] = { args[place], id } end
    if rows[1] and (not found or unpacked(rows[1]).stamp > unpacked(found).stamp) then found = rows[1] end
  end
  return { keys[1], found or false, lost }
end

-- args: entry, limit, stamp before which or ''.
function ops.list(keys, args)
  local _, since = now_and_since(args)
  local rows, gone = newest(keys[1], keys[1] .. args[3], tonumber(args[4]), args[5], since)
  local lost = {}
  for place, id in ipairs(gone) do lost[place] = { args[3], id } end
  return { keys[1], rows, lost }
end

-- args: entry.
function ops.count(keys, args)
  local _, since = now_and_since(args)
  return { keys[1], redis.call('ZCOUNT', keys[1] .. args[3], since and digits(since) or '-inf', '+inf') }
end

local function count_at(base, version, hash)
  local count = 0
  for _, facet in ipairs(redis.call('SMEMBERS', base .. 'f:' .. version .. ':' .. hash)) do
    local _, _, key = step_keys(base, { version, hash, facet })
    count = count + redis.call('ZCARD', key)
  end
  return count
end

-- args: version, hash.
function ops.count_step(keys, args)
  return { keys[1], count_at(keys[1], args[3], args[4]) }
end

-- args: version.
function ops.count_steps(keys, args)
  local counts = {}
  for _, hash in ipairs(redis.call('SMEMBERS', keys[1] .. 'v:' .. args[3])) do
    counts[#counts + 1] = { hash, count_at(keys[1], args[3], hash) }
  end
  return { keys[1], counts }
end

local function set_of(args, place)
  local size = tonumber(args[place])
  if size < 0 then return nil, place + 1 end
  local members = {}
  for at = place + 1, place + size do members[args[at]] = true end
  return members, place + 1 + size
end

-- Sessions at a step, some at a time. args: version, hash, least age in microseconds or '', greatest or '', most,
-- facet and member after which; then four sets, each its size, or -1 for none, and its members: channels to include,
-- to exclude, nodes to include, to exclude. The answer: rows, those lost, and the facet and member to go on after, if
-- any.
function ops.step(keys, args)
  local now, since = now_and_since(args)
  local base, version, hash = keys[1], args[3], args[4]
  local high = args[5] == '' and '+' or '[' .. instant_order(now - tonumber(args[5])) .. '\255'
  local low = args[6] == '' and '-' or '[' .. instant_order(now - tonumber(args[6]))
  local most, after_facet, after_member = tonumber(args[7]), args[8], args[9]
  local channels, no_channels, nodes, no_nodes, place
  channels, place = set_of(args, 10)
  no_channels, place = set_of(args, place)
  nodes, place = set_of(args, place)
  no_nodes, place = set_of(args, place)

  local facets = redis.call('SMEMBERS', base .. 'f:' .. version .. ':' .. hash)
  table.sort(facets)
  local rows, lost, visited = {}, {}, 0
  for _, facet in ipairs(facets) do
    local channel, node = string.match(facet, '^([^:]*):(.*)$')
    local is_wanted = (not channels or channels[channel]) and not (no_channels and no_channels[channel])
      and (not nodes or nodes[node]) and not (no_nodes and no_nodes[node])
    if is_wanted and facet >= after_facet then
      local _, _, key = step_keys(base, { version, hash, facet })
      local from = low
      if facet == after_facet and (low == '-' or after_member > string.sub(low, 2)) then from = '(' .. after_member end
      local is_all = false
      while not is_all do
        local wanted = most - #rows
        local members = redis.call('ZRANGEBYLEX', key, from, high, 'LIMIT', 0, wanted)
        for _, member in ipairs(members) do
          local row = row_of(base, string.sub(member, 17))
          if not row or not stands_at(row, version, hash, facet, member) then
            lost[#lost + 1] = { facet, member }
          elseif is_seen(row, since) then
            rows[#rows + 1] = row.raw
          end
          from = '(' .. member
        end
        is_all, visited = #members < wanted, visited + #members
        if not is_all and (#rows >= most or visited >= 4 * most) then
          return { base, rows, lost, { facet, string.sub(from, 2) } }
        end
      end
    end
  end
  return { base, rows, lost, {} }
end

-- All sessions of the tenant, oldest first, some at a time. args: most, stamp after which or ''.
function ops.walk(keys, args)
  local _, since = now_and_since(args)
  local from = args[4] ~= '' and '(' .. args[4] or '-inf'
  if since and (args[4] == '' or tonumber(args[4]) < since) then from = digits(since) end
  local found = redis.call('ZRANGEBYSCORE', keys[1] .. 'all', from, '+inf', 'WITHSCORES', 'LIMIT', 0, tonumber(args[3]))
  local rows, last = {}, false
  for place = 1, #found, 2 do
    local raw = redis.call('GET', keys[1] .. 's:' .. found[place])
    if raw then rows[#rows + 1] = raw end
    last = digits(tonumber(found[place + 1]))
  end
  return { keys[1], rows, last }
end
