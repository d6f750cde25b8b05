--- Listeners of a client's events.
local core = require "neap.core"
local tasks = require "neap.tasks"

local listeners = {}

local EVENTS = {
  attempt = true, retry = true, reject = true, breaker = true, fallback = true, alert = true,
  done = true,
}

--- Checks the arguments of client:on; the message of what is wrong with them, or nil.
function listeners.check(event, fn)
  if not EVENTS[event] then
    return ("event: expected %s, got %s"):format(
      "attempt, retry, reject, breaker, fallback, alert or done", core.shown_key(event))
  end
  if type(fn) ~= "function" then
    return ("listener: expected a function, got a %s"):format(type(fn))
  end
end

--- Tells all listeners of the event, which also says what `about` has; one that raises is counted
--- and does no harm.
function listeners.tell(client, event, about)
  local registered = client._listeners[event.event]
  if not registered then
    return
  end
  event.client = client.name
  for key, value in pairs(about or {}) do
    event[key] = value
  end
  for index = 1, #registered do -- those who come while others are told are told next time
    if not tasks.listen(registered[index], event) then
      client._core:listener_failed()
    end
  end
end

return listeners
