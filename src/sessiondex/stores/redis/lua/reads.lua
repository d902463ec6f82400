-- Reads: these change nothing. Rows that the server has lost are reported, and the client has the indexes repaired.

local function is_visible(row, cutoff)
  return row and (not cutoff or row.stamp >= cutoff)
end

-- Return a function that returns the entries of several lists, newest first: list, id and stamp of each. It reads
-- `size` entries of a list at a time, with scores from `low` to `high`, as commands take them.
local function merged_entries(base, lists, high, low, size)
  local function read(source)
    source.found = redis.call('ZREVRANGEBYSCORE', base .. source.list, high, low, 'WITHSCORES', 'LIMIT', source.offset, size)
    source.place, source.offset = 1, source.offset + size
    source.stamp = tonumber(source.found[2])
  end
  local sources = {}
  for place, list in ipairs(lists) do
    sources[place] = { list = list, offset = 0 }
    read(sources[place])
  end
  return function()
    local best
    for _, source in ipairs(sources) do
      if source.stamp and (not best or source.stamp > best.stamp) then best = source end
    end
    if not best then return nil end
    local id, stamp = best.found[best.place], best.stamp
    best.place = best.place + 2
    best.stamp = tonumber(best.found[best.place + 1])
    if not best.stamp and #best.found == 2 * size then read(best) end
    return best.list, id, stamp
  end
end

-- Return the newest visible rows of several lists together, and their stale entries as pairs of list and id. If `also`
-- is not empty, the rows are in that list as well. `before` and `after` are exclusive stamps, or empty.
local function newest(base, lists, limit, before, after, also, cutoff)
  local rows, stale = {}, {}
  if limit <= 0 then return rows, stale end
  local low = cutoff and digits(cutoff) or '-inf'
  if after ~= '' and (not cutoff or tonumber(after) >= cutoff) then low = '(' .. after end
  local next_entry = merged_entries(base, lists, before ~= '' and '(' .. before or '+inf', low, math.min(limit, ROW_BATCH_SIZE))
  for list, id, stamp in next_entry do
    local row = read_row(base, id)
    -- Another stamp: the row was lost, and the session was then saved under other index keys.
    if not row or row.stamp ~= stamp then
      stale[#stale + 1] = { list, id }
    elseif also == '' or is_in(row, also) then
      rows[#rows + 1] = row.raw
      if #rows == limit then break end
    end
  end
  return rows, stale
end

-- Return sessions. args: ids. The answer: for each its row, or nothing.
function ops.get(keys, args)
  local _, cutoff = now_and_cutoff(args, keys[1])
  local rows = {}
  for place = 3, #args do
    local row = read_row(keys[1], args[place])
    rows[place - 2] = is_visible(row, cutoff) and row.raw or false
  end
  return { keys[1], rows }
end

-- Return a page of several lists together. args: limit, exclusive upper and lower stamp or '', a list that must contain
-- the sessions as well or '', lists. The answer: rows, and stale entries as pairs of list and id.
function ops.list(keys, args)
  local _, cutoff = now_and_cutoff(args, keys[1])
  return { keys[1], newest(keys[1], { unpack(args, 7) }, tonumber(args[3]), args[4], args[5], args[6], cutoff) }
end

-- Count the sessions of several lists together. args: a list that must contain the sessions as well or '', lists.
function ops.count(keys, args)
  local base, also, count = keys[1], args[3], 0
  local _, cutoff = now_and_cutoff(args, base)
  local low = cutoff and digits(cutoff) or '-inf'
  for place = 4, #args do
    if also == '' then
      count = count + redis.call('ZCOUNT', base .. args[place], low, '+inf')
    else
      for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. args[place], low, '+inf')) do
        local row = read_row(base, id)
        if row and is_in(row, also) then count = count + 1 end
      end
    end
  end
  return { base, count }
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
  local now, cutoff = now_and_cutoff(args, keys[1])
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
  local _, cutoff = now_and_cutoff(args, keys[1])
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
