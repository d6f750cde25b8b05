-- W3C trace context: what the request says is passed on untouched, what `trace` says is new for
-- each attempt, and neither ever harms a call.
local calls = require "spec.support.calls"
local kit = require "spec.support.kit"
local neap = require "neap"
local policy = require "spec.support.policy"
local server = require "spec.support.server"
local testing = require "neap.testing"

local PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
local STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
local PASSED_ON = { Traceparent = PARENT, tracestate = STATE }

-- The header as each of the kit's requests had it; false where it had none.
local function sent(t, name)
  local values = {}
  for index, request in ipairs(t.requests) do
    values[index] = request.headers[name] or false
  end
  return values
end

local function traced(trace, part)
  local given = { retry = { backoff = kit.waits_of(1) }, trace = trace }
  for key, value in pairs(part or {}) do
    given[key] = value
  end
  return kit.client(given)
end

local BUSY_TWICE = { { status = 503 }, { error = "reset" }, { status = 200 } }

describe("a traceparent that the request has", function()
  it("is on each attempt as it was given, and so is tracestate", function()
    local t, client = traced(nil)
    kit.get(t, client, BUSY_TWICE, { headers = PASSED_ON })
    assert.same({ PARENT, PARENT, PARENT }, sent(t, "traceparent"))
    assert.same({ STATE, STATE, STATE }, sent(t, "tracestate"))
  end)

  it("stands above what trace returns", function()
    local t, client = traced(function()
      return { traceparent = "other", tracestate = "other", baggage = "a=b" }
    end)
    kit.get(t, client, BUSY_TWICE, { headers = PASSED_ON })
    assert.same({ PARENT, PARENT, PARENT }, sent(t, "traceparent"))
    assert.same({ STATE, STATE, STATE }, sent(t, "tracestate"))
    assert.same({ "a=b", "a=b", "a=b" }, sent(t, "baggage"))
  end)

  it("goes to a fallback's service too", function()
    local t = testing.new { seed = 1 }
    local second = t:client { name = "second", base_url = "https://second.example" }
    local first = t:client(kit.policy { retry = false, fallback = { { service = second } } })
    local res = kit.get(t, first, { { status = 503 }, { status = 200 } }, { headers = PASSED_ON })
    assert.equal("service", res.source)
    assert.equal("second", t.requests[2].client)
    assert.same({ PARENT, PARENT }, sent(t, "traceparent"))
    assert.same({ STATE, STATE }, sent(t, "tracestate"))
  end)
end)

