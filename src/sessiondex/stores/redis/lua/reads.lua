-- Reads: these change nothing. Rows that the server has lost are reported, and the client has the indexes repaired.

local function is_visible(row, cutoff)
  return row and (not cutoff or row.stamp >= cutoff)
end

-- Return the newest visible rows of a list, and the ids of its stale entries.
local function newest(base, list, limit, before, cutoff)
  local rows, stale = {}, {}
  local from, low = before ~= '' and '(' .. before or '+inf', cutoff and digits(cutoff) or '-inf'
  local offset = 0
  while #rows < limit do
    local wanted = math.min(limit - #rows, ROW_BATCH_SIZE)
    local found = redis.call('ZREVRANGEBYSCORE', base .. list, from, low, 'WITHSCORES', 'LIMIT', offset, wanted)
    for place = 1, #found, 2 do
      local row = read_row(base, found[place])
      -- Another stamp: the row was lost, and the session was then saved under other index keys.
      if row and row.stamp == tonumber(found[place + 1]) then
        rows[#rows + 1] = row.raw
      else
        stale[#stale + 1] = found[place]
      end
    end
    offset = offset + #found / 2
    if #found / 2 < wanted then break end
  end
  return rows, stale
end

-- Return one session. args: id.
function ops.get(keys, args)
  local _, cutoff = now_and_cutoff(args)
  local row = read_row(keys[1], args[3])
  return { keys[1], is_visible(row, cutoff) and row.raw or false }
end

-- Return the newest session of one or two lists. args: lists. The answer: the row, and stale entries as list and id.
function ops.latest(keys, args)
  local _, cutoff = now_and_cutoff(args)
  local latest, stale = nil, {}
  for place = 3, #args do
    local rows, ids = newest(keys[1], args[place], 1, '', cutoff)
    for _, id in ipairs(ids) do stale[#stale + 1] = { args[place], id } end
    if rows[1] and (not latest or unpack_row(rows[1]).stamp > unpack_row(latest).stamp) then latest = rows[1] end
  end
  return { keys[1], latest or false, stale }
end

-- Return a page of a list. args: list, limit, exclusive upper stamp or ''. The answer: rows, and stale entries.
function ops.list(keys, args)
  local _, cutoff = now_and_cutoff(args)
  local rows, ids = newest(keys[1], args[3], tonumber(args[4]), args[5], cutoff)
  local stale = {}
  for place, id in ipairs(ids) do stale[place] = { args[3], id } end
  return { keys[1], rows, stale }
end

-- Count the sessions of a list. args: list.
function ops.count(keys, args)
  local _, cutoff = now_and_cutoff(args)
  return { keys[1], redis.call('ZCOUNT', keys[1] .. args[3], cutoff and digits(cutoff) or '-inf', '+inf') }
end

local function count_at_step(base, version, hash)
  local count = 0
  for _, facet in ipairs(redis.call('SMEMBERS', base .. 'f:' .. version .. ':' .. hash)) do
    local _, _, key = step_keys(base, { version, hash, facet })
    count = count + redis.call('ZCARD', key)
  end
  return count
end

-- Count the sessions at a step. args: version, hash.
function ops.count_step(keys, args)
  return { keys[1], count_at_step(keys[1], args[3], args[4]) }
end

-- Count the sessions at each step of a version. args: version. The answer: pairs of hash and count.
function ops.count_steps(keys, args)
  local counts = {}
  for _, hash in ipairs(redis.call('SMEMBERS', keys[1] .. 'v:' .. args[3])) do
    counts[#counts + 1] = { hash, count_at_step(keys[1], args[3], hash) }
  end
  return { keys[1], counts }
end

-- Read a set from the arguments: its size, or -1 for no set, then its members. Return it, and the next place.
local function read_set(args, place)
  local size = tonumber(args[place])
  if size < 0 then return nil, place + 1 end
  local members = {}
  for at = place + 1, place + size do members[args[at]] = true end
  return members, place + 1 + size
end

-- Return whether the filter lets the facet through: channels and nodes to include and to exclude, each may be nil.
local function is_facet_wanted(facet, channels, no_channels, nodes, no_nodes)
  local size, rest = string.match(facet, '^(%d+):(.*)$')
  local channel, node = string.sub(rest, 1, tonumber(size)), string.sub(rest, tonumber(size) + 2)
  return (not channels or channels[channel]) and not (no_channels and no_channels[channel])
    and (not nodes or nodes[node]) and not (no_nodes and no_nodes[node])
end

-- Return a page of the sessions at a step. args: version, hash, lowest and highest age in microseconds or '', limit,
-- facet and member of the last entry of the page before, or ''; then four sets: channels to include and to exclude,
-- nodes to include and to exclude. The answer: rows, stale entries, and facet and member to continue after, if any.
function ops.step(keys, args)
  local now, cutoff = now_and_cutoff(args)
  local base, version, hash = keys[1], args[3], args[4]
  local high = args[5] == '' and '+' or '[' .. instant_order(now - tonumber(args[5])) .. '\255'
  local low = args[6] == '' and '-' or '[' .. instant_order(now - tonumber(args[6]))
  local limit, after_facet, after_member = tonumber(args[7]), args[8], args[9]
  local channels, no_channels, nodes, no_nodes, place
  channels, place = read_set(args, 10)
  no_channels, place = read_set(args, place)
  nodes, place = read_set(args, place)
  no_nodes, place = read_set(args, place)

  local facets = redis.call('SMEMBERS', base .. 'f:' .. version .. ':' .. hash)
  table.sort(facets)
  local rows, stale, visited = {}, {}, 0
  for _, facet in ipairs(facets) do
    if is_facet_wanted(facet, channels, no_channels, nodes, no_nodes) and facet >= after_facet then
      local _, _, key = step_keys(base, { version, hash, facet })
      local from = low
      if facet == after_facet and (low == '-' or after_member > string.sub(low, 2)) then from = '(' .. after_member end
      local is_complete = false
      while not is_complete do
        local wanted = limit - #rows
        local members = redis.call('ZRANGEBYLEX', key, from, high, 'LIMIT', 0, wanted)
        for _, member in ipairs(members) do
          local row = read_row(base, string.sub(member, 17))
          if not row or not is_at_step(row, version, hash, facet, member) then
            stale[#stale + 1] = { facet, member }
          elseif is_visible(row, cutoff) then
            rows[#rows + 1] = row.raw
          end
          from = '(' .. member
        end
        is_complete, visited = #members < wanted, visited + #members
        if not is_complete and (#rows >= limit or visited >= 4 * limit) then
          return { base, rows, stale, { facet, string.sub(from, 2) } }
        end
      end
    end
  end
  return { base, rows, stale, {} }
end

-- Return the index of the first entry after that stamp and id. Entries are ordered by stamp, then by id. The binary
-- search covers entries of the same stamp, of which there should be one.
local function index_after(all, stamp, id)
  local low, high = redis.call('ZCOUNT', all, '-inf', '(' .. stamp), redis.call('ZCOUNT', all, '-inf', stamp)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZRANGE', all, middle, middle)[1] <= id then low = middle + 1 else high = middle end
  end
  return low
end

-- Return a page of all sessions of the tenant, oldest first. args: limit, and stamp and id of the last entry of the
-- previous page, or ''. The answer: rows, and stamp and id to continue after, or '' at the end.
function ops.export(keys, args)
  local _, cutoff = now_and_cutoff(args)
  local all, first = keys[1] .. 'all', 0
  if args[4] ~= '' then first = index_after(all, args[4], args[5]) end
  if cutoff then first = math.max(first, redis.call('ZCOUNT', all, '-inf', '(' .. digits(cutoff))) end
  local found = redis.call('ZRANGE', all, first, first + tonumber(args[3]) - 1, 'WITHSCORES')
  local rows, stamp, id = {}, '', ''
  for place = 1, #found, 2 do
    id, stamp = found[place], digits(tonumber(found[place + 1]))
    rows[#rows + 1] = redis.call('GET', keys[1] .. 's:' .. id) or nil
  end
  return { keys[1], rows, stamp, id }
end
