//! Scripts that Redis runs as one step.
//!
//! Each is about one key, so that a cluster accepts it, and can be repeated, since an answer may be
//! lost. Each command contains its script (`EVAL`): it is some hundred bytes, and a server that has
//! restarted or taken over does not have to load it first, as with `EVALSHA` (`redis::Script`).

/// Replaces the sealed part of an existing session. A session that has ended must not be restored
/// in part.
pub(super) const UPDATE: &str = "\
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'body', ARGV[1])
return 1";

/// Records the use of a session that exists. The clocks of replicas differ, so neither time moves
/// back.
pub(super) const TOUCH: &str = "\
local stored = redis.call('HMGET', KEYS[1], 'seen', 'open')
if not stored[2] then return 0 end
local seen = math.max(tonumber(stored[1]) or 0, tonumber(ARGV[1]))
local open = math.max(tonumber(stored[2]) or 0, tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], 'seen', string.format('%.0f', seen), 'open', string.format('%.0f', open))
return 1";

/// Removes a session whose window still ends when it did at the revocation. Returns the end of the
/// window of a session that was renewed since, which remains, and nothing otherwise.
pub(super) const REMOVE: &str = "\
local open = redis.call('HGET', KEYS[1], 'open')
if open and open ~= ARGV[1] then return open end
redis.call('DEL', KEYS[1])
return false";

/// Adds revocations, extends the expiry of the set to the last of theirs, and changes its stamp.
/// `ARGV` has that expiry, and then an expiry and a text for each. The score of the stamp is below
/// every time, so it is never taken for a revocation.
pub(super) const REVOKE: &str = "\
for at = 2, #ARGV, 2 do redis.call('ZADD', KEYS[1], ARGV[at], ARGV[at + 1]) end
local now = redis.call('TIME')
redis.call('ZADD', KEYS[1], string.format('-%.0f', now[1] * 1000000 + now[2]), 'stamp')
if redis.call('TTL', KEYS[1]) == -1 then
  redis.call('EXPIREAT', KEYS[1], ARGV[1])
else
  redis.call('EXPIREAT', KEYS[1], ARGV[1], 'GT')
end
return 1";

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
