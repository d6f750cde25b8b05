--- neap.check: what a policy will come to, and what in it will not do what its author hopes.
--
-- The arithmetic and the rules are the core's (src/client/check.h), the table of rules is in
-- docs/check.md. No client is made, and nothing is asked of the network.
local Client = require "neap.client"
local core = require "neap.core"
local fallback = require "neap.fallback"
local store = require "neap.store"

---@class neap.Finding
---@field level "error"|"warning"|"note"
---@field rule string a stable name, see docs/check.md
---@field path string the key that it is about, "policy.retry.max_attempts"
---@field message string why, and what to do about it
---@field page string of docs/, that says more

---@class neap.Report
---@field ok boolean no finding is an error
---@field worst_case number seconds that a call can take
---@field parts neap.ReportParts what that is made of, before timeout.total cuts it
---@field attempts integer that a call can make
---@field amplification number requests for each call in a total outage, before the breaker opens
---@field amplification_without_budget number the same if there were no retry budget
---@field findings neap.Finding[]

---@class neap.ReportParts in seconds, over all attempts; math.huge: as long as somebody likes
---@field attempts number
---@field backoff number or what a server asks for in its place
---@field gate number
---@field rate_limit number
---@field bulkhead number
---@field others number services among the fallbacks, and leaders of coalesced calls

---@class neap.CheckFacts
---@field rate? number calls a second
---@field allowed_latency? number seconds that a call may take
---@field server_rate_limit? number requests a second that the server takes
---@field workers? integer processes that share the policy's state (1)

-- The policy is not read yet, and may be anything.
local function raw_field(value, key)
  if type(value) == "table" then
    return rawget(value, key)
  end
end

-- The clients of the core that the chain asks, by their places.
local function services_of(policy)
  local services, chain, index = {}, raw_field(policy, "fallback"), 1
  local entry = raw_field(chain, index)
  while entry ~= nil do -- the chain's length, if it has a metatable, may be anything
    local service = raw_field(entry, "service")
    if Client.is(service) then
      services[index] = service._core
    end
    index = index + 1
    entry = rawget(chain, index)
  end
  return services
end

local function flaw_of(kept)
  if kept["cache.store"] ~= nil and not store.is(kept["cache.store"]) then
    return "policy.cache.store: expected a store"
  end
  return fallback.flaw(kept.fallback, true, Client.is)
end

--- What a client of this policy will come to: how long a call can take, how many attempts it can
--- make, what load it puts on a server that is down; and findings with path, reason and remedy.
--- What only you know of load and server comes as `facts`. A policy that neap.client would refuse
--- raises at the caller's line.
---
---     local report = neap.check({ name = "api", timeout = { attempt = 2 } }, { rate = 50 })
---     for _, finding in ipairs(report.findings) do print(finding.path, finding.message) end
---@param policy neap.Policy as for neap.client
---@param facts? neap.CheckFacts
---@return neap.Report
local function check(policy, facts)
  local report, kept = core.check(policy, facts, services_of(policy))
  local message = not report and kept or report and flaw_of(kept)
  if message then
    error(message, 2)
  end
  return report
end

return check
