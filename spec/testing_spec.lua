-- The testing kit: scripts, virtual time, what it records, and how it says what is wrong.

local neap = require "neap"
local testing = require "neap.testing"
local kit = require "spec.support.kit"
local policy = require "spec.support.policy"

local misuse, words = policy.misuse, kit.words

-- Calls until the script is used up; the statuses and kinds of error in order.
local function answers(part, script)
  part = part or {}
  part.retry = false
  part.breaker = false
  local t, client = kit.client(part)
  t:script(script)
  local found = {}
  local done, message = pcall(t.run, t, function()
    while true do
      local res, err = client:get("/")
      found[#found + 1] = res and res.status or err.kind
    end
  end)
  assert.is_false(done)
  assert.matches("the script has no entry for GET https://api.example/", message, 1, true)
  return found, t
end

describe("a kit", function()
  it("begins at zero of its clock and at 2026 of its wall clock", function()
    local t = testing.new()
    assert.equal(0, t:now())
    assert.equal(1767225600, t:time())
  end)

  it("takes a seed and an epoch", function()
    local t = testing.new { seed = 5, epoch = 86400 }
    assert.equal(86400, t:time())
    t:advance(2.5)
    assert.equal(2.5, t:now())
    assert.equal(86402.5, t:time())
  end)

  it("refuses options that are no table", function()
    misuse("options: expected a table, got a string", function() testing.new("1") end)
  end)

  it("refuses an unknown option", function()
    misuse("options.sed: unknown key, expected seed or epoch",
      function() testing.new { sed = 1 } end)
  end)

  it("refuses a seed and an epoch that are no numbers", function()
    misuse("options.seed: expected a number, got a string",
      function() testing.new { seed = "" } end)
    misuse("options.epoch: expected a number, got a table",
      function() testing.new { epoch = {} } end)
  end)

  it("refuses methods that are called without itself", function()
    local t = testing.new()
    for _, name in ipairs{ "now", "time", "client", "script", "run", "advance" } do
      local method = t[name]
      for _, other in ipairs{ 1, "x", {}, function() end } do
        misuse("kit: expected a kit; its methods are called with a colon",
          function() method(other) end)
      end
    end
  end)

  it("refuses a policy as neap.client does", function()
    local t = testing.new()
    misuse("policy.name: required, a string", function() t:client {} end)
    misuse('policy.timeout.reed: unknown key, did you mean "read"?',
      function() t:client { name = "a", timeout = { reed = 1 } } end)
  end)

  it("makes clients that are like any other", function()
    local t, client = kit.client()
    assert.equal("api", client.name)
    assert.equal("closed", client.breaker:state())
    client:close()
    t:run(function()
      local res, err = client:get("/")
      assert.is_nil(res)
      assert.equal("cancelled", err.kind)
    end)
    assert.equal(0, #t.requests)
  end)
end)

describe("a script", function()
  it("gives one entry an attempt", function()
    assert.same({ 200, 404, "reset", 301 },
      answers(nil, { { status = 200 }, { status = 404 }, { error = "reset" }, { status = 301 } }))
  end)

  it("uses an entry several times", function()
    assert.same({ 200, 200, 200, 404, "reset", "reset" }, answers(nil,
      { { status = 200, times = 3 }, { status = 404, times = 1 }, { error = "reset", times = 2 } }))
  end)

  it("uses its last entry for ever", function()
    local t, client = kit.client()
    t:script { { status = 404 }, { status = 200, ["repeat"] = true } }
    t:run(function()
      assert.equal(404, client:get("/").status)
      for _ = 1, 100 do
        assert.equal(200, client:get("/").status)
      end
    end)
  end)

  it("gives status, headers and body", function()
    local t, client = kit.client()
    local res = kit.get(t, client, { { status = 203, body = "text\0with a zero",
      headers = { ["Content-Type"] = "text/plain", ["X-Count"] = 5, ["X-Float"] = 1.5 } } })
    assert.equal(203, res.status)
    assert.equal("text\0with a zero", res.body)
    assert.equal("text/plain", res.headers["content-type"])
    assert.equal("text/plain", res.headers["CONTENT-TYPE"])
    assert.equal("5", res.headers["X-Count"])
    assert.equal("1.5", res.headers["x-float"])
    assert.equal("https://api.example/", res.url)
    assert.equal("network", res.source)
    assert.is_false(res.degraded)
    assert.is_true(res.ok)
  end)

  it("gives an empty body and no headers by default", function()
    local t, client = kit.client()
    local res = kit.get(t, client, { { status = 204 } })
    assert.equal("", res.body)
    assert.is_nil(next(res.headers))
  end)

  it("gives lists of a header's values", function()
    local t, client = kit.client()
    local res = kit.get(t, client, { { status = 200,
      headers = { ["Set-Cookie"] = { "a=1", "b=2", 3 }, Single = { "one" }, None = {} } } })
    assert.same({ "a=1", "b=2", "3" }, res.headers["set-cookie"])
    assert.equal("one", res.headers.single)
    assert.is_nil(res.headers.none)
  end)

  it("answers after as long as the entry says", function()
    local t, client = kit.client()
    local res = kit.get(t, client, { { status = 200, after = 1.5 } })
    assert.equal(1.5, res.elapsed)
    assert.equal(1.5, t:now())
    local _, err = kit.get(t, client, { { error = "too_large", after = 2 } })
    assert.equal(2, err.elapsed)
  end)

  it("answers JSON that can be read", function()
    local t, client = kit.client()
    assert.equal(5, kit.get(t, client, { { status = 200, body = '{"a":5}' } }):json().a)
  end)

  it("asks a function for the entry when the attempt is sent", function()
    local t, client = kit.client()
    local seen
    t:script { function(request)
      seen = request
      return { status = 201, body = "to " .. request.path, after = 1 }
    end }
    local res = t:run(function()
      neap.sleep(3)
      return client:post("/pay", { body = "5 EUR" })
    end)
    assert.equal(201, res.status)
    assert.equal("to /pay", res.body)
    assert.equal("POST", seen.method)
    assert.equal("5 EUR", seen.body)
    assert.equal(3, seen.at)
    assert.equal(seen, t.requests[1])
  end)

  it("asks a function in an entry, as often as the entry says", function()
    local count = 0
    local function answer()
      count = count + 1
      return count % 2 == 0 and { status = 200 + count } or { error = "reset" }
    end
    assert.same({ "reset", 202, "reset", 404 },
      answers(nil, { { answer = answer, times = 3 }, { status = 404 } }))
    local t, client = kit.client({ retry = false, breaker = false })
    t:script { { answer = function() return { status = 200 } end, ["repeat"] = true } }
    t:run(function()
      for _ = 1, 10 do
        assert.equal(200, client:get("/").status)
      end
    end)
  end)

  it("passes on what a function of it raises", function()
    local t, client = kit.client()
    t:script { function() error("spilled") end }
    assert.error_matches(function()
      t:run(function() client:get("/") end)
    end, "spilled", 1, true)
  end)

  it("is one for all clients without one of their own", function()
    local t, a = kit.client()
    local b = t:client { name = "b", base_url = "https://b.example" }
    local c = t:client { name = "c", base_url = "https://c.example" }
    t:script { { status = 201 }, { status = 202 } }
    t:script({ { status = 203 } }, c)
    t:run(function()
      assert.equal(201, a:get("/").status)
      assert.equal(203, c:get("/").status)
      assert.equal(202, b:get("/").status)
    end)
  end)

  it("of a client's own that is used up does not go on with the common one", function()
    local t, client = kit.client()
    t:script { kit.OK }
    t:script({ { status = 200 } }, client)
    assert.error_matches(function()
      t:run(function()
        client:get("/")
        client:get("/")
      end)
    end, "no entry for GET https://api.example/ (client api, call 2, attempt 1)", 1, true)
  end)

  it("replaces what is left of the one before", function()
    local t, client = kit.client()
    t:script { { status = 201 }, { status = 202 }, { status = 203 } }
    t:run(function()
      assert.equal(201, client:get("/").status)
      t:script { { status = 404 } }
      assert.equal(404, client:get("/").status)
    end)
    t:script({ { status = 201 }, { status = 202 } }, client)
    t:script({ { status = 204 } }, client)
    t:run(function() assert.equal(204, client:get("/").status) end)
  end)

  it("may be set while an attempt is on its way", function()
    local t, client = kit.client()
    t:script { { status = 200, after = 5 } }
    t:run(function()
      local task = neap.spawn(function() return client:get("/") end)
      neap.sleep(1)
      t:script {}
      assert.equal(200, task:await().status)
    end)
  end)

  it("does not follow redirects", function()
    local t, client = kit.client()
    local res = kit.get(t, client, { { status = 302, headers = { Location = "/elsewhere" } } })
    assert.equal(302, res.status)
    assert.equal("/elsewhere", res.headers.location)
    assert.equal(1, #t.requests)
  end)
end)

describe("an error in a script", function()
  it("is of any kind", function()
    for _, kind in ipairs { "resolve", "connect", "tls", "reset", "protocol", "too_large",
      "redirect", "conflict", "store" } do
      assert.same({ kind }, answers(nil, { { error = kind } }))
    end
  end)

  it("is unsent before a connection can be used, and sent after that", function()
    local function attempts(entry)
      local t, client = kit.client()
      t:script { entry, { status = 200 } }
      local res, err = t:run(function() return client:post("/") end)
      return (res or err).attempts
    end
    assert.equal(2, attempts { error = "resolve" })
    assert.equal(2, attempts { error = "connect" })
    assert.equal(2, attempts { error = "tls" })
    assert.equal(2, attempts { error = "timeout", phase = "connect" })
    assert.equal(1, attempts { error = "reset" })
    assert.equal(1, attempts { error = "protocol" })
    assert.equal(1, attempts { error = "timeout", phase = "write" })
    assert.equal(1, attempts { error = "timeout", phase = "read" })
    assert.equal(1, attempts { error = "connect", sent = true })
    assert.equal(2, attempts { error = "reset", sent = false })
    assert.equal(2, attempts { error = "timeout", phase = "read", sent = false })
  end)

  it("about a certificate is not repeated", function()
    local t, client = kit.client()
    local _, err = kit.get(t, client, { { error = "tls", certificate = true } })
    assert.equal("tls", err.kind)
    assert.equal(1, err.attempts)
    local res = kit.get(t, client, { { error = "tls" }, { status = 200 } })
    assert.equal(2, res.attempts)
  end)
end)

describe("time in a script", function()
  local limits = { timeout = { connect = 1, write = 2, read = 3, attempt = 10, total = 20 },
    retry = false }

  local function timeout(part, entry, phase, elapsed)
    local t, client = kit.client(part)
    local res, err = kit.get(t, client, { entry })
    assert.is_nil(res)
    assert.equal("timeout", err.kind)
    assert.equal(phase, err.phase)
    assert.equal(elapsed, err.elapsed)
    assert.same({ [phase] = 1 }, client:stats().timeouts)
  end

  it("of a timeout without `after` is that phase's limit", function()
    timeout(limits, { error = "timeout", phase = "connect" }, "connect", 1)
    timeout(limits, { error = "timeout", phase = "write" }, "write", 2)
    timeout(limits, { error = "timeout", phase = "read" }, "read", 3)
    timeout(limits, { error = "timeout", phase = "attempt" }, "attempt", 10)
    timeout({ retry = false, timeout = { total = 7 } }, { error = "timeout", phase = "total" },
      "total", 7)
    timeout({ retry = false }, { error = "timeout", phase = "read" }, "read", 5)
  end)

  it("of a timeout with `after` is that", function()
    timeout(limits, { error = "timeout", phase = "read", after = 0.5 }, "read", 0.5)
    timeout(limits, { error = "timeout", phase = "attempt", after = 0.5 }, "attempt", 0.5)
  end)

  it("past a limit becomes that timeout", function()
    timeout(limits, { status = 200, after = 3.1 }, "read", 3)
    timeout(limits, { error = "reset", after = 4 }, "read", 3)
    timeout(limits, { error = "connect", after = 1.1 }, "connect", 1)
    timeout(limits, { error = "resolve", after = 5 }, "connect", 1)
    timeout(limits, { error = "tls", after = 5 }, "connect", 1)
    timeout(limits, { error = "timeout", phase = "write", after = 5 }, "write", 2)
    timeout({ retry = false, timeout = { read = 30, attempt = 4 } }, { status = 200, after = 5 },
      "attempt", 4)
    timeout({ retry = false, timeout = { read = 30, total = 4 } }, { status = 200, after = 5 },
      "total", 4)
  end)

  it("at just the limit is in time", function()
    local t, client = kit.client(limits)
    assert.equal(200, kit.get(t, client, { { status = 200, after = 3 } }).status)
    t, client = kit.client { timeout = { read = 30, attempt = 4 }, retry = false }
    assert.equal(200, kit.get(t, client, { { status = 200, after = 4 } }).status)
  end)

  it("keeps the request's own limits", function()
    local t, client = kit.client(limits)
    local _, err = kit.get(t, client, { { status = 200, after = 0.6 } },
      { timeout = { read = 0.5 } })
    assert.equal("read", err.phase)
    assert.equal(0.5, err.elapsed)
    assert.equal(200, kit.get(t, client, { { status = 200, after = 9 } },
      { timeout = { read = 10 } }).status)
  end)
end)

describe("an attempt without an entry", function()
  local message = "neap.testing: the script has no entry for PUT https://api.example/a?b=c "
    .. "(client api, call 1, attempt 1)"

  local function put(client)
    return client:put("/a", { query = { b = "c" } })
  end

  it("raises in t:run and names the request", function()
    local t, client = kit.client()
    local done, raised = pcall(t.run, t, put, client)
    assert.is_false(done)
    assert.equal(message, raised)
  end)

  it("raises in t:run though the program swallows it", function()
    local t, client = kit.client()
    local done, raised = pcall(t.run, t, function()
      pcall(put, client)
      return "all is well"
    end)
    assert.is_false(done)
    assert.equal(message, raised)
  end)

  it("raises in t:run though a task or a fallback swallows it", function()
    local t = testing.new()
    local other = t:client { name = "other", base_url = "https://other.example" }
    local client = t:client(kit.policy { retry = false,
      fallback = { { service = other }, { default = { status = 200 } } } })
    t:script({ { status = 503 } }, client)
    local done, raised = pcall(t.run, t, function() return client:get("/") end)
    assert.is_false(done)
    assert.matches("GET https://other.example/ (client other, call 2, attempt 1)", raised, 1, true)
  end)

  it("names the attempt of a retry", function()
    local t, client = kit.client()
    t:script { { status = 503 } }
    local _, raised = pcall(t.run, t, function() client:get("/") end)
    assert.matches("(client api, call 1, attempt 2)", raised, 1, true)
  end)

  it("does not spoil the next run", function()
    local t, client = kit.client()
    pcall(t.run, t, put, client)
    t:script { { status = 200 } }
    assert.equal(200, t:run(function() return client:get("/").status end))
    assert.equal(0, client:stats().in_flight)
  end)

  it("raises at once outside of t:run, and is over then", function()
    local t, client = kit.client()
    local done, raised = pcall(put, client)
    assert.is_false(done)
    assert.equal(message, raised)
    assert.equal("fine", t:run(function() return "fine" end))
  end)
end)

describe("t:script", function()
  local t, client

  before_each(function() t, client = kit.client() end)

  local function refuses(what, message, entries)
    it("refuses " .. what, function()
      misuse(message, function() t:script(entries) end)
    end)
  end

  refuses("nothing", "script: expected a list of entries, got a nil", nil)
  refuses("a text", "script: expected a list of entries, got a string", "200")
  refuses("an entry that is no table", "script[1]: expected a table or a function, got a number",
    { 200 })
  refuses("an entry that says nothing", "script[2]: expected status, error or answer",
    { { status = 200 }, {} })
  refuses("an entry with both", "script[1]: give one of status and error",
    { { status = 200, error = "reset" } })
  refuses("an unknown key", "script[1].state: unknown key", { { state = 200 } })
  refuses("a status in quotes", "script[1].status: expected a number, got a string",
    { { status = "200" } })
  refuses("a status below 100", "script[1].status: expected an integer from 100 to 599, got 99",
    { { status = 99 } })
  refuses("a status above 599", "script[1].status: expected an integer from 100 to 599, got 600",
    { { status = 600 } })
  refuses("half a status", "script[1].status: expected an integer from 100 to 599, got 200.5",
    { { status = 200.5 } })
  refuses("an unknown kind of error", 'script[1].error: expected a kind of error, got "boom"',
    { { error = "boom" } })
  refuses("a timeout without a phase", "script[1].phase: required for a timeout",
    { { error = "timeout" } })
  refuses("an unknown phase", "script[1].phase: expected connect, write, read, attempt or total",
    { { error = "timeout", phase = "dns" } })
  refuses("a body that is no text", "script[1].body: expected a string, got a table",
    { { status = 200, body = {} } })
  refuses("less than no time", "script[1].after: expected a number >= 0 (seconds)",
    { { status = 200, after = -1 } })
  refuses("a time that is no number", "script[1].after: expected a number >= 0 (seconds)",
    { { status = 200, after = 0 / 0 } })
  refuses("no times at all", "script[1].times: expected an integer >= 1",
    { { status = 200, times = 0 } })
  refuses("half a time", "script[1].times: expected an integer >= 1",
    { { status = 200, times = 1.5 } })
  refuses("an entry for ever before the last",
    "script[1].repeat: only the last entry can be used for ever", { kit.OK, { status = 200 } })
  refuses("headers that are a list", "script[1].headers: expected names as keys",
    { { status = 200, headers = { "a: b" } } })
  refuses("a header that is no text",
    'script[1].headers["a"]: expected a string or a number, got a boolean',
    { { status = 200, headers = { a = true } } })
  refuses("a header's list with something else in it",
    'script[1].headers["a"][2]: expected a string or a number, got a table',
    { { status = 200, headers = { a = { "b", {} } } } })
  refuses("an answer that is no function", "script[1].answer: expected a function, got a table",
    { { answer = { status = 200 } } })
  refuses("sent that is no boolean", "script[1].sent: expected a boolean, got a number",
    { { error = "reset", sent = 1 } })

  it("refuses a client that is none", function()
    assert.has_error(function() t:script({ { status = 200 } }, "api") end)
  end)

  it("keeps the script that was there where it refuses", function()
    t:script { { status = 201 } }
    pcall(t.script, t, { 5 })
    assert.equal(201, t:run(function() return client:get("/").status end))
  end)

  local function returned(entry)
    t:script { function() return entry end }
    local done, raised = pcall(t.run, t, function()
      pcall(client.get, client, "/")
    end)
    assert.is_false(done)
    return raised
  end

  it("refuses what a function returned if it is no entry, though that is swallowed", function()
    assert.equal("script: what the function returned.statu: unknown key", returned { statu = 200 })
    assert.equal("script: what the function returned.status: expected an integer from 100 to 599, "
      .. "got 1000", returned { status = 1000 })
    assert.matches("^script: what the function returned: expected a table", returned(nil))
    assert.matches("^script: what the function returned: expected a table", returned(5))
  end)

  it("refuses a function's answer that is one more function", function()
    local answer = function() return { status = 200 } end
    assert.matches("^script: what the function returned", returned { answer = answer })
    assert.matches("^script: what the function returned", returned(answer))
  end)
end)

describe("t.requests", function()
  it("holds what was sent, an attempt each", function()
    local t = testing.new()
    local client = t:client { name = "shop", base_url = "https://shop.example/v1/",
      headers = { Authorization = "Bearer x", Accept = "*/*" },
      retry = { backoff = kit.waits_of(2) } }
    t:script { { status = 503 }, { error = "reset" }, { status = 200 } }
    t:run(function()
      neap.sleep(1)
      client:put("items/5", { query = { q = "a b&c" }, headers = { accept = "text/plain" },
        body = "hello" })
    end)
    assert.equal(3, #t.requests)
    local first, second, third = t.requests[1], t.requests[2], t.requests[3]
    assert.equal("shop", first.client)
    assert.equal("PUT", first.method)
    assert.equal("https://shop.example/v1/items/5?q=a%20b%26c", first.url)
    assert.equal("/v1/items/5", first.path)
    assert.equal("q=a%20b%26c", first.query)
    assert.equal("hello", first.body)
    assert.equal("Bearer x", first.headers.authorization)
    assert.equal("Bearer x", first.headers.AUTHORIZATION)
    assert.equal("text/plain", first.headers.Accept)
    assert.same({ 1, 3, 5 }, { first.at, second.at, third.at })
    assert.same({ 1, 2, 3 }, { first.n, second.n, third.n })
    assert.same({ 1, 1, 1 }, { first.call, second.call, third.call })
    assert.same({ 1, 2, 3 }, { first.attempt, second.attempt, third.attempt })
    assert.equal(503, first.status)
    assert.is_nil(first.error)
    assert.equal("reset", second.error)
    assert.is_nil(second.status)
    assert.equal(200, third.status)
  end)

  it("counts calls and requests over all clients of the kit", function()
    local t, a = kit.client { retry = false }
    local b = t:client { name = "b", base_url = "https://b.example" }
    t:script { kit.OK }
    t:run(function()
      a:get("/")
      b:get("/")
      a:get("/")
    end)
    local seen = {}
    for index, request in ipairs(t.requests) do
      seen[index] = ("%s %d %d %d"):format(request.client, request.n, request.call, request.attempt)
    end
    assert.same({ "api 1 1 1", "b 2 2 1", "api 3 3 1" }, seen)
  end)

  it("holds no body and an empty query where there is none", function()
    local t, client = kit.client()
    kit.get(t, client, { { status = 200 } })
    assert.is_nil(t.requests[1].body)
    assert.equal("", t.requests[1].query)
  end)

  it("holds a repeated header as a list", function()
    local t, client = kit.client()
    kit.get(t, client, { { status = 200 } }, { headers = { ["X-Tag"] = { "a", "b" } } })
    assert.same({ "a", "b" }, t.requests[1].headers["x-tag"])
  end)

  it("holds what JSON and forms became", function()
    local t, client = kit.client()
    t:script { kit.OK }
    t:run(function()
      client:post("/", { json = { 1, 2 } })
      client:post("/", { form = { a = "b c" } })
    end)
    assert.equal("[1,2]", t.requests[1].body)
    assert.equal("application/json", t.requests[1].headers["content-type"])
    assert.equal("a=b+c", t.requests[2].body)
    assert.equal("application/x-www-form-urlencoded", t.requests[2].headers["content-type"])
  end)

  it("says nothing of calls that were refused", function()
    local t, client = kit.client()
    client.breaker:force_open()
    t:run(function() client:get("/") end)
    assert.equal(0, #t.requests)
  end)
end)

describe("t:run", function()
  it("returns what the function returns, and passes its arguments", function()
    local t = testing.new()
    local function count(...) return select("#", ...), ... end
    assert.same({ n = 5, 4, 1, nil, "x", nil }, { n = select("#", t:run(count, 1, nil, "x", nil)),
      t:run(count, 1, nil, "x", nil) })
  end)

  it("refuses what is no function", function()
    local t = testing.new()
    misuse("fn: expected a function, got a nil", function() t:run(nil) end)
  end)

  it("raises what the function raises, unchanged", function()
    local t = testing.new()
    local problem = {}
    local done, raised = pcall(t.run, t, function() error(problem) end)
    assert.is_false(done)
    assert.equal(problem, raised)
  end)

  it("lets time move by itself while everything waits, and for no longer", function()
    local t = testing.new()
    local began = os.clock()
    t:run(function()
      neap.sleep(3600 * 24 * 365)
      assert.equal(3600 * 24 * 365, neap.now())
    end)
    assert.equal(3600 * 24 * 365, t:now())
    assert.is_true(os.clock() - began < 1)
  end)

  it("makes neap.now virtual, only inside", function()
    local t = testing.new()
    t:advance(50)
    local before = neap.now()
    assert.equal(50, t:run(neap.now))
    assert.is_true(neap.now() - before < 10)
    assert.not_equal(50, neap.now())
  end)

  it("takes neap.run, spawn, await, all and sleep", function()
    local t, client = kit.client()
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    local result = t:run(function()
      local task = neap.spawn(function(x)
        neap.sleep(x)
        return "slept", neap.now()
      end, 4)
      local both = neap.all {
        function() return client:get("/a").status end,
        function() return client:get("/b").status end,
      }
      assert.equal(1, neap.now())
      assert.same({ { true, 200 }, { true, 200 } }, both)
      assert.equal(2, neap.run(function()
        neap.sleep(1)
        return neap.now()
      end))
      return { task:await() }
    end)
    assert.same({ "slept", 4 }, result)
  end)

  it("goes on until all that was spawned has ended", function()
    local t = testing.new()
    local ended = false
    t:run(function()
      neap.spawn(function()
        neap.sleep(10)
        ended = true
      end)
    end)
    assert.is_true(ended)
    assert.equal(10, t:now())
  end)

  it("may be called again, and time goes on", function()
    local t = testing.new()
    t:run(neap.sleep, 2)
    t:run(neap.sleep, 3)
    assert.equal(5, t:now())
  end)

  it("raises where everything waits for nothing", function()
    local t = testing.new()
    assert.error_matches(function() t:run(coroutine.yield) end,
      "every task waits for something that cannot happen any more", 1, true)
  end)

  it("leaves wrapped functions of the inside on the kit's clock", function()
    local t = testing.new()
    local real = neap.now()
    t:run(function()
      local fails = neap.wrap({ name = "w", retry = { backoff = kit.waits_of(100) },
        timeout = { total = 1000 } }, error)
      fails("always")
    end)
    assert.equal(200, t:now())
    assert.is_true(neap.now() - real < 10)
  end)
end)

describe("a call outside of t:run", function()
  it("blocks, and time moves by itself", function()
    local t, client = kit.client { retry = { backoff = kit.waits_of(2) } }
    t:script { { status = 503, after = 1 }, { status = 200, after = 1 } }
    local res = client:get("/")
    assert.equal(200, res.status)
    assert.equal(4, res.elapsed)
    assert.equal(4, t:now())
  end)

  it("asks functions of the policy too", function()
    local t, client = kit.client { retry = { when = function() return true end } }
    t:script { { status = 404 }, { status = 200 } }
    assert.equal(2, client:get("/").attempts)
  end)
end)

describe("t:advance", function()
  it("lets so much time pass", function()
    local t = testing.new()
    t:advance(0)
    assert.equal(0, t:now())
    t:advance(0.25)
    t:advance(3)
    assert.equal(3.25, t:now())
    assert.equal(1767225603.25, t:time())
  end)

  it("is seen by gates, breakers and limits", function()
    local t, client = kit.client { breaker = kit.touchy_breaker(30), retry = false }
    t:script { { status = 503, headers = { ["Retry-After"] = "20" } }, kit.OK }
    t:run(function() client:get("/") end)
    t:advance(29)
    assert.equal("breaker_open", select(2, t:run(function() return client:get("/") end)).kind)
    t:advance(1)
    assert.equal(200, t:run(function() return client:get("/") end).status)
  end)

  it("refuses what is no time", function()
    local t = testing.new()
    misuse("seconds: expected a number >= 0, got -1", function() t:advance(-1) end)
    misuse("seconds: expected a number >= 0, got a string", function() t:advance("soon") end)
    misuse("seconds: expected a number >= 0, got nil", function() t:advance() end)
    assert.has_error(function() t:advance(0 / 0) end)
    assert.has_error(function() t:advance(math.huge) end)
    assert.equal(0, t:now())
  end)

  it("is refused inside of t:run", function()
    local t = testing.new()
    t:run(function()
      misuse("advance: inside run time moves by itself; use neap.sleep",
        function() t:advance(1) end)
    end)
    assert.equal(0, t:now())
  end)
end)

describe("t.env", function()
  it("makes stand-alone policies live on the kit's clock", function()
    local t = testing.new()
    local limiter = neap.rate_limiter({ rate = 1, burst = 1 }, t.env)
    assert.equal(0, limiter:acquire())
    assert.equal(1, limiter:acquire())
    t:advance(10)
    assert.equal(0, limiter:acquire())
    local breaker = neap.breaker({ window = { count = 1 }, min_calls = 1, open_for = 5 }, t.env)
    breaker:record(breaker:acquire(), "failure")
    assert.equal(5, select(2, breaker:acquire()).retry_after)
    t:run(neap.sleep, 5)
    assert.is_truthy(breaker:acquire())
  end)

  it("tells the clock, the time and chance", function()
    local t = testing.new { epoch = 1000 }
    t:advance(5)
    assert.equal(5, t.env.clock())
    assert.equal(1005, t.env.time())
    local r = t.env.random()
    assert.is_true(r >= 0 and r < 1)
    assert.not_equal(r, t.env.random())
  end)

  it("draws from the kit's seed", function()
    local function draws(seed)
      local t, list = testing.new { seed = seed }, {}
      for i = 1, 5 do
        list[i] = ("%.17g"):format(t.env.random())
      end
      return table.concat(list, " ")
    end
    assert.equal(draws(7), draws(7))
    assert.not_equal(draws(7), draws(8))
    assert.equal(draws(1), draws(nil))
  end)
end)

describe("the same seed and script", function()
  -- Jitter, the gate's spread, an idempotency key, and several tasks at once, to the last digit.
  local function history(seed)
    local t = testing.new { seed = seed }
    local client = t:client(kit.policy { idempotency = true, bulkhead = { max_concurrent = 2,
      max_wait = 60 }, timeout = { total = 200 }, retry = { max_attempts = 5 } })
    t:script { { status = 503 }, { status = 429, headers = { ["Retry-After"] = "3" } },
      { error = "timeout", phase = "read" }, { status = 500, after = 0.3, times = 3 },
      { status = 200, after = 0.1, ["repeat"] = true } }
    local lines = {}
    t:run(function()
      local tasks = {}
      for index = 1, 6 do
        tasks[index] = neap.spawn(function() return client:post("/", { body = "x" }) end)
      end
      for _, task in ipairs(tasks) do
        local res, err = task:await()
        for _, entry in ipairs((res or err).trace) do
          lines[#lines + 1] = ("%.17g %.17g %s %s %s"):format(entry.at, entry.elapsed, entry.kind,
            tostring(entry.status or entry.error), tostring(entry.reason))
        end
      end
    end)
    for _, request in ipairs(t.requests) do
      lines[#lines + 1] = request.headers["Idempotency-Key"]
    end
    return table.concat(lines, "\n")
  end

  it("give the same history to the last digit", function()
    local first = history(42)
    collectgarbage()
    assert.equal(first, history(42))
    assert.is_true(#first > 1000)
  end)

  it("with another seed do not", function()
    assert.not_equal(history(42), history(43))
  end)
end)

describe("two kits", function()
  it("share no gates", function()
    local busy = { status = 503, headers = { ["Retry-After"] = "50" } }
    local t, client = kit.client { retry = false }
    kit.get(t, client, { busy })
    local _, err = kit.get(t, client, {})
    assert.equal("gate", err.kind)
    local t2, client2 = kit.client { retry = false }
    assert.equal(200, kit.get(t2, client2, { { status = 200 } }).status)
  end)

  it("share no breakers, limits, metrics and requests", function()
    local part = { retry = false, breaker = kit.touchy_breaker(),
      rate_limit = { rate = 1, burst = 1 } }
    local t, client = kit.client(part)
    kit.get(t, client, { { status = 500 } })
    local t2, client2 = kit.client(part)
    assert.equal(200, kit.get(t2, client2, { { status = 200 } }).status)
    assert.equal(1, client:stats().calls)
    assert.equal(1, client2:stats().calls)
    assert.equal("open", client.breaker:state())
    assert.equal("closed", client2.breaker:state())
    assert.equal(1, #t2.requests)
  end)

  it("have clocks of their own", function()
    local t, t2 = testing.new(), testing.new()
    t:advance(100)
    assert.equal(0, t2:now())
    t:run(function()
      assert.equal(0, t2:run(neap.now))
      t2:run(neap.sleep, 7)
      assert.equal(100, neap.now())
    end)
    assert.equal(7, t2:now())
  end)

  it("leave the statistics of ordinary clients alone", function()
    local name = "a client of two worlds"
    local real = neap.client(kit.policy { name = name })
    local t, client = kit.client { name = name, retry = false }
    kit.get(t, client, { { status = 200 } })
    assert.equal(0, neap.stats()[name].calls)
    real:close()
  end)
end)

describe("a trace", function()
  it("is kept with the answer", function()
    local t, client = kit.client { retry = { backoff = kit.waits_of(1) } }
    local res = kit.get(t, client, { { status = 503 }, { status = 200 } })
    client:close()
    collectgarbage()
    collectgarbage()
    assert.same({ "attempt 503", "wait backoff", "attempt 200" }, words(res.trace))
  end)
end)
