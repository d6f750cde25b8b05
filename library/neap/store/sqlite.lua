---@meta neap.store.sqlite

local sqlite = {}

--- A store in a file, for the processes of one machine.
---@param options neap.SqliteStoreOptions
---@return neap.Store? store
---@return neap.Error? err kind `store`
function sqlite.new(options) end

return sqlite
