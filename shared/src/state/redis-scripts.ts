/**
 * Lua: charges the three units of a key together or not at all. KEYS[1] is a hash that ends with its window; ARGV is the
 * window in milliseconds, then limit (below 0: none) and cost of requests, inputs and tokens. Returns whether it was
 * allowed, what is used of each unit, and the milliseconds until the window ends.
 */
export const chargeScript = `
local key, window = KEYS[1], ARGV[1]
local units = { 'requests', 'inputs', 'tokens' }
local stored = redis.call('HMGET', key, unpack(units))
local left = redis.call('PTTL', key)
local allowed, opens, used, after = 1, false, {}, {}
for unit = 1, 3 do
  local limit, cost = tonumber(ARGV[unit * 2]), tonumber(ARGV[unit * 2 + 1])
  used[unit] = tonumber(stored[unit] or 0)
  after[unit] = math.max(0, used[unit] + cost)
  if limit >= 0 and cost > 0 and used[unit] + cost > limit then allowed = 0 end
  if cost > 0 then opens = true end
end
if allowed == 0 or (left < 0 and not opens) then
  return { allowed, used[1], used[2], used[3], math.max(0, left) }
end
redis.call('HSET', key, 'requests', after[1], 'inputs', after[2], 'tokens', after[3])
if left < 0 then
  redis.call('PEXPIRE', key, window)
  left = tonumber(window)
end
return { allowed, after[1], after[2], after[3], left }
`;

/**
 * Lua: makes ARGV's keys the keys of one source, in one step.
 *
 * KEYS[1] is a hash with a field for each key, its SHA-256, holding `{ <source>: <record as JSON text> }` (text, because
 * Lua would write an empty list as an object), and the field `sources`, holding `{ <source>: { digest, seen, hashes } }`.
 * ARGV is the source, the digest of its keys, the seconds after which a source that nobody published is dropped (a host
 * that is gone for good), the channel for news, then hash, record, hash, record.
 * All workers of a host publish the same keys: the first does the work, the others find their digest and only touch `seen`.
 */
export const publishKeysScript = `
local keys, source, digest, retention = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = tonumber(redis.call('TIME')[1])
local sources = cjson.decode(redis.call('HGET', keys, 'sources') or '{}')

local changed = {}
local function withdraw(name)
  for _, hash in ipairs(sources[name].hashes) do
    changed[#changed + 1] = hash
    local owners = cjson.decode(redis.call('HGET', keys, hash) or '{}')
    owners[name] = nil
    if next(owners) then
      redis.call('HSET', keys, hash, cjson.encode(owners))
    else
      redis.call('HDEL', keys, hash)
    end
  end
  sources[name] = nil
end

for name, entry in pairs(sources) do
  if name ~= source and entry.seen + retention < now then withdraw(name) end
end

local known = sources[source]
if known and known.digest == digest then
  known.seen = now
else
  if known then withdraw(source) end
  local hashes = {}
  for i = 5, #ARGV, 2 do
    local hash = ARGV[i]
    local owners = cjson.decode(redis.call('HGET', keys, hash) or '{}')
    owners[source] = ARGV[i + 1]
    redis.call('HSET', keys, hash, cjson.encode(owners))
    hashes[#hashes + 1] = hash
    changed[#changed + 1] = hash
  end
  sources[source] = { digest = digest, seen = now, hashes = hashes }
end
if #changed > 0 then redis.call('PUBLISH', ARGV[4], cjson.encode(changed)) end
redis.call('HSET', keys, 'sources', cjson.encode(sources))
return 1
`;

/**
 * Lua: changes managed keys in one step, in the same hash (KEYS[1]) under the owner ARGV[1], which no source has. ARGV[2] is
 * the channel for news, ARGV[3] a JSON object `{ put: [[hash, record]], drop: [hash], seen: [[hash, record]] }` of records
 * as JSON text. Returns 0, and changes nothing, when one that was seen is not so any more; 1 when all is as wanted already.
 */
export const changeKeysScript = `
local keys, owner, channel, change = KEYS[1], ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local function ownersOf(hash) return cjson.decode(redis.call('HGET', keys, hash) or '{}') end
local function write(hash, owners)
  if next(owners) then redis.call('HSET', keys, hash, cjson.encode(owners)) else redis.call('HDEL', keys, hash) end
end
local done = true
for _, entry in ipairs(change.put) do
  if ownersOf(entry[1])[owner] ~= entry[2] then done = false end
end
for _, hash in ipairs(change.drop) do
  if ownersOf(hash)[owner] then done = false end
end
if done then return 1 end
for _, entry in ipairs(change.seen) do
  if ownersOf(entry[1])[owner] ~= entry[2] then return 0 end
end
local changed = {}
for _, entry in ipairs(change.put) do
  local owners = ownersOf(entry[1])
  owners[owner] = entry[2]
  write(entry[1], owners)
  changed[#changed + 1] = entry[1]
end
for _, hash in ipairs(change.drop) do
  local owners = ownersOf(hash)
  owners[owner] = nil
  write(hash, owners)
  changed[#changed + 1] = hash
end
if #changed > 0 then redis.call('PUBLISH', channel, cjson.encode(changed)) end
return 1
`;