describe("a traceparent on the wire", function()
  local s

  setup(function() s = server.start() end)
  teardown(function() s:stop() end)
  before_each(function() s:reset() end)

  local function received(name)
    local values = {}
    for index, entry in ipairs(s:log()) do
      for _, header in ipairs(entry.headers) do
        if header[1]:lower() == name then
          values[index] = header[2]
        end
      end
    end
    return values
  end

  it("is the request's on each attempt, a redirected one too", function()
    local client = calls.client { base_url = s.url }
    local path = s:script("traced", { "/status/503", "/redirect?n=1", "/status/200" })
    calls.answered(client:get(path, { headers = PASSED_ON }))
    local seen = received("traceparent")
    assert.equal(3, #seen)
    for index = 1, 3 do
      assert.equal(PARENT, seen[index])
      assert.equal(STATE, received("tracestate")[index])
    end
  end)

  it("is trace's, another one for each attempt, and the one that events tell", function()
    local made, told = {}, {}
    local client = calls.client { base_url = s.url, trace = function(_, attempt)
      made[attempt.attempt] = ("00-%032x-%016x-01"):format(7, attempt.attempt)
      return { traceparent = made[attempt.attempt] }
    end }
    client:on("attempt", function(event) told[event.attempt] = event.traceparent end)
    calls.answered(client:get(s:script("made", { "/status/503 x2", "/status/200" })))
    assert.equal(3, #made)
    assert.same(made, received("traceparent"))
    assert.same(made, told)
  end)
end)

describe("policy.trace", function()
  it("is asked before each attempt, with the request and what events have", function()
    local asked = {}
    local t, client = traced(function(req, attempt)
      asked[#asked + 1] = { req = req, attempt = attempt }
    end)
    local done
    client:on("done", function(event) done = event end)
    kit.get(t, client, BUSY_TWICE, { tags = { op = "list" }, headers = { a = "b" } })
    assert.equal(3, #asked)
    for index, each in ipairs(asked) do
      assert.equal("b", each.req.headers.a)
      assert.equal("GET", each.req.method)
      assert.equal(index, each.attempt.attempt)
      assert.equal(t.requests[index].at, each.attempt.at)
      assert.equal(1767225600 + t.requests[index].at, each.attempt.time)
      assert.equal(done.call, each.attempt.call)
      assert.equal(done.context, each.attempt.context)
      assert.equal(kit.ORIGIN .. "/", each.attempt.url)
      assert.equal("list", each.attempt.tags.op)
    end
  end)

  it("replaces what it gave the attempt before", function()
    local t, client = traced(function(_, attempt)
      return attempt.attempt ~= 2 and { traceparent = "a" .. attempt.attempt, baggage = "x=y" }
        or nil
    end)
    kit.get(t, client, BUSY_TWICE)
    assert.same({ "a1", false, "a3" }, sent(t, "traceparent"))
    assert.same({ "x=y", false, "x=y" }, sent(t, "baggage"))
  end)

  it("leaves the deadline's header and a refreshed credential alone", function()
    local t, client = traced(function(_, attempt)
      return { traceparent = "a" .. attempt.attempt }
    end, { deadline_header = "X-Left", retry = { backoff = kit.waits_of(1),
      refresh = function() return { Authorization = "Bearer new" } end } })
    kit.get(t, client, { { status = 401 }, { status = 503 }, { status = 200 } },
      { headers = { Authorization = "Bearer old" } })
    assert.same({ "a1", "a2", "a3" }, sent(t, "traceparent"))
    assert.same({ "Bearer old", "Bearer new", "Bearer new" }, sent(t, "authorization"))
    assert.same({ "30000", "30000", "29000" }, sent(t, "x-left"))
  end)

  it("is not asked where nothing is sent", function()
    local asked = 0
    local t, client = traced(function() asked = asked + 1 end, { cache = { ttl = 60 } })
    kit.get(t, client, { { status = 200 } })
    kit.get(t, client, {})
    client.breaker:force_open()
    t:run(function() client:get("/other") end)
    assert.equal(1, asked)
  end)

  it("is asked once for calls that share a request", function()
    local asked = 0
    local t, client = traced(function() asked = asked + 1 end, { coalesce = true })
    t:script { { status = 200, after = 1 } }
    t:run(function()
      neap.all {
        function() return client:get("/") end,
        function() return client:get("/") end,
      }
    end)
    assert.equal(1, asked)
    assert.equal(1, #t.requests)
  end)

  it("has no part in a guarded function", function()
    local guarded = neap.wrap({ name = "f", trace = error }, function() return 42 end)
    assert.equal(42, guarded())
  end)

  it("must be a function", function()
    policy.misuse('policy.trace: expected a function, got a string ("00")',
      function() neap.client { name = "t", trace = "00" } end)
  end)
end)

describe("a trace that goes wrong", function()
  -- The call goes well, without that header, and the error is counted so often.
  local function is_counted(trace, errors)
    local t, client = traced(trace)
    local res = kit.get(t, client, BUSY_TWICE)
    assert.equal(200, res.status)
    assert.same({ false, false, false }, sent(t, "traceparent"))
    assert.equal(errors or 3, client:stats().listener_errors)
    return t, client
  end

  it("because it raises", function()
    is_counted(function() error("boom") end)
    is_counted(function() error(nil) end)
    is_counted(function(req) return req.nothing.there end)
  end)

  it("because what it returns raises", function()
    local hostile = { __pairs = function() error("boom") end, __index = error, __len = error }
    local t, client = traced(function() return setmetatable({}, hostile) end)
    assert.equal(200, kit.get(t, client, BUSY_TWICE).status)
    assert.same({ false, false, false }, sent(t, "traceparent"))
    assert.equal(0, client:stats().in_flight)
  end)

  it("because it returns no headers", function()
    is_counted(function() return PARENT end)
    is_counted(function() return { traceparent = {} } end)
    is_counted(function() return { traceparent = "a\r\nX-Evil: 1" } end)
    is_counted(function() return { [1] = PARENT } end)
  end)

  it("because it wants to be a credential or a key", function()
    for _, name in ipairs { "Authorization", "cookie", "Idempotency-Key", "Content-Length",
      "Host" } do
      local t = is_counted(function() return { [name] = "mine" } end)
      assert.same({ false, false, false }, sent(t, name))
    end
  end)

  it("takes with one header that cannot be sent no other one along", function()
    local t, client = traced(function() return { ["a b"] = "x", baggage = "x=y" } end)
    assert.equal(200, kit.get(t, client, BUSY_TWICE).status)
    assert.same({ "x=y", "x=y", "x=y" }, sent(t, "baggage"))
    assert.equal(3, client:stats().listener_errors)
  end)

  it("because it closes the client", function()
    local t, client
    t, client = traced(function() client:close() end)
    t:script { kit.OK }
    local _, err = t:run(function() return client:get("/") end)
    assert.equal("cancelled", err.kind)
    assert.equal(0, client:stats().in_flight)
    assert.equal(0, #t.requests)
  end)

  it("because it waits for longer than the call may last", function()
    local t, client = traced(function() neap.sleep(100) end, { timeout = { total = 10 } })
    t:script { kit.OK }
    local res, err = t:run(function() return client:get("/") end)
    assert.is_nil(res)
    assert.equal("timeout", err.kind)
    assert.equal("total", err.phase)
    assert.equal(0, #t.requests)
    assert.equal(0, client:stats().in_flight)
  end)
end)

describe("a trace that waits", function()
  it("makes its own call wait, and no other", function()
    local slow = { "/slow" }
    local t, client = traced(function(req)
      if req.path == slow[1] then
        neap.sleep(5)
      end
      return { traceparent = req.path }
    end)
    t:script { kit.OK }
    local ended = {}
    t:run(function()
      neap.all {
        function() client:get("/slow") ended[#ended + 1] = ("slow %g"):format(neap.now()) end,
        function() client:get("/fast") ended[#ended + 1] = ("fast %g"):format(neap.now()) end,
      }
    end)
    assert.same({ "fast 0", "slow 5" }, ended)
    assert.same({ "/fast", "/slow" }, sent(t, "traceparent"))
  end)
end)
