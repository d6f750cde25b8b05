--- `trace` of the policy: headers of each attempt that say what it is a part of.
--
-- It only watches, as a listener does: where it raises, or returns what cannot be sent, the attempt
-- goes without, and that is counted.
local tasks = require "neap.tasks"

local tracing = {}

-- Cache, coalescing, gate and whoever repeats a request have decided by these already.
local NOT_FOR_IT = {
  authorization = true, cookie = true, ["proxy-authorization"] = true, ["idempotency-key"] = true,
  host = true, ["content-length"] = true, ["transfer-encoding"] = true, connection = true,
}

-- Events have these fields too.
local function attempt_ahead(flight)
  local event = {}
  for key, value in pairs(flight:about()) do
    event[key] = value
  end
  event.attempt, event.at, event.time = flight.exchange:attempt_ahead()
  return event
end

-- What the request says itself stays as it is. False where the header cannot be sent.
local function add(flight, name, value)
  local exchange = flight.exchange
  local is_text = type(value) == "string" or type(value) == "number"
  if type(name) ~= "string" or not is_text or NOT_FOR_IT[name:lower()] then
    return false
  end
  if exchange:has_header(name) then
    return true
  end
  flight.traced[#flight.traced + 1] = name
  return exchange:set_header(name, value)
end

local function add_all(flight, headers)
  local all_sent = true
  for name, value in pairs(headers) do
    all_sent = add(flight, name, value) and all_sent
  end
  return all_sent
end

-- Reading what was returned may raise too, where it has a metatable.
local function ask(flight)
  local headers = flight.functions.trace(flight:request(), attempt_ahead(flight))
  return headers == nil or type(headers) == "table" and add_all(flight, headers)
end

--- Asks for the headers of the attempt that is about to be sent, and puts them on it in place of
--- those of the attempt before.
---@param flight neap.Flight
function tracing.run(flight)
  for _, name in ipairs(flight.traced or {}) do
    flight.exchange:drop_header(name)
  end
  flight.traced = {}
  local done, are_sent = tasks.listen(ask, flight)
  if not (done and are_sent) then
    flight.client._core:listener_failed()
  end
end

return tracing
