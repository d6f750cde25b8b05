---@meta neap.idempotency

local idempotency = {}

---@class neap.Guard
local Guard = {}

---@class neap.ServedRequest
---@field method string
---@field path string with the query
---@field headers? table by name, or a list of { name, value }
---@field body? string
---@field recovered? boolean an earlier owner of the key ended without a result

---@class neap.Answer
---@field status integer
---@field headers table<string, string|string[]> found in any letter case
---@field raw_headers { [1]: string, [2]: string }[] all of them, in their order
---@field body string

---@param options neap.GuardOptions
---@return neap.Guard
function idempotency.new(options) end

---@param value any
---@return boolean
function idempotency.is(value) end

--- Does a request go to the handler as if there were no guard?
---@param req neap.ServedRequest
---@return boolean
function Guard:passes(req) end

--- Runs the handler for the first request under a key; others get the stored answer.
---@param req neap.ServedRequest
---@param handler fun(req: neap.ServedRequest): table
---@return neap.Answer? res
---@return neap.Error? err for your log
function Guard:handle(req, handler) end

idempotency.Guard = Guard

return idempotency
