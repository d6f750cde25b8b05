-- What the specs on the testing kit share: a kit with a client, and traces in words.
local testing = require "neap.testing"

local kit = {}

--- The origin of every client that is made here.
kit.ORIGIN = "https://api.example"

--- The last entry of a script that never ends.
kit.OK = { status = 200, ["repeat"] = true }

--- A policy with these parts besides a name and a base_url.
function kit.policy(part)
  local policy = { name = "api", base_url = kit.ORIGIN }
  for key, value in pairs(part or {}) do
    policy[key] = value
  end
  return policy
end

--- A kit, and a client in it whose policy has these parts.
function kit.client(part, seed)
  local t = testing.new { seed = seed or 1 }
  return t, t:client(kit.policy(part))
end

--- A breaker that opens at the first failure, with one probe.
function kit.touchy_breaker(open_for)
  return { window = { count = 1 }, min_calls = 1, open_for = open_for or 30,
    half_open = { permits = 1, lease = 60 } }
end

--- Waits of exactly so many seconds before each retry.
function kit.waits_of(seconds)
  return { kind = "fixed", base = seconds, max = math.max(seconds, 10), jitter = "none" }
end

--- The entry, to be used n times.
function kit.times(n, entry)
  local copy = { times = n }
  for key, value in pairs(entry) do
    copy[key] = value
  end
  return copy
end

--- One GET under that script; what it came to.
function kit.get(t, client, script, req)
  t:script(script)
  return t:run(function()
    return client:get("/", req)
  end)
end

local function word(entry)
  local text = ("%s %s"):format(entry.kind, entry.status or entry.error or "")
  if entry.kind == "wait" then
    text = ("wait %s"):format(entry.reason)
  elseif entry.kind == "fallback" then
    text = ("fallback %s %s"):format(entry.reason, entry.status or entry.error or "")
  elseif entry.reason and entry.kind == "attempt" then
    text = ("%s: %s"):format(text, entry.reason)
  end
  return (text:gsub(" $", ""))
end

--- A trace as a list of words: "attempt 503", "wait backoff", "attempt timeout: attempts" (with the
--- reason for which the call stopped), "reject gate", "fallback default 200".
function kit.words(trace)
  local words = {}
  for index, entry in ipairs(trace) do
    words[index] = word(entry)
  end
  return words
end

--- The entries of that kind.
function kit.entries(trace, kind)
  local found = {}
  for _, entry in ipairs(trace) do
    if entry.kind == kind then
      found[#found + 1] = entry
    end
  end
  return found
end

return kit
