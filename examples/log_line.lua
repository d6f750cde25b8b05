--- One line of JSON for each call: what it came to, how long it took, how often it was tried and
--- why. All of it is in the event `done`; nothing in it is secret, unless you put it into the path
--- or into `tags`.
local json = require "cjson"
local neap = require "neap"

-- "503, backoff 0.05, 200": the trace of a call in a few words.
local function story(trace)
  local words = {}
  for index, entry in ipairs(trace) do
    local outcome = entry.error or entry.status
    words[index] = entry.kind == "attempt" and ("%s"):format(outcome)
      or entry.kind == "wait" and ("%s %.2f"):format(entry.reason, entry.elapsed)
      or ("%s %s"):format(entry.kind, entry.reason)
  end
  return table.concat(words, ", ")
end

local function waited(trace)
  local seconds = 0
  for _, entry in ipairs(trace) do
    seconds = seconds + (entry.kind == "wait" and entry.elapsed or 0)
  end
  return seconds
end

local function timestamp(time)
  return ("%s.%03dZ"):format(os.date("!%Y-%m-%dT%H:%M:%S", math.floor(time)),
    math.floor(time % 1 * 1000))
end

local function rounded(seconds)
  return tonumber(("%.6f"):format(seconds))
end

-- In the order in which people read them; what is nil is left out.
local function line_of(event)
  local fields, written = {
    "time", timestamp(event.time),
    "level", event.ok and (event.attempts > 1 and "warn" or "info") or "error",
    "client", event.client,
    "call", event.call,
    "op", event.tags and event.tags.op or false,
    "method", event.method,
    "url", event.url,
    "status", event.status or false,
    "error", event.error or false,
    "phase", event.phase or false,
    "source", event.source or false,
    "attempts", event.attempts,
    "seconds", rounded(event.elapsed),
    "waited", rounded(waited(event.trace)),
    "story", story(event.trace),
    "trace_id", event.traceparent and event.traceparent:match("^%x%x%-(%x+)%-") or false,
  }, {}
  for index = 1, #fields, 2 do
    if fields[index + 1] ~= false then
      local value = json.encode(fields[index + 1]):gsub("\\/", "/") -- JSON wants no such escape
      written[#written + 1] = ('"%s":%s'):format(fields[index], value)
    end
  end
  return "{" .. table.concat(written, ",") .. "}"
end

-- From here on: an API that is busy once, answers, and is gone.
local api = require("examples.support.server").start()
local lines = {}
local rates = neap.client{
  name = "rates",
  base_url = api:script("rates", { api.answer(503), api.answer(200, "0.92"),
    "/reset?at=request x2" }),
  retry = { max_attempts = 2, backoff = { kind = "fixed", base = 0.05, jitter = "none" } },
}
rates:on("done", function(event) -- io.stderr:write(line_of(event), "\n") in a program of yours
  lines[#lines + 1] = line_of(event)
  print(lines[#lines])
end)

local TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
for _, op in ipairs{ "rate of the day", "once more" } do
  rates:get("usd", { query = { key = "secret" }, tags = { op = op },
    headers = { traceparent = TRACEPARENT } })
end

assert(#lines == 2, "expected one line a call")
local good, bad = json.decode(lines[1]), json.decode(lines[2])
assert(good.level == "warn" and good.status == 200 and good.story == "503, backoff 0.05, 200")
assert(good.attempts == 2 and good.waited >= 0.05 and good.seconds >= good.waited)
assert(bad.level == "error" and bad.error == "reset" and not bad.status)
assert(good.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736" and good.call ~= bad.call)
assert(not table.concat(lines):find("secret", 1, true), "a secret of the query was written")
api:stop()
