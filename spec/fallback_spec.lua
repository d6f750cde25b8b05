-- What answers when the attempts did not.

local neap = require "neap"
local testing = require "neap.testing"
local kit = require "spec.support.kit"
local policy = require "spec.support.policy"

local words = kit.words

-- One call without retries that ends in what `entry` says, with that chain of fallbacks.
local function call(chain, entry, req, part)
  part = part or {}
  if part.retry == nil then
    part.retry = false
  end
  part.fallback = chain
  local t, client = kit.client(part)
  local res, err = kit.get(t, client, { entry or { status = 503 } }, req)
  return res, err, t, client
end

local function fallbacks(trace)
  return words(kit.entries(trace, "fallback"))
end

describe("the chain of fallbacks", function()
  local static = { { default = { status = 200, body = "static" } } }

  it("is tried for the statuses that are failures", function()
    for _, status in ipairs { 408, 425, 429, 500, 501, 502, 503, 504, 505, 599 } do
      local res = call(static, { status = status })
      assert.equal("static", res.body)
      assert.same({ "attempt " .. status, "fallback default 200" }, words(res.trace))
    end
  end)

  it("is not tried for any other status", function()
    for _, status in ipairs { 200, 204, 304, 400, 401, 403, 404, 409, 422, 499 } do
      local res = call(static, { status = status })
      assert.equal(status, res.status)
      assert.equal("network", res.source)
      assert.is_false(res.degraded)
      assert.equal(1, #res.trace)
    end
  end)

  it("is tried for every error", function()
    for _, kind in ipairs { "resolve", "connect", "tls", "reset", "protocol", "too_large",
      "redirect" } do
      assert.equal("static", call(static, { error = kind }).body)
    end
    assert.equal("static", call(static, { error = "timeout", phase = "read" }).body)
  end)

  it("is tried for neap's own refusals", function()
    local function refused(part, before)
      part.fallback = static
      part.retry = false
      local t, client = kit.client(part)
      t:script { kit.OK }
      return t:run(function()
        before(client)
        local res = client:get("/")
        assert.equal("static", res.body)
        assert.equal(0, res.attempts)
        return words(res.trace)[1]
      end)
    end
    assert.equal("reject breaker_open",
      refused({}, function(client) client.breaker:force_open() end))
    assert.equal("reject rate_limited",
      refused({ rate_limit = { rate = 1, per = 9, burst = 1 } },
        function(client) client:get("/") end))
    assert.same({ "reject deadline", "fallback default 200" },
      words(call(static, nil, { deadline = -1 }).trace))
  end)

  it("is tried when the call ends, not after each attempt", function()
    local asked = 0
    local res = call({ function()
      asked = asked + 1
      return "late"
    end }, kit.times(3, { status = 503 }), nil, { retry = { backoff = kit.waits_of(1) } })
    assert.equal(1, asked)
    assert.equal("late", res.value)
    assert.equal(3, res.attempts)
    assert.equal(2, res.elapsed)
    assert.same({ "attempt 503", "wait backoff", "attempt 503", "wait backoff",
      "attempt 503: attempts", "fallback function" }, words(res.trace))
  end)

  it("is tried in order until one answers, and none after that", function()
    local asked = {}
    local function says(name, answer)
      return function()
        asked[#asked + 1] = name
        return answer
      end
    end
    local res = call { says("a"), says("b"), says("c", "found"), says("d", "too late") }
    assert.same({ "a", "b", "c" }, asked)
    assert.equal("found", res.value)
    assert.same({ "fallback function", "fallback function", "fallback function" },
      fallbacks(res.trace))
  end)

  it("never runs twice for one call, even if its answer is a failure", function()
    local asked = 0
    local res = call { function()
      asked = asked + 1
      return { status = 503, body = "still down" }
    end, { default = { status = 200 } } }
    assert.equal(1, asked)
    assert.equal(503, res.status)
    assert.is_false(res.ok)
    assert.equal("still down", res.body)
    assert.equal("function", res.source)
  end)

  it("that gives no answer leaves the response as it was", function()
    local res = call({ function() end, function() end },
      { status = 503, body = "down", headers = { ["Retry-After"] = "3" } })
    assert.equal(503, res.status)
    assert.equal("down", res.body)
    assert.equal("network", res.source)
    assert.is_false(res.degraded)
    assert.equal(3, res.retry_after)
    assert.same({ "fallback function", "fallback function" }, fallbacks(res.trace))
  end)

  it("that gives no answer leaves the error as it was", function()
    local res, err = call({ function() end }, { error = "reset" })
    assert.is_nil(res)
    assert.equal("reset", err.kind)
    assert.equal(1, err.attempts)
    assert.same({ "attempt reset", "fallback function" }, words(err.trace))
  end)

  it("of nothing changes nothing", function()
    assert.equal(503, call({}).status)
  end)

  it("waits for functions that wait", function()
    local res = call { function()
      neap.sleep(2)
      return 5
    end }
    assert.equal(2, res.elapsed)
    assert.equal(2, res.trace[2].elapsed)
    assert.equal(0, res.trace[2].at)
  end)
end)

describe("an answer of a fallback", function()
  it("has every field of a response", function()
    local res = call({ { default = { status = 203, body = '{"a":1}',
      headers = { ["X-Source"] = "static", Many = { "a", "b" } } } } }, { status = 503, after = 1 })
    assert.equal(203, res.status)
    assert.is_true(res.ok)
    assert.equal('{"a":1}', res.body)
    assert.equal("static", res.headers["x-source"])
    assert.equal("static", res.headers["X-SOURCE"])
    assert.same({ "a", "b" }, res.headers.many)
    assert.equal("default", res.source)
    assert.is_true(res.degraded)
    assert.equal(1, res.attempts)
    assert.equal(1, res.elapsed)
    assert.equal(1, res:json().a)
    assert.same({ "attempt 503", "fallback default 203" }, words(res.trace))
  end)

  it("has status 200, no headers and an empty body where it does not say", function()
    local res = call { { default = { body = "x" } } }
    assert.equal(200, res.status)
    assert.is_true(res.ok)
    assert.is_nil(next(res.headers))
    res = call { { default = { status = 404 } } }
    assert.equal("", res.body)
    assert.is_false(res.ok)
  end)

  it("is a copy", function()
    local given = { status = 200, body = "a", headers = { ["X-A"] = "b" } }
    local t, client = kit.client { retry = false, fallback = { { default = given } } }
    t:script { kit.times(2, { status = 503 }) }
    t:run(function()
      local first = client:get("/")
      first.body = "changed"
      first.headers["x-a"] = "changed"
      local second = client:get("/")
      assert.equal("a", second.body)
      assert.equal("b", second.headers["x-a"])
    end)
    assert.same({ status = 200, body = "a", headers = { ["X-A"] = "b" } }, given)
  end)

  it("is counted by its source, as a success or not", function()
    local _, _, _, client = call { { default = { status = 200 } } }
    assert.same({ default = 1 }, client:stats().fallbacks)
    assert.equal(1, client:stats().ok)
    assert.same({}, client:stats().errors)
    _, _, _, client = call { { default = { status = 500 } } }
    assert.same({ default = 1 }, client:stats().fallbacks)
    assert.equal(0, client:stats().ok)
    _, _, _, client = call({ function() end }, { error = "reset" })
    assert.same({}, client:stats().fallbacks)
    assert.same({ reset = 1 }, client:stats().errors)
  end)
end)

describe("a function", function()
  it("is given the request, and the error", function()
    local seen
    local tags = { of = "this call" }
    call({ function(...)
      seen = { n = select("#", ...), ... }
      return 1
    end }, { error = "timeout", phase = "read" }, { tags = tags, query = { a = 1 } })
    local req, err, res = seen[1], seen[2], seen[3]
    assert.equal("GET", req.method)
    assert.equal("/", req.path)
    assert.equal(tags, req.tags)
    assert.same({ a = 1 }, req.query)
    assert.is_true(neap.Error.is(err))
    assert.equal("timeout", err.kind)
    assert.equal("read", err.phase)
    assert.equal(1, err.attempts)
    assert.is_nil(res)
  end)

  it("is given the response where there was one", function()
    local seen
    call({ function(...)
      seen = { n = select("#", ...), ... }
      return 1
    end }, { status = 503, body = "down", headers = { ["X-A"] = "b" } })
    assert.is_nil(seen[2])
    assert.equal(503, seen[3].status)
    assert.equal("down", seen[3].body)
    assert.equal("b", seen[3].headers["x-a"])
    assert.equal("attempt 503", words(seen[3].trace)[1])
  end)

  it("that returns nil goes on to the next", function()
    assert.equal("b", call({ function() return nil end, function() return "b" end }).value)
  end)

  it("that returns a table with status or body answers with it", function()
    assert.equal(418, call({ function() return { status = 418 } end }).status)
    local res = call { function() return { body = "text" } end }
    assert.equal("text", res.body)
    assert.equal("function", res.source)
    assert.is_true(res.degraded)
    assert.is_nil(res.value)
  end)

  it("that returns any other value gives it as the value", function()
    local list = { 1, 2 }
    local res = call { function() return list end }
    assert.equal(list, res.value)
    assert.equal(200, res.status)
    assert.is_true(res.ok)
    assert.equal("", res.body)
    assert.equal("function", res.source)
    assert.is_true(res.degraded)
    assert.equal(5, call({ function() return 5 end }).value)
    assert.equal("text", call({ function() return "text" end }).value)
    assert.is_false(call({ function() return false end }).value)
  end)

  it("may be written in a table, to stand beside a filter", function()
    assert.equal(1, call({ { function() return 1 end } }).value)
    assert.equal(1, call({ { when = { "reset" }, function() return 1 end } },
      { error = "reset" }).value)
  end)

  it("may call other clients, whose answer it returns", function()
    local t = testing.new()
    local backup = t:client { name = "backup", base_url = "https://backup.example" }
    local client = t:client(kit.policy { retry = false, fallback = {
      function(req) return (backup:get("/copy" .. req.path)) end } })
    t:script({ { status = 503 } }, client)
    t:script({ { status = 200, body = "copy", headers = { ["X-A"] = "b" }, after = 1 } }, backup)
    local res = t:run(function() return client:get("/x") end)
    assert.equal("copy", res.body)
    assert.equal("b", res.headers["x-a"])
    assert.equal("function", res.source)
    assert.is_true(res.degraded)
    assert.equal(1, res.attempts)
    assert.equal(1, res.elapsed)
    assert.equal("/copy/x", t.requests[2].path)
  end)

  it("that raises is recorded in the trace, and the next is tried", function()
    local res = call { function() error("the disk is full", 0) end, function() return "b" end }
    assert.equal("b", res.value)
    assert.same({ "attempt 503", "fallback function error", "fallback function" },
      words(res.trace))
    assert.equal("the disk is full", res.trace[2].message)
    assert.is_nil(res.trace[3].message)
  end)

  it("may raise anything", function()
    local function odd(tostring_of_it)
      return function() error(setmetatable({}, { __tostring = tostring_of_it })) end
    end
    local res = call { odd(function() error("no text") end), odd(function() return true end),
      function() return "b" end }
    assert.equal("b", res.value)
    assert.equal("a table", res.trace[2].message)
    assert.equal("a table", res.trace[3].message)
  end)

  it("that raises as the last leaves the original result, with what it raised", function()
    local res = call { function() error("broken", 0) end }
    assert.equal(503, res.status)
    assert.equal("broken", res.trace[2].message)
    local _, err = call({ function() end, function() error({}) end }, { error = "reset" })
    assert.equal("reset", err.kind)
    assert.same({ "fallback function", "fallback function error" }, fallbacks(err.trace))
    assert.is_nil(err.trace[2].message)
    assert.matches("^table: ", err.trace[3].message)
  end)
end)

describe("a default", function()
  it("may be a function of the request", function()
    local seen
    local res = call({ { default = function(req)
      seen = req
      return { status = 200, body = "for " .. req.path }
    end } }, nil, { tags = { a = 1 } })
    assert.equal("for /", res.body)
    assert.equal("default", res.source)
    assert.is_true(res.degraded)
    assert.equal(1, seen.tags.a)
  end)

  it("that is neither has its value", function()
    local res = call { { default = { rate = 1.08 } } }
    assert.equal(1.08, res.value.rate)
    assert.equal("default", res.source)
    assert.equal(5, call({ { default = 5 } }).value)
  end)

  it("whose function gives nothing or raises goes on to the next", function()
    local res = call { { default = function() end }, { default = function() error("x", 0) end },
      { default = { body = "last" } } }
    assert.equal("last", res.body)
    assert.same({ "fallback default", "fallback default error", "fallback default" },
      fallbacks(res.trace))
    assert.equal("x", res.trace[3].message)
  end)
end)

describe("a service", function()
  local t, backup

  before_each(function()
    t = testing.new()
    backup = t:client { name = "backup", base_url = "https://backup.example", retry = false }
  end)

  -- The main client fails as `entry` says; the backup answers as its script says.
  local function served(chain, script, entry, req, part)
    part = part or {}
    part.retry = false
    part.fallback = chain
    local client = t:client(kit.policy(part))
    t:script({ entry or { status = 503 } }, client)
    t:script(script, backup)
    return t:run(function() return client:put("/a", req) end)
  end

  it("is another client that answers", function()
    local res = served({ { service = backup } },
      { { status = 201, body = "copy", headers = { ["X-A"] = "b" }, after = 2 } })
    assert.equal(201, res.status)
    assert.equal("copy", res.body)
    assert.equal("b", res.headers["x-a"])
    assert.equal("service", res.source)
    assert.is_true(res.degraded)
    assert.is_true(res.ok)
    assert.equal(1, res.attempts)
    assert.equal(2, res.elapsed)
    assert.same({ "attempt 503", "fallback service 201" }, words(res.trace))
    assert.equal("https://backup.example/a", res.url)
  end)

  it("gets the same request, but no credential, where nothing else is said", function()
    served({ { service = backup } }, { { status = 200 } }, nil,
      { query = { a = 1 }, headers = { Accept = "b", Authorization = "Bearer x" }, body = "text" })
    local sent = t.requests[2]
    assert.equal("PUT", sent.method)
    assert.equal("https://backup.example/a?a=1", sent.url)
    assert.equal("b", sent.headers.accept)
    assert.is_nil(sent.headers.authorization)
    assert.equal("text", sent.body)
  end)

  it("gets the request that a function makes of it and the error", function()
    local seen
    served({ { service = backup, request = function(req, err)
      seen = { req = req, err = err }
      return { method = "POST", path = "/copy" .. req.path, body = "made" }
    end } }, { { status = 200 } }, { error = "reset" })
    assert.equal("PUT", seen.req.method)
    assert.equal("reset", seen.err.kind)
    local sent = t.requests[2]
    assert.equal("POST", sent.method)
    assert.equal("/copy/a", sent.path)
    assert.equal("made", sent.body)
  end)

  it("has policies of its own", function()
    local patient = t:client { name = "patient", base_url = "https://backup.example",
      retry = { backoff = kit.waits_of(1) } }
    t:script({ { status = 502 }, { status = 200 } }, patient)
    local res = served({ { service = patient } }, {})
    assert.equal(200, res.status)
    assert.equal(1, res.elapsed)
    assert.equal(2, patient:stats().attempts)
    assert.equal(1, res.attempts)
  end)

  it("that fails by its status goes on to the next", function()
    for _, status in ipairs { 408, 425, 429, 500, 503 } do
      local res = served({ { service = backup }, { default = { body = "static" } } },
        { { status = status } })
      assert.equal("static", res.body)
      assert.equal("fallback service " .. status, fallbacks(res.trace)[1])
    end
  end)

  it("that answers 404 has answered", function()
    local res = served({ { service = backup }, { default = { status = 200 } } },
      { { status = 404 } })
    assert.equal(404, res.status)
    assert.equal("service", res.source)
    assert.is_false(res.ok)
  end)

  it("that ends in an error goes on to the next", function()
    local res = served({ { service = backup }, { default = { body = "static" } } },
      { { error = "connect" } })
    assert.equal("static", res.body)
    assert.equal("fallback service connect", fallbacks(res.trace)[1])
  end)

  it("whose breaker is open goes on to the next", function()
    backup.breaker:force_open()
    local res = served({ { service = backup }, { default = { body = "static" } } }, {})
    assert.equal("static", res.body)
    assert.equal("fallback service breaker_open", fallbacks(res.trace)[1])
  end)

  it("may have fallbacks itself", function()
    local deep = t:client { name = "deep", base_url = "https://deep.example", retry = false,
      fallback = { { default = { body = "deep down" } } } }
    t:script({ { status = 500 } }, deep)
    local res = served({ { service = deep } }, {})
    assert.equal("deep down", res.body)
    assert.equal("service", res.source)
  end)

  it("is cut to the call's own deadline", function()
    local slow = { { status = 200, after = 4 } }
    local res = served({ { service = backup } }, slow, { status = 503, after = 2 }, nil,
      { timeout = { total = 5 } })
    assert.equal(503, res.status)
    assert.equal(5, res.elapsed)
    assert.equal("fallback service timeout", fallbacks(res.trace)[1])
  end)

  it("is cut to it where its request says a later one, and keeps an earlier one", function()
    local function at(seconds)
      return { { service = backup, request = function(req)
        return { path = req.path, deadline = seconds }
      end } }
    end
    local res = served(at(100), { { status = 200, after = 4 } }, { status = 503, after = 2 }, nil,
      { timeout = { total = 5 } })
    assert.equal(5, res.elapsed)
    res = served(at(t:now() + 3), { { status = 200, after = 4 } }, { status = 503, after = 2 }, nil,
      { timeout = { total = 5 } })
    assert.equal(3, res.elapsed)
  end)

  it("is not asked over the network when no time is left", function()
    local res, err = served({ { service = backup } }, {}, { status = 200, after = 4 }, nil,
      { timeout = { total = 2 } })
    assert.is_nil(res)
    assert.equal("total", err.phase)
    assert.equal("fallback service deadline", fallbacks(err.trace)[1])
    assert.equal(1, #t.requests)
  end)

  it("whose request function raises or gives nothing is recorded, and the next is tried",
    function()
      local res = served({ { service = backup, request = function() error("no", 0) end },
        { service = backup, request = function() end }, { default = { body = "static" } } }, {})
      assert.equal("static", res.body)
      assert.equal("no", res.trace[2].message)
      assert.is_string(res.trace[3].message)
      assert.same({ "fallback service error", "fallback service error" },
        { fallbacks(res.trace)[1], fallbacks(res.trace)[2] })
    end)
end)

describe("when", function()
  local function with(kinds)
    return { { when = kinds, default = { body = "for these" } },
      { default = { body = "for all" } } }
  end

  it("names the kinds of error that an entry is for", function()
    assert.equal("for these", call(with { "timeout", "reset" }, { error = "reset" }).body)
    assert.equal("for all", call(with { "timeout" }, { error = "reset" }).body)
  end)

  it("leaves out responses", function()
    assert.equal("for all", call(with { "timeout", "reset" }, { status = 503 }).body)
  end)

  it("leaves no entry in the trace for what was left out", function()
    local res = call(with { "timeout" }, { error = "reset" })
    assert.equal(1, #kit.entries(res.trace, "fallback"))
  end)

  it("may leave nobody", function()
    local _, err = call({ { when = { "timeout" }, default = {} } }, { error = "reset" })
    assert.equal("reset", err.kind)
  end)

  it("knows refusals", function()
    local t, client = kit.client { fallback = with { "breaker_open" } }
    client.breaker:force_open()
    assert.equal("for these", kit.get(t, client, {}).body)
  end)

  it("looks at the first failure, not at what a fallback came to", function()
    local t = testing.new()
    local backup = t:client { name = "backup", base_url = "https://backup.example", retry = false }
    local client = t:client(kit.policy { retry = false, fallback = { { service = backup },
      { when = { "connect" }, default = { body = "wrong" } },
      { when = { "reset" }, default = { body = "right" } } } })
    t:script({ { error = "reset" } }, client)
    t:script({ { error = "connect" } }, backup)
    assert.equal("right", t:run(function() return client:get("/") end).body)
  end)
end)

describe("a policy's fallback", function()
  local t = testing.new()

  local function refuses(what, message, chain)
    it("refuses " .. what, function()
      policy.misuse("policy.fallback" .. message,
        function() t:client { name = "a", fallback = chain } end)
    end)
  end

  refuses("a queue that is no outbox", "[1].queue: expected an outbox, got 5", { { queue = 5 } })
  refuses("what is no list", ": expected a list, got 5", 5)
  refuses("an entry that is neither", "[2]: expected a table or a function, got 5",
    { function() end, 5 })
  refuses("an entry that does nothing",
    "[1]: expected exactly one of cache, service, default, queue and a function at [1]", { {} })
  refuses("an entry that does two things",
    "[1]: expected exactly one of cache, service, default, queue and a function at [1]",
    { { function() end, default = 1 } })
  refuses("a service that is no client", "[1].service: expected a client, got 5",
    { { service = 5 } })
  refuses("a request without a service", "[1]: expected request only together with service",
    { { default = 1, request = function() end } })
  refuses("an unknown kind in when", '[1].when[1]: expected a kind of error, got a string ("503")',
    { { when = { "503" }, default = 1 } })
  refuses("no kinds in when",
    "[1].when: expected a list of kinds of error, got an empty one",
    { { when = {}, default = 1 } })

  it("refuses a table that is no client as a service", function()
    assert.error_matches(function()
      t:client { name = "a", fallback = { { service = { name = "b" } } } }
    end, "policy.fallback[1].service: expected a client", 1, true)
  end)

  it("takes 32 entries and refuses more", function()
    local chain = {}
    for index = 1, 32 do
      chain[index] = function() return index == 32 and "last" or nil end
    end
    assert.equal("last", call(chain).value)
    chain[33] = chain[1]
    policy.misuse("policy.fallback: expected a list of at most 32 entries, got 33",
      function() t:client { name = "a", fallback = chain } end)
  end)

  it("may change afterwards without effect", function()
    local chain = { { default = { body = "first" } } }
    local own, client = kit.client { retry = false, fallback = chain }
    chain[1].default = { body = "second" }
    chain[1] = function() return "third" end
    assert.equal("first", kit.get(own, client, { { status = 503 } }).body)
  end)
end)

describe("fallbacks of a wrapped function", function()
  local function wrapped(chain, fn)
    local t = testing.new()
    return t:run(function()
      return neap.wrap({ name = "w", retry = false, fallback = chain },
        fn or function() error("failed", 0) end)("a", nil, 3)
    end)
  end

  it("are given the packed arguments and the error", function()
    local seen
    wrapped { function(...)
      seen = { ... }
      return 1
    end }
    assert.same({ n = 3, "a", nil, 3 }, seen[1])
    assert.equal("error", seen[2].kind)
    assert.equal("failed", seen[2].cause)
  end)

  it("give their value as it is", function()
    local list = { status = 5 }
    assert.equal(list, wrapped { function() return list end })
    assert.equal("text", wrapped { function() return "text" end })
    assert.equal(list, wrapped { { default = list } })
    assert.equal("a", wrapped { { default = function(arguments) return arguments[1] end } })
    assert.is_false(wrapped { function() return false end })
  end)

  it("are tried in order, and what raises is passed over", function()
    assert.equal("c",
      wrapped { function() error("x") end, function() end, function() return "c" end })
  end)

  it("that give nothing leave the error, with what they raised in its trace", function()
    local value, err = wrapped { function() error("x", 0) end }
    assert.is_nil(value)
    assert.equal("failed", err.cause)
    assert.equal("x", err.trace[2].message)
  end)

  it("may be for some kinds only", function()
    assert.equal(2, wrapped { { when = { "breaker_open" }, default = 1 },
      { when = { "error" }, default = 2 } })
  end)

  it("may be a service", function()
    local t = testing.new()
    local backup = t:client { name = "backup", base_url = "https://backup.example" }
    t:script { { status = 200, body = "served" } }
    t:run(function()
      local fn = neap.wrap({ name = "w", retry = false, fallback = { { service = backup,
        request = function(arguments) return { path = arguments[1] } end } } }, error)
      assert.equal("served", fn("/item").body)
    end)
    assert.equal("/item", t.requests[1].path)
  end)

  it("do not run for a success", function()
    assert.equal("fine", wrapped({ { default = "never" } }, function() return "fine" end))
    assert.is_nil(wrapped({ { default = "never" } }, function() return nil end))
  end)
end)
