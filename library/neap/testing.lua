---@meta neap.testing

local testing = {}

---@class neap.Kit
---@field requests neap.SentRequest[] what was sent
---@field env neap.Env clock, time and random for stand-alone policies, stores, guards, outboxes
local Kit = {}

---@class neap.SentRequest
---@field at number virtual seconds
---@field n integer
---@field call integer
---@field attempt integer
---@field client string
---@field method string
---@field url string
---@field path string
---@field query? string as sent
---@field headers table<string, string|string[]> found in any letter case
---@field body? string
---@field status? integer of the answer
---@field error? neap.ErrorKind of the answer

---@class neap.ScriptEntry
---@field status? integer
---@field headers? table<string, string|string[]>
---@field body? string
---@field after? number seconds until the answer
---@field error? neap.ErrorKind in place of a response
---@field phase? neap.Phase of a timeout
---@field sent? boolean did the server get the request?
---@field certificate? boolean of `tls`: a certificate error
---@field answer? fun(request: neap.SentRequest): neap.ScriptEntry
---@field times? integer uses the entry so many times
---@field repeat? boolean the last entry, for ever

--- A kit: a virtual clock and a scripted network. The same seed and script give the same traces.
---@param options? { seed?: number, epoch?: number }
---@return neap.Kit
function testing.new(options) end

--- Virtual monotonic seconds, 0 at first.
---@return number
function Kit:now() end

--- The virtual wall clock.
---@return number
function Kit:time() end

--- A client whose attempts are answered by the script.
---@param policy neap.Policy
---@return neap.Client
function Kit:client(policy) end

--- Replaces what is left of the script, or of that client's own. One entry an attempt.
---@param entries (neap.ScriptEntry|fun(request: neap.SentRequest): neap.ScriptEntry)[]
---@param client? neap.Client
function Kit:script(entries, client) end

--- Runs fn on the virtual loop and returns what it returns; time moves while everything waits.
---@param fn function
---@param ... any for fn
---@return any ...
function Kit:run(fn, ...) end

--- Outside of run: lets so many seconds pass, and does all that falls due.
---@param seconds number
function Kit:advance(seconds) end

testing.Kit = Kit

return testing
