/**
 * Lua: makes ARGV's keys the keys of one source, in one step.
 *
 * KEYS[1] is a hash with a field for each key, its SHA-256, holding `{ <source>: { name, role } }`, and the field
 * `sources`, holding `{ <source>: { digest, seen, hashes } }`. ARGV is the source, the digest of its keys, the seconds
 * after which a source that nobody published is dropped (a host that is gone for good), then hash, record, hash, record.
 * All workers of a host publish the same keys: the first does the work, the others find their digest and only touch `seen`.
 */
export const publishKeysScript = `
local keys, source, digest, retention = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = tonumber(redis.call('TIME')[1])
local sources = cjson.decode(redis.call('HGET', keys, 'sources') or '{}')

local function withdraw(name)
  for _, hash in ipairs(sources[name].hashes) do
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
  for i = 4, #ARGV, 2 do
    local hash = ARGV[i]
    local owners = cjson.decode(redis.call('HGET', keys, hash) or '{}')
    owners[source] = cjson.decode(ARGV[i + 1])
    redis.call('HSET', keys, hash, cjson.encode(owners))
    hashes[#hashes + 1] = hash
  end
  sources[source] = { digest = digest, seen = now, hashes = hashes }
end
redis.call('HSET', keys, 'sources', cjson.encode(sources))
return 1
`;
