--- Listeners of a client's events.
local compat = require "neap.compat"

local listeners = {}

local EVENTS = {
  attempt = true, retry = true, reject = true, breaker = true, fallback = true, alert = true,
  done = true,
}

--- Checks the arguments of client:on; the message of what is wrong with them, or nil.
function listeners.check(event, fn)
  if not EVENTS[event] then
    return ("event: expected %s, got %s"):format(
      "attempt, retry, reject, breaker, fallback, alert or done", tostring(event))
  end
  if type(fn) ~= "function" then
    return ("listener: expected a function, got a %s"):format(type(fn))
  end
end

--- Tells all listeners of the event; one that raises is counted and does no harm.
function listeners.tell(client, event, flight)
  local registered = client._listeners[event.event]
  if not registered then
    return
  end
  event.client = client.name
  local given = flight.given or {}
  event.method = flight.method or given.method
  event.path = flight.path or given.path
  event.tags = given.tags
  for index = 1, #registered do -- those who come while others are told are told next time
    if not compat.pcall(registered[index], event) then
      client._core:listener_failed()
    end
  end
end

return listeners
