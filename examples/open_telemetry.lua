--- Spans for OpenTelemetry: one for each call and, as its children, one for each attempt. Each
--- attempt tells the server its own span in `traceparent`, so that the server's spans hang below
--- the attempt that caused them. Here they are written as OTLP/JSON, a line a span; a collector
--- takes such a body at /v1/traces, better many spans at a time.
local json = require "cjson"
local neap = require "neap"

local INTERNAL, CLIENT, ERROR = 1, 3, 2 -- of OTLP

local entropy = assert(io.open("/dev/urandom", "rb"))

local function new_id(bytes)
  return (entropy:read(bytes):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

-- The call's own part of `context`, made by whichever comes first. One difference of the clocks for
-- the whole call: a clock that is set meanwhile puts no child outside of its parent.
local function span_of_call(event)
  local context = event.context
  if not context.span then
    local incoming = event.tags and event.tags.traceparent or "" -- of the request we work for
    context.trace, context.parent = incoming:match("^%x%x%-(%x+)%-(%x+)%-%x%x")
    context.trace = context.trace or new_id(16)
    context.span, context.attempts = new_id(8), {}
    context.zero = event.time - event.at
  end
  return context
end

local function nanoseconds(seconds)
  return ("%.0f"):format(seconds * 1e9)
end

local function attributes(values)
  local list = {}
  for key, value in pairs(values) do
    local kind = type(value) == "number" and "intValue" or "stringValue"
    list[#list + 1] = { key = key, value = { [kind] = ("%s"):format(value) } }
  end
  return list
end

local function span(event, fields)
  local call = span_of_call(event)
  local failed = event.error or (event.status or 0) >= 400
  fields.traceId = call.trace
  fields.startTimeUnixNano = nanoseconds(call.zero + event.began)
  fields.endTimeUnixNano = nanoseconds(call.zero + event.at)
  fields.status = failed and { code = ERROR } or { code = 0 }
  return fields
end

local function of_attempt(event)
  local call = span_of_call(event)
  return span(event, { name = event.method, kind = CLIENT, spanId = call.attempts[event.attempt],
    parentSpanId = call.span, attributes = attributes{
      ["http.request.method"] = event.method,
      ["http.request.resend_count"] = event.attempt > 1 and event.attempt - 1 or nil,
      ["http.response.status_code"] = event.status,
      ["url.full"] = event.url, -- has no query, in which secrets like to stand
      ["server.address"] = event.host,
      ["server.port"] = event.port,
      ["error.type"] = event.error or (event.status >= 400 and tostring(event.status) or nil),
    } })
end

local function of_call(event)
  local call = span_of_call(event)
  return span(event, { name = event.client .. " " .. event.method, kind = INTERNAL,
    spanId = call.span, parentSpanId = call.parent, attributes = attributes{
      ["neap.client"] = event.client,
      ["neap.attempts"] = event.attempts,
      ["neap.source"] = event.source,
      ["error.type"] = event.error,
    } })
end

-- What goes into the policy, and what goes onto the client.
local function trace(_, attempt)
  local call = span_of_call(attempt)
  call.attempts[attempt.attempt] = new_id(8)
  return { traceparent = ("00-%s-%s-01"):format(call.trace, call.attempts[attempt.attempt]) }
end

local function export(client, service, write)
  local function line(one)
    return json.encode{ resourceSpans = { {
      resource = { attributes = attributes{ ["service.name"] = service } },
      scopeSpans = { { scope = { name = "neap", version = neap._VERSION }, spans = { one } } },
    } } }
  end
  client:on("attempt", function(event) write(line(of_attempt(event))) end)
  client:on("done", function(event) write(line(of_call(event))) end)
end

-- From here on: an API that fails once, and a look at what was written and what it was told.
local api = require("examples.support.server").start()
local lines, spans = {}, {}
local rates = neap.client{
  name = "rates",
  base_url = api:script("rates", { api.answer(503), api.answer(200, "0.92") }),
  retry = { backoff = { base = 0.05 } },
  trace = trace,
}
export(rates, "shop", function(line) lines[#lines + 1] = line end)

local INCOMING = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
local res = assert(rates:get("usd", { query = { key = "secret" },
  tags = { traceparent = INCOMING } }))
assert(res.body == "0.92")

for index, line in ipairs(lines) do
  spans[index] = json.decode(line).resourceSpans[1].scopeSpans[1].spans[1]
  local one = spans[index]
  print(("%-10s  span %s below %s  %6.1f ms%s"):format(one.name, one.spanId, one.parentSpanId,
    (one.endTimeUnixNano - one.startTimeUnixNano) / 1e6, one.status.code == ERROR and "  error"
    or ""))
  assert(one.traceId == "4bf92f3577b34da6a3ce929d0e0e4736", "a span is in another trace")
  assert(not line:find("secret", 1, true), "a secret of the query was written")
end

local first, second, call = spans[1], spans[2], spans[3]
assert(#spans == 3 and call.name == "rates GET", "expected two attempts and a call")
assert(call.parentSpanId == "00f067aa0ba902b7", "the call hangs below the request we work for")
assert(first.status.code == ERROR and second.status.code == 0 and call.status.code == 0)
local requests = api:requests()
for index, attempt in ipairs{ first, second } do
  assert(attempt.parentSpanId == call.spanId, "an attempt hangs below its call")
  assert(attempt.startTimeUnixNano >= call.startTimeUnixNano
    and attempt.endTimeUnixNano <= call.endTimeUnixNano, "and within its time")
  assert(requests[index].headers.traceparent == ("00-%s-%s-01"):format(call.traceId,
    attempt.spanId), "the API was told another span")
end
print(("the API was told both: %d requests, %d spans"):format(#requests, #spans))
api:stop()
