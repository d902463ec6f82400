-- Locators: which tenant has a session. KEYS[1] is the locator's key. It may be on another node than the tenant's keys.

-- Return the tenant and the fencing token of a locator.
local function read_locator(key)
  local value = redis.call('GET', key)
  if not value then return nil, 0 end
  local owner, token = string.match(value, '^(%x+):(%d+)$')
  return owner, tonumber(token)
end

-- Claim a session for a tenant, with a new fencing token. args: tenant, the token of another tenant's claim that may be
-- replaced or '', and a lower bound for the new token. The answer: the tenant that has the claim now, and its token.
function ops.claim(keys, args)
  local owner, token = read_locator(keys[1])
  if owner and owner ~= args[3] and digits(token) ~= args[4] then return { keys[1], owner, digits(token) } end
  -- The clock is a lower bound too: after a release the next token must not be smaller.
  token = math.max(token + 1, (now_and_cutoff(args)), tonumber(args[5]) + 1)
  redis.call('SET', keys[1], args[3] .. ':' .. digits(token))
  return { keys[1], args[3], digits(token) }
end

-- Remove the locator of a session that no longer exists. args: tenant, fencing token. A newer claim stays. The answer:
-- the token of the tenant's newer claim, or ''.
function ops.release_claim(keys, args)
  local owner, token = read_locator(keys[1])
  if owner ~= args[3] then return { keys[1], '' } end
  if digits(token) ~= args[4] then return { keys[1], digits(token) } end
  redis.call('DEL', keys[1])
  return { keys[1], '' }
end
