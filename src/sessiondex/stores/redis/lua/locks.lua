-- Locks: one process at a time works on a session. KEYS[1] is the lock's key. args: the owner's token, and the time to
-- live in milliseconds. The answer: whether the token owns, or owned, the lock.

-- Acquire the lock if it is free. If the token owns it already, extend it.
function ops.acquire_lock(keys, args)
  local owner = redis.call('GET', keys[1])
  if owner and owner ~= args[3] then return { keys[1], 0 } end
  redis.call('SET', keys[1], args[3], 'PX', args[4])
  return { keys[1], 1 }
end

ops.renew_lock = ops.acquire_lock

function ops.release_lock(keys, args)
  local is_owner = redis.call('GET', keys[1]) == args[3]
  if is_owner then redis.call('DEL', keys[1]) end
  return { keys[1], is_owner and 1 or 0 }
end
