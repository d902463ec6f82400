-- Locators: which tenant has a session. The key of one is KEYS[1]; it is on another server than the tenant's,
-- perhaps.

local function owner_of(key)
  local value = redis.call('GET', key)
  if not value then return nil, 0 end
  local owner, claim = string.match(value, '^(%x+):(%d+)$')
  return owner, tonumber(claim)
end

-- Claim a session for a tenant, which makes every earlier claim of it an older one. args: tenant, and the claim of
-- another tenant that may be taken over, or '', and one that is not enough. The answer: whose it is now, and by which
-- claim.
function ops.claim(keys, args)
  local owner, claim = owner_of(keys[1])
  if owner and owner ~= args[3] and digits(claim) ~= args[4] then return { keys[1], owner, digits(claim) } end
  -- By the clock, so that one that was given back is not followed by a smaller one.
  claim = math.max(claim + 1, (now_and_since(args)), tonumber(args[5]) + 1)
  redis.call('SET', keys[1], args[3] .. ':' .. digits(claim))
  return { keys[1], args[3], digits(claim) }
end

-- Give a session back that is no longer there. args: tenant, claim. One that was claimed since stays. The answer: by
-- which claim, if it is the same tenant's, or ''.
function ops.release(keys, args)
  local owner, claim = owner_of(keys[1])
  if owner ~= args[3] then return { keys[1], '' } end
  if digits(claim) ~= args[4] then return { keys[1], digits(claim) } end
  redis.call('DEL', keys[1])
  return { keys[1], '' }
end

-- Turns: who works on a session. The key of one is KEYS[1]. args: token, and for how many milliseconds.

function ops.take_turn(keys, args)
  local holder = redis.call('GET', keys[1])
  if holder and holder ~= args[3] then return { keys[1], 0 } end
  redis.call('SET', keys[1], args[3], 'PX', args[4])
  return { keys[1], 1 }
end

ops.keep_turn = ops.take_turn

function ops.pass_turn(keys, args)
  local is_ours = redis.call('GET', keys[1]) == args[3]
  if is_ours then redis.call('DEL', keys[1]) end
  return { keys[1], is_ours and 1 or 0 }
end
