//! What has to happen in one step at Redis. Every script is about one key, so that a cluster takes
//! it too, and can be repeated: an answer may be lost.

/// Changes what is sealed of a session that is there; one that has ended must not come back as half
/// of one.
pub(super) const UPDATE: &str = "\
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'body', ARGV[1])
return 1";

/// Notes the use of a session that is there. Replicas do not come in the order of their clocks, so
/// neither time is put back.
pub(super) const TOUCH: &str = "\
local kept = redis.call('HMGET', KEYS[1], 'seen', 'open')
if not kept[2] then return 0 end
local seen = math.max(tonumber(kept[1]) or 0, tonumber(ARGV[1]))
local open = math.max(tonumber(kept[2]) or 0, tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], 'seen', string.format('%.0f', seen), 'open', string.format('%.0f', open))
return 1";

/// Takes a session out whose last window still ends when it was revoked for. Gives the end of the
/// window of one that was renewed since, which is left, and nothing otherwise.
pub(super) const TAKE: &str = "\
local open = redis.call('HGET', KEYS[1], 'open')
if open and open ~= ARGV[1] then return open end
redis.call('DEL', KEYS[1])
return false";

/// Adds to what is revoked, for as long as the last of it matters, and changes its stamp: `ARGV`
/// has the time of that, and then a time and a text for each. The stamp's score is below all times,
/// so that nobody takes it for something revoked.
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

/// Takes a lock, or holds on to one's own for longer.
pub(super) const LOCK: &str = "\
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Gives a lock back if it has not passed to somebody else.
pub(super) const UNLOCK: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";
