-- Alerts: told once when they begin and once when they end, at exact virtual times.
local calls = require "spec.support.calls"
local kit = require "spec.support.kit"
local neap = require "neap"
local server = require "spec.support.server"
local testing = require "neap.testing"

local DOWN = { status = 503, ["repeat"] = true }

-- A client with these alerts, and without what else would hold a call back; and a list of what
-- `notify` was told.
local function watched(alerts, part, t)
  local told = {}
  local policy = kit.policy { retry = false, breaker = false, gate = false }
  for key, value in pairs(part or {}) do
    policy[key] = value
  end
  policy.alerts = { notify = function(alert) told[#told + 1] = alert end }
  for key, value in pairs(alerts) do
    policy.alerts[key] = value
  end
  t = t or testing.new { seed = 1 }
  return t, t:client(policy), told
end

-- So many calls within so many seconds, evenly.
local function make_calls(client, count, seconds)
  for _ = 1, count do
    client:get("/")
    neap.sleep(seconds / count)
  end
end

-- Those of the entries that are to be used at all.
local function script_of(entries)
  local script = {}
  for _, entry in ipairs(entries) do
    if entry.times ~= 0 then
      script[#script + 1] = entry
    end
  end
  return script
end

-- "error_rate firing 60" for each.
local function in_words(told)
  local words = {}
  for index, alert in ipairs(told) do
    words[index] = ("%s %s %g"):format(alert.alert, alert.state, alert.at)
  end
  return words
end

-- What the client says fires now.
local function firing(client)
  local names = {}
  for index, alert in ipairs(client:stats().alerts) do
    names[index] = alert.alert
  end
  return names
end

describe("an outage", function()
  it("is told by each alert once, and so is its end", function()
    local t, client, told = watched({ p99 = 1 }, {
      retry = { backoff = kit.waits_of(0), budget = false },
      breaker = { open_for = 45, min_calls = 100 },
      timeout = { read = 3 },
    })
    t:script { { answer = function()
      if t:now() < 120 or t:now() >= 300 then
        return { status = 200, after = 0.1 }
      end
      return { error = "timeout", phase = "read" }
    end, ["repeat"] = true } }
    t:run(function()
      for _ = 1, 600 do
        neap.spawn(function() client:get("/") end)
        neap.sleep(1)
      end
    end)
    assert.same({
      "breaker_open firing 142", "p99 firing 180", "error_rate firing 180",
      "retry_surge firing 180", "timeout_surge firing 180", "p99 resolved 240",
      "retry_surge resolved 240", "timeout_surge resolved 240", "breaker_open resolved 344.1",
      "error_rate resolved 420",
    }, in_words(told))
    assert.same({}, client:stats().alerts)
  end)
end)

describe("what is told", function()
  it("is the same to notify and to listeners", function()
    local t, client, told = watched {}
    local heard = {}
    client:on("alert", function(event) heard[#heard + 1] = event end)
    t:script { DOWN }
    t:run(function()
      make_calls(client, 25, 60)
      neap.sleep(100)
    end)
    assert.equal(2, #told)
    assert.same({ event = "alert", client = "api", alert = "error_rate", state = "firing",
      value = 1, threshold = 0.05, window = 60, at = 60, time = 1767225660, since = 60 }, told[1])
    assert.same({ event = "alert", client = "api", alert = "error_rate", state = "resolved",
      value = 0, threshold = 0.05, window = 60, at = 120, time = 1767225720, since = 60 },
      told[2])
    assert.same(told, heard)
  end)

  it("comes at the moment at which it happens", function()
    local moments = {}
    local t, client = watched { notify = function() moments[#moments + 1] = neap.now() end }
    t:script { DOWN }
    t:run(function()
      make_calls(client, 25, 30)
      neap.sleep(29.5)
      assert.same({}, moments)
      neap.sleep(0.5)
      assert.same({ 60 }, moments)
      neap.sleep(3600)
    end)
    assert.same({ 60, 120 }, moments)
  end)

  it("comes to listeners without notify too", function()
    local t = testing.new()
    local client = t:client(kit.policy { retry = false, breaker = false, alerts = true })
    local heard = {}
    client:on("alert", function(event) heard[#heard + 1] = event end)
    t:script { DOWN }
    t:run(make_calls, client, 20, 60)
    assert.same({ "error_rate firing 60" }, in_words(heard))
  end)

  it("is nothing where there are no alerts", function()
    local t, client = kit.client { retry = false, breaker = false, gate = false, alerts = false }
    client:on("alert", function() error("told") end)
    t:script { DOWN }
    t:run(make_calls, client, 100, 200)
    assert.is_nil(client:stats().alerts)
    assert.equal(0, client:stats().listener_errors)
  end)

  it("stands in the statistics while it lasts", function()
    local t, client = watched {}
    t:script { kit.times(30, { status = 503 }), kit.OK }
    t:run(function()
      assert.same({}, client:stats().alerts)
      make_calls(client, 30, 60)
      assert.same({ { alert = "error_rate", since = 60, value = 1 } }, client:stats().alerts)
      make_calls(client, 30, 60)
      assert.same({}, client:stats().alerts)
    end)
  end)

  it("comes while time is advanced", function()
    local t, client, told = watched {}
    t:script { DOWN }
    t:run(make_calls, client, 25, 10)
    t:advance(49)
    assert.same({}, told)
    t:advance(1)
    assert.same({ "error_rate firing 60" }, in_words(told))
    t:advance(10000)
    assert.same({ "error_rate firing 60", "error_rate resolved 120" }, in_words(told))
  end)

  it("comes with the next call where nobody turned the loop, each with its own moment", function()
    local t, client, told = watched {}
    t:script { DOWN }
    t:run(make_calls, client, 25, 10)
    t._engine:place(1000, 0) -- as if the process had done something else
    assert.same({}, told)
    t:run(function() client:get("/") end)
    assert.same({ "error_rate firing 60", "error_rate resolved 120" }, in_words(told))
  end)

  it("comes with the statistics too", function()
    local t, client, told = watched {}
    t:script { DOWN }
    t:run(make_calls, client, 25, 10)
    t._engine:place(60, 0)
    assert.same({ "error_rate" }, firing(client))
    assert.same({ "error_rate firing 60" }, in_words(told))
  end)

  it("is nothing that keeps a run going", function()
    local t, client = watched({}, { breaker = kit.touchy_breaker() })
    t:script { DOWN }
    assert.error_matches(function()
      t:run(function()
        client:get("/")
        coroutine.yield()
      end)
    end, "every task waits for something that cannot happen any more", 1, true)
  end)

  it("comes from functions that neap.wrap guards", function()
    local t, told = testing.new(), {}
    t:run(function()
      local fn = neap.wrap({ name = "fn", retry = false, breaker = false,
        alerts = { notify = function(alert) told[#told + 1] = alert end },
      }, function() error("no") end)
      for _ = 1, 20 do fn() end
      neap.sleep(60)
    end)
    assert.same({ "error_rate firing 60" }, in_words(told))
    assert.equal("fn", told[1].client)
  end)
end)

describe("error_rate", function()
  local function rate_of(failures, others, alerts, part)
    local t, client, told = watched(alerts or {}, part)
    t:script(script_of { kit.times(failures, { status = 503 }),
      kit.times(others, { status = 404 }), kit.OK })
    t:run(make_calls, client, failures + others, 60)
    t:advance(0.001)
    return in_words(told)
  end

  it("is told past its limit, not at it", function()
    assert.same({}, rate_of(1, 19))
    assert.same({ "error_rate firing 60" }, rate_of(2, 18))
    assert.same({}, rate_of(10, 10, { error_rate = 0.5 }))
    assert.same({ "error_rate firing 60" }, rate_of(11, 9, { error_rate = 0.5 }))
    assert.same({ "error_rate firing 60" }, rate_of(1, 100, { error_rate = 0 }))
  end)

  it("needs min_calls", function()
    assert.same({}, rate_of(19, 0))
    assert.same({ "error_rate firing 60" }, rate_of(20, 0))
    assert.same({ "error_rate firing 60" }, rate_of(1, 0, { min_calls = 1 }))
  end)

  it("is never told where it is off", function()
    assert.same({}, rate_of(100, 0, { error_rate = false }))
  end)

  it("is of calls, whatever their attempts came to", function()
    assert.same({}, rate_of(1, 59, {}, { retry = { backoff = kit.waits_of(0) } }))
  end)

  it("counts no call that a fallback has answered", function()
    assert.same({}, rate_of(20, 0, {}, { fallback = { { default = { body = "x" } } } }))
    assert.same({ "error_rate firing 60" },
      rate_of(20, 0, {}, { fallback = { { default = { status = 500, body = "x" } } } }))
  end)

  it("counts no call that was cancelled", function()
    local t, client, told = watched {}
    t:script { { status = 200, after = 10, ["repeat"] = true } }
    t:run(function()
      for _ = 1, 30 do
        neap.spawn(function() client:get("/") end)
      end
      neap.sleep(1)
      client:close()
      neap.sleep(100)
    end)
    assert.equal(30, client:stats().errors.cancelled)
    assert.same({}, told)
  end)
end)

describe("p99", function()
  local function p99_of(quick, slow, after, alerts)
    local t, client, told = watched(alerts or { p99 = 1 }, { timeout = { read = 30 } })
    t:script(script_of { kit.times(quick, { status = 200, after = 0.1 }),
      kit.times(slow, { status = 200, after = after }) })
    t:run(function()
      for _ = 1, quick + slow do
        neap.spawn(function() client:get("/") end)
      end
      neap.sleep(60)
    end)
    return told
  end

  it("is told past p99 times p99_factor", function()
    assert.same({}, p99_of(100, 20, 2))
    local told = p99_of(100, 20, 2.4)
    assert.same({ "p99 firing 60" }, in_words(told))
    assert.equal(2, told[1].threshold)
    assert.is_true(math.abs(told[1].value - 2.4) < 0.12)
    assert.same({}, p99_of(100, 20, 2.4, { p99 = 1, p99_factor = 3 }))
    assert.same({ "p99 firing 60" }, in_words(p99_of(100, 20, 0.3, { p99 = 0.1 })))
  end)

  it("lets one in a hundred be slow", function()
    assert.same({}, p99_of(99, 1, 20))
    assert.same({ "p99 firing 60" }, in_words(p99_of(98, 2, 20)))
  end)

  it("is off unless it is given", function()
    assert.same({}, p99_of(0, 100, 20, {}))
    assert.same({}, p99_of(0, 100, 20, { p99 = false }))
  end)
end)

describe("a surge", function()
  -- Windows with so many failures each, every one of which is retried once.
  local function windows(counts, alerts, entry)
    local t, client, told = watched(alerts or { error_rate = false },
      { retry = { max_attempts = 2, backoff = kit.waits_of(0), budget = false } })
    local script = {}
    for _, count in ipairs(counts) do
      script[#script + 1] = kit.times(2 * count, entry or { status = 503 })
    end
    t:script(script)
    t:run(function()
      for _, count in ipairs(counts) do
        make_calls(client, count, 50)
        neap.sleep(60 - neap.now() % 60)
      end
    end)
    t:advance(0.001) -- what was added up may lack a little
    return in_words(told)
  end

  it("of retries is told past its multiple of the mean", function()
    assert.same({}, windows { 10, 10, 30 })
    assert.same({ "retry_surge firing 180" }, windows { 10, 10, 31 })
    assert.same({ "retry_surge firing 180", "retry_surge resolved 240" },
      windows { 10, 10, 31, 10 })
  end)

  it("needs min_calls retries, and a window before", function()
    assert.same({}, windows { 1, 19 })
    assert.same({ "retry_surge firing 120" }, windows { 1, 20 })
    assert.same({}, windows { 500 })
  end)

  it("has another limit, or none", function()
    assert.same({ "retry_surge firing 120" },
      windows({ 20, 41 }, { error_rate = false, retry_surge = 2 }))
    assert.same({}, windows({ 1, 100 }, { error_rate = false, retry_surge = false }))
  end)

  it("of timeouts is one of attempts", function()
    local entry = { error = "timeout", phase = "read", after = 0 }
    assert.same({ "retry_surge firing 120", "timeout_surge firing 120" },
      windows({ 1, 20 }, { error_rate = false }, entry))
    assert.same({ "timeout_surge firing 120" }, -- each call has two
      windows({ 1, 10 }, { error_rate = false }, entry))
    assert.same({}, windows({ 1, 10 }, { error_rate = false, timeout_surge = false }, entry))
  end)
end)

describe("breaker_open", function()
  local function breaker_of(part)
    return watched({ error_rate = false }, { breaker = part or kit.touchy_breaker(30) })
  end

  it("fires from the opening to the closing, through half open", function()
    local t, client, told = breaker_of()
    t:script { { status = 503 }, { status = 503 }, kit.OK }
    t:run(function()
      neap.sleep(7)
      client:get("/") -- opens
      neap.sleep(30)
      client:get("/") -- a probe that fails
      assert.equal(1, #told)
      neap.sleep(30)
      client:get("/")
    end)
    assert.same({ "breaker_open firing 7", "breaker_open resolved 67" }, in_words(told))
    assert.equal(1, told[1].value)
    assert.equal(0, told[1].threshold)
    assert.equal(7, told[2].since)
  end)

  it("lasts while nobody calls", function()
    local t, client, told = breaker_of()
    t:script { DOWN }
    t:run(function()
      client:get("/")
      neap.sleep(10000)
    end)
    assert.same({ "breaker_open firing 0" }, in_words(told))
    assert.same({ "breaker_open" }, firing(client))
  end)

  it("sees what was done by hand when it looks next", function()
    local t, client, told = breaker_of()
    t:script { DOWN }
    t:run(function()
      client:get("/")
      neap.sleep(5)
      client.breaker:reset()
      assert.same({}, client:stats().alerts)
      client.breaker:force_open()
      client:get("/")
    end)
    assert.same({ "breaker_open firing 0", "breaker_open resolved 5", "breaker_open firing 5" },
      in_words(told))
  end)

  it("is never told where it is off, or where the breaker only counts", function()
    local t, client, told = watched({ error_rate = false, breaker_open = false },
      { breaker = kit.touchy_breaker() })
    local _, counting, also_told = watched({ error_rate = false },
      { breaker = kit.touchy_breaker(), name = "counting" }, t)
    counting.breaker:metrics_only()
    t:script { DOWN }
    t:run(function()
      client:get("/")
      counting:get("/")
      neap.sleep(100)
    end)
    assert.same({}, told)
    assert.same({}, also_told)
  end)

  describe("of many keys", function()
    local function keyed()
      local breaker = kit.touchy_breaker(30)
      breaker.key = function(req) return req.query.key end
      local t, client, told = breaker_of(breaker)
      return t, client, told, function(key, status)
        t:script { { status = status or 200 } }
        client:get("/", { query = { key = key } })
      end
    end

    it("fires while any of them is open", function()
      local t, _, told, call = keyed()
      t:run(function()
        call("a", 503)
        call("b", 503)
        call("c")
        neap.sleep(30)
        call("a")
        assert.equal(1, #told)
        call("b")
      end)
      assert.same({ "breaker_open firing 0", "breaker_open resolved 30" }, in_words(told))
    end)

    it("forgets a key that nobody calls any more", function()
      local t, _, told, call = keyed()
      t:run(function()
        call("a", 503)
        neap.sleep(10000)
      end)
      assert.same({ "breaker_open firing 0", "breaker_open resolved 660" }, in_words(told))
    end)

    it("tells two alerts however many there are", function()
      local t, client, told, call = keyed()
      t:run(function()
        for key = 1, 200 do
          call("key " .. key, 503)
        end
        assert.same({ "breaker_open" }, firing(client))
        neap.sleep(30)
        for key = 1, 200 do
          call("key " .. key)
        end
      end)
      assert.same({ "breaker_open firing 0", "breaker_open resolved 30" }, in_words(told))
    end)
  end)
end)

describe("windows", function()
  it("are as long as they are said to be, and begin at multiples of that", function()
    local t, client, told = watched { window = 2.5 }
    t:script { DOWN }
    t:run(function()
      neap.sleep(6)
      make_calls(client, 30, 1)
      neap.sleep(100)
    end)
    assert.same({ "error_rate firing 7.5", "error_rate resolved 10" }, in_words(told))
    assert.equal(2.5, told[1].window)
  end)

  it("have what ended in them", function()
    local t, client, told = watched({}, { timeout = { read = 30 } })
    t:script { { status = 503, after = 20, ["repeat"] = true } }
    t:run(function()
      neap.sleep(50)
      for _ = 1, 20 do
        neap.spawn(function() client:get("/") end)
      end
    end)
    t:advance(100)
    assert.same({ "error_rate firing 120" }, in_words(told))
  end)
end)

describe("notify", function()
  it("may raise, which is counted and not felt", function()
    local t, client = watched { notify = function() error("broken") end }
    client:on("alert", function() error("broken too") end)
    t:script { DOWN }
    t:run(function()
      make_calls(client, 25, 60)
      assert.equal(503, client:get("/").status)
      neap.sleep(100)
    end)
    assert.equal(4, client:stats().listener_errors)
  end)

  it("may make calls, for which no other call waits", function()
    local t = testing.new { seed = 1 }
    local hook = t:client { name = "hook", base_url = "https://hook.example" }
    local _, client = watched({ notify = function(alert)
      hook:post("/", { json = { text = alert.alert .. " " .. alert.state } })
    end }, { breaker = kit.touchy_breaker() }, t)
    t:script({ DOWN }, client)
    t:script({ { status = 200, after = 5, ["repeat"] = true } }, hook)
    t:run(function()
      client:get("/")
      assert.equal(0, neap.now())
      neap.sleep(100)
    end)
    assert.equal(2, #t.requests)
    assert.equal('{"text":"breaker_open firing"}', t.requests[2].body)
  end)

  it("is told one alert after the other", function()
    local order = {}
    local t, client = watched({ error_rate = false, notify = function(alert)
      order[#order + 1] = "begin " .. alert.state
      neap.sleep(alert.state == "firing" and 20 or 0)
      order[#order + 1] = ("end %s %g"):format(alert.state, neap.now())
    end }, { breaker = kit.touchy_breaker(10) })
    t:script { { status = 503 }, kit.OK }
    t:run(function()
      client:get("/")
      neap.sleep(10)
      client:get("/")
      neap.sleep(50)
    end)
    assert.same({ "begin firing", "end firing 20", "begin resolved", "end resolved 20" }, order)
  end)

  it("that never comes back is given up after ten minutes", function()
    local told = 0
    local t, client = watched({ error_rate = false, notify = function()
      told = told + 1
      if told == 1 then
        neap.sleep(1e6)
      end
    end }, { breaker = kit.touchy_breaker(1) })
    t:script { { status = 503 }, kit.OK }
    t:run(function()
      client:get("/")
      neap.sleep(599)
      client:get("/")
      assert.equal(1, told)
      client.breaker:force_open()
      neap.sleep(1)
      client:stats()
    end)
    assert.equal(3, told)
  end)

  it("may call the client that it is about", function()
    local statuses = {}
    local t, client
    t, client = watched({ error_rate = false, notify = function()
      local _, err = client:get("/")
      statuses[#statuses + 1] = err and err.kind
    end }, { breaker = kit.touchy_breaker() })
    t:script { DOWN }
    t:run(function() client:get("/") end)
    assert.same({ "breaker_open" }, statuses)
  end)
end)

describe("a client that is dropped", function()
  it("is collected with its alerts", function()
    local t = testing.new()
    local witness = setmetatable({}, { __mode = "k" })
    do
      local held = {}
      local _, client = watched({ notify = function() held.used = true end }, {}, t)
      witness[held] = true
      t:script { DOWN }
      t:run(function() client:get("/") end)
    end
    if rawget(_G, "jit") then
      jit.flush()
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(witness))
    t:advance(100)
  end)
end)

describe("in plain Lua, an alert", function()
  local s

  setup(function() s = server.start() end)
  teardown(function() s:stop() end)
  before_each(function() s:reset() end)

  local function failing(alerts)
    local told = {}
    alerts.notify = alerts.notify or function(alert) told[#told + 1] = alert.alert end
    local client = calls.client { base_url = s.url, retry = false, gate = false,
      breaker = { consecutive_failures = 2 }, alerts = alerts }
    calls.answered(client:get("/status/503"))
    calls.answered(client:get("/status/503"))
    return client, told
  end

  it("of the breaker is told by the call that opens it", function()
    local client, told = failing {}
    assert.same({ "breaker_open" }, told)
    client:close()
  end)

  it("of a window is told by the next call, sleep or look at the statistics", function()
    for _, wait in ipairs {
      function(client) neap.sleep(0.2) client:get("/status/200") end,
      function() neap.sleep(0.3) end,
      function(client) neap.sleep(0.2) client:stats() end,
      function() neap.run(function() neap.sleep(0.3) end) end,
    } do
      local client, told = failing { window = 0.1, min_calls = 1, breaker_open = false }
      wait(client)
      assert.equal("error_rate", told[1])
      client:close()
    end
  end)

  it("may be told to another API", function()
    local hook = calls.client { name = "hook", base_url = s.url }
    local status
    local client = failing { notify = function() status = hook:post("/status/204").status end }
    calls.wait_for(function() return status end)
    assert.equal(204, status)
    client:close()
    hook:close()
  end)
end)
