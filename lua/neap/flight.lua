--- One call in Lua: its client, its exchange in the core, and the request as the caller wrote it.
---@class neap.Flight
---@field client table
---@field exchange userdata
---@field functions table<string, function> of the policy that the call began under
---@field fallbacks? table[] likewise
---@field cache? table likewise
---@field lone? boolean the cache does not answer it
---@field follows_nobody? boolean it makes attempts of its own, also where the policy coalesces
---@field arguments? table packed arguments of a wrapped function
---@field values? table packed results of a wrapped function that succeeded
---@field is_under_way? boolean its first attempts were made before there was an exchange
---@field told? table what all its events say
---@field traced? string[] names of the headers that `trace` gave the attempt
---@field cause? any what a wrapped function raised or returned as its error
local Flight = {}
Flight.__index = Flight

--- A call of a client, under the policy that it has now.
---@param client neap.Client
---@param exchange userdata
---@param method? string
---@param path? string
---@param given? neap.Request
---@return neap.Flight
function Flight.new(client, exchange, method, path, given)
  return setmetatable({
    client = client,
    exchange = exchange,
    functions = client._functions,
    fallbacks = client._fallbacks,
    cache = client._cache,
    method = method,
    path = path,
    given = given,
  }, Flight)
end

--- The request as one table, method, path and the key that was made included: what Lua functions
--- of a policy are given.
---@return table
function Flight:request()
  if self.arguments then
    return self.arguments
  end
  if not self.full then
    self.full = Flight.whole_request(self.method, self.path, self.given)
    self.full.idempotency_key = self.exchange:idempotency_key()
  end
  return self.full
end

--- What each event of the call says, and `context`, a table of the call's own that listeners and
--- `trace` find again.
---@return table
function Flight:about()
  if not self.told then
    local given = self.given or {}
    self.told = self.exchange:about()
    local path = self.path or given.path
    self.told.path = path and path:match("^[^?#]*") -- a query may hold what no log should have
    self.told.tags = given.tags
    self.told.context = {}
  end
  return self.told
end

--- A request table with the method and path that came beside it.
function Flight.whole_request(method, path, given)
  local full = {}
  for key, value in pairs(given or {}) do
    full[key] = value
  end
  full.method = full.method or method or "GET"
  full.path = path or full.path
  return full
end

return Flight
