//! Scripts that Redis runs as one step.
//!
//! Each is about one key, so that a cluster accepts it, and can be repeated, since an answer may be
//! lost. Each command contains its script (`EVAL`): it is some hundred bytes, and a server that has
//! restarted or taken over does not have to load it first, as with `EVALSHA` (`redis::Script`).
//! Those that end sessions also run when the memory of Redis is full (`allow-oom`).

/// Replaces the sealed part of an existing session, unless what is stored was validated later. A
/// session that has ended must not be restored in part. Returns 2, and changes nothing, where the
/// stored part is of a later version (its first byte): the session has got a device since it was
/// read, or has been bound to it.
pub(super) const UPDATE: &str = "\
local stored = redis.call('HMGET', KEYS[1], 'body', 'validated')
if not stored[1] then return 0 end
local validated = tonumber(stored[2] or 0)
if validated and validated > tonumber(ARGV[2]) then return 1 end
if string.byte(stored[1]) > string.byte(ARGV[1]) then return 2 end
redis.call('HSET', KEYS[1], 'body', ARGV[1], 'validated', ARGV[2])
return 1";

/// Replaces the sealed part of a session that is still what it was when it was read.
pub(super) const REPLACE: &str = "\
if redis.call('HGET', KEYS[1], 'body') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'body', ARGV[2])
return 1";

/// Records the use of a session that exists, and returns its fields. The clocks of replicas differ,
/// so neither time moves back.
pub(super) const TOUCH: &str = "\
local stored = redis.call('HMGET', KEYS[1], 'seen', 'open')
if not stored[2] then return false end
local seen = math.max(tonumber(stored[1]) or 0, tonumber(ARGV[1]))
local open = math.max(tonumber(stored[2]) or 0, tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], 'seen', string.format('%.0f', seen), 'open', string.format('%.0f', open))
return redis.call('HMGET', KEYS[1], 'body', 'seen', 'open', 'ends')";

/// Removes a session whose window still ends when it did at the revocation. Returns the end of the
/// window of a session that was renewed since, which remains, and nothing otherwise. A session whose
/// window cannot be read is of no use, and is removed.
pub(super) const REMOVE: &str = "\
#!lua flags=allow-oom
local open = redis.pcall('HGET', KEYS[1], 'open')
if type(open) == 'string' and tonumber(open) and open ~= ARGV[1] then return open end
redis.call('DEL', KEYS[1])
return false";

/// Begins a list of revocations that has no stamp. `ARGV` has the expiry and the text of the first
/// revocation, if the list begins with one. Returns whether it began.
pub(super) const BEGIN: &str = "\
#!lua flags=allow-oom
if redis.call('ZSCORE', KEYS[1], 'stamp') then return 0 end
if ARGV[2] then redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2]) end
local now = redis.call('TIME')
redis.call('ZADD', KEYS[1], string.format('-%.0f', now[1] * 1000000 + now[2]), 'stamp')
return 1";

/// Adds revocations to a list that has a stamp, and changes the stamp if any of them is new. `ARGV`
/// has an expiry and a text for each. The score of the stamp is below every time, so it is never
/// taken for a revocation. The list has no expiry, also where an earlier version gave it one.
pub(super) const REVOKE: &str = "\
#!lua flags=allow-oom
if not redis.call('ZSCORE', KEYS[1], 'stamp') then return 0 end
local added = 0
for at = 1, #ARGV, 2 do added = added + redis.call('ZADD', KEYS[1], ARGV[at], ARGV[at + 1]) end
redis.call('PERSIST', KEYS[1])
if added > 0 then
  local now = redis.call('TIME')
  redis.call('ZADD', KEYS[1], string.format('-%.0f', now[1] * 1000000 + now[2]), 'stamp')
end
return 1";

/// Marks a value as used until it expires, and returns whether it was unused.
pub(super) const USE_ONCE_TO_END: &str = "\
#!lua flags=allow-oom
if redis.call('SET', KEYS[1], 1, 'NX', 'EXAT', ARGV[1]) then return 1 end
return 0";

/// Adds to the usage of an API key that is still there, and returns when it ends; 0 where it is not
/// there.
pub(super) const USE_API_KEY: &str = "\
local last = redis.call('HGET', KEYS[1], 'last')
if not last then return 0 end
if tonumber(ARGV[2]) > (tonumber(last) or 0) then redis.call('HSET', KEYS[1], 'last', ARGV[2]) end
redis.call('HINCRBY', KEYS[1], 'count', ARGV[1])
return redis.call('EXPIRETIME', KEYS[1])";

/// Acquires a lock, or extends the holder's own.
pub(super) const LOCK: &str = "\
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Releases a lock that another process has not acquired meanwhile.
pub(super) const UNLOCK: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";
