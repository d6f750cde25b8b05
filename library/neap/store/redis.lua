---@meta neap.store.redis

local redis = {}

--- A store in Redis, for several machines.
---@param options? neap.RedisStoreOptions
---@return neap.Store? store
---@return neap.Error? err kind `store`
function redis.new(options) end

return redis
