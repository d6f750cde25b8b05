---@meta neap.store.memory

local memory = {}

--- A store of this process.
---@param options? neap.MemoryStoreOptions
---@return neap.Store? store
---@return neap.Error? err kind `store`
function memory.new(options) end

return memory
