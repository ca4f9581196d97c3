-- One change of one part of a call. A part is changed only by a version above the one it has, so a replay takes nothing back.
-- KEYS: the hash of the call, the set of live calls
-- ARGV: part, version, call_id, event time in ms, ms to keep a live call, ms to keep an ended one, what the keys of calls
-- begin with, then field, value, ...
local hash, live = KEYS[1], KEYS[2]
local part, version, call_id, at_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local held = redis.call('HGET', hash, 'version:' .. part)
if held and held >= version then
    return 0
end
redis.call('HSET', hash, 'version:' .. part, version, unpack(ARGV, 8))
if at_ms > tonumber(redis.call('HGET', hash, 'updated_at_ms') or '0') then
    redis.call('HSET', hash, 'updated_at_ms', ARGV[4])
end
local ended = redis.call('HGET', hash, 'status') == 'ended'
if part == 'call' then
    if ended then
        redis.call('ZREM', live, call_id)
        redis.call('PEXPIRE', hash, ARGV[6])
    else
        redis.call('ZADD', live, redis.call('HGET', hash, 'started_at_ms'), call_id)
        -- Calls that never ended come first in the set: those whose hash has expired leave it.
        for _, other in ipairs(redis.call('ZRANGE', live, 0, 9)) do
            if redis.call('EXISTS', ARGV[7] .. other) == 0 then
                redis.call('ZREM', live, other)
            end
        end
    end
end
if not ended then
    redis.call('PEXPIRE', hash, ARGV[5])
end
return 1
