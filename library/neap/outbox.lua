---@meta neap.outbox

local outbox = {}

---@class neap.Outbox
local Outbox = {}

---@class neap.DeadLetter
---@field id integer
---@field request? neap.Request nil where it cannot be read any more
---@field fault? string why it cannot be read
---@field reason string begins with "rejected", "attempts", "max_age" or "damaged"
---@field attempts integer
---@field put_at number seconds since 1970
---@field died_at number

---@class neap.DrainCounts
---@field delivered integer
---@field retried integer
---@field dead integer
---@field next? number seconds until something may be due

---@class neap.DrainOptions
---@field limit? integer entries at most
---@field concurrency? integer (1)
---@field stop? fun(): boolean
---@field progress? fun(counts: neap.DrainCounts)

---@class neap.WorkOptions
---@field concurrency? integer (1)
---@field interval? number seconds between looks (1)
---@field stop? fun(): boolean
---@field progress? fun(totals: neap.DrainCounts, err?: neap.Error)
---@field rest? fun(seconds: number) waits in the caller's own way

---@param options neap.OutboxOptions
---@return neap.Outbox
function outbox.new(options) end

---@param value any
---@return boolean
function outbox.is(value) end

--- Accepts a request for delivery, once the store has it for good.
---@param req neap.Request
---@param options? { ordering_key?: string }
---@return integer? id
---@return neap.Error? err kind `store`
function Outbox:put(req, options) end

--- Delivers what is due, oldest first.
---@param options? neap.DrainOptions
---@return neap.DrainCounts? counts
---@return neap.Error? err
---@return neap.DrainCounts? before what was done before the error
function Outbox:drain(options) end

--- Drains until `stop()` returns true.
---@param options? neap.WorkOptions
---@return neap.DrainCounts? totals
---@return neap.Error? err
function Outbox:work(options) end

---@return { waiting: integer, taken: integer, dead: integer }? counts
---@return neap.Error? err
function Outbox:counts() end

--- How many entries are still to be delivered.
---@return integer? size
---@return neap.Error? err
function Outbox:size() end

--- The dead letters, oldest first.
---@return fun(): neap.DeadLetter|false|nil, neap.Error?
function Outbox:dead() end

---@param id integer
---@return boolean? revived false where there is no such dead letter
---@return neap.Error? err
function Outbox:revive(id) end

---@return integer? revived
---@return neap.Error? err
function Outbox:revive_all() end

---@param id integer
---@return boolean? dropped
---@return neap.Error? err
function Outbox:drop(id) end

outbox.Outbox = Outbox

return outbox
