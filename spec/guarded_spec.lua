-- Calls of guarded functions that go straight, and what can happen to a function meanwhile: it
-- waits, is dropped, calls itself. Also where that makes a call of many attempts of it.

local neap = require "neap"
local testing = require "neap.testing"
local calls = require "spec.support.calls"
local kit = require "spec.support.kit"
local process = require "spec.support.process"

local words, waits_of = kit.words, kit.waits_of

local function pack(...)
  return { n = select("#", ...), ... }
end

-- One of each policy that a call can meet.
local function full(name, part)
  local policy = {
    name = name,
    retry = { max_attempts = 3, backoff = waits_of(0) },
    breaker = { window = { count = 10 }, min_calls = 10, failure_rate = 1 },
    rate_limit = { rate = 1e6, burst = 1e6 },
    bulkhead = { max_concurrent = 2 },
  }
  for key, value in pairs(part or {}) do
    policy[key] = value
  end
  return policy
end

local function stats_of(name)
  return neap.stats()[name]
end

-- Runs body in plain Lua, in a coroutine of the program's own, in neap.run and in a kit.
local function everywhere(what, body)
  it(what .. ", in plain Lua", function() body("plain") end)
  it(what .. ", in a coroutine", function()
    local co = coroutine.create(body)
    assert(coroutine.resume(co, "coroutine"))
    assert.equal("dead", coroutine.status(co))
  end)
  it(what .. ", in neap.run", function() neap.run(body, "run") end)
  it(what .. ", in a kit", function() testing.new():run(body, "kit") end)
end

describe("a guarded function", function()
  everywhere("gets its arguments and gives its results, whatever they are", function(host)
    local guarded = neap.wrap(full("echo " .. host), function(...) return ... end)
    assert.same({ n = 0 }, pack(guarded()))
    assert.same({ n = 1 }, pack(guarded(nil)))
    assert.same({ n = 2, false, "why" }, pack(guarded(false, "why")))
    assert.same({ n = 4, 1, nil, nil, nil }, pack(guarded(1, nil, nil, nil)))
    assert.same(pack((table.unpack or unpack)({}, 1, 200)),
      pack(guarded((table.unpack or unpack)({}, 1, 200))))
  end)

  everywhere("is counted as a call of one attempt", function(host)
    local name = "counted " .. host
    local guarded = neap.wrap(full(name), function() return stats_of(name) end)
    local inside = guarded()
    if host ~= "kit" then
      assert.equal(1, inside.in_flight)
      assert.equal(1, inside.calls)
      assert.equal(0, inside.ok)
      local after = stats_of(name)
      assert.same({ 1, 1, 1, 0, 1 }, { after.calls, after.ok, after.attempts, after.in_flight,
        after.latency.count })
      assert.equal(1, after.breaker.calls)
    end
  end)

  everywhere("is called again with the same arguments until it succeeds", function(host)
    for count = 0, 5 do
      local seen = {}
      local guarded = neap.wrap(full("again " .. host), function(...)
        seen[#seen + 1] = pack(...)
        if #seen < 3 then
          return nil, "busy"
        end
        return "done", #seen
      end)
      assert.same({ n = 2, "done", 3 }, pack(guarded((table.unpack or unpack)({ 1, nil, 3, nil, 5 },
        1, count))))
      for index = 1, 3 do
        assert.same(pack((table.unpack or unpack)({ 1, nil, 3, nil, 5 }, 1, count)), seen[index])
      end
    end
  end)

  everywhere("ends in an error that has all of its attempts", function(host)
    local problem = {}
    local guarded = neap.wrap(full("error " .. host), function() return nil, problem end)
    local value, err = guarded()
    assert.is_nil(value)
    assert.is_true(neap.Error.is(err))
    assert.equal("error", err.kind)
    assert.equal(3, err.attempts)
    assert.equal(problem, err.cause)
    assert.is_true(err.retryable)
    assert.is_true(err.elapsed >= 0)
    assert.is_nil(err.retry_after)
    assert.same({ "attempt error", "wait backoff", "attempt error", "wait backoff",
      "attempt error: attempts" }, words(err.trace))
    assert.equal(err.trace, err.trace)
  end)

  everywhere("fails by whatever it raises", function(host)
    for _, problem in ipairs { "text", 5, false, {}, print,
      coroutine.create(function() end) } do
      local guarded = neap.wrap(full("raise " .. host, { retry = false }),
        function() error(problem, 0) end)
      local value, err = guarded(1, 2)
      assert.is_nil(value)
      assert.equal("error", err.kind)
      assert.equal(problem, err.cause)
      assert.equal(1, err.attempts)
    end
    local _, err = neap.wrap(full("nothing " .. host, { retry = false }), function() error() end)()
    assert.equal("error", err.kind)
    assert.is_nil(err.cause)
  end)

  everywhere("may call itself, and others in it", function(host)
    local guarded, other
    guarded = neap.wrap(full("outer " .. host, { bulkhead = { max_concurrent = 50 } }),
      function(n)
        if n == 0 then
          return other("end")
        end
        return guarded(n - 1)
      end)
    other = neap.wrap(full("inner " .. host), function(text) return text, guarded and "seen" end)
    assert.same({ n = 2, "end", "seen" }, pack(guarded(20)))
    assert.same({ n = 2, "end", "seen" }, pack(guarded(0)))
  end)

  everywhere("waits by an exchange where a retry waits", function(host)
    local attempts = 0
    local guarded = neap.wrap(full("waits " .. host, { retry = { backoff = waits_of(0.01) } }),
      function(...)
        attempts = attempts + 1
        if attempts < 3 then
          error("failure " .. attempts, 0)
        end
        return ...
      end)
    assert.same({ n = 3, 1, nil, 3 }, pack(guarded(1, nil, 3)))
    local function again() error("last", 0) end
    local _, err = neap.wrap(full("ends " .. host, { retry = { max_attempts = 2,
      backoff = waits_of(0.01) } }), again)()
    assert.equal("last", err.cause)
    assert.same({ "attempt error", "wait backoff", "attempt error: attempts" }, words(err.trace))
  end)

  everywhere("asks the policy's functions with its error", function(host)
    local seen
    local guarded = neap.wrap(full("asks " .. host, { retry = { max_attempts = 5,
      backoff = function() return 0 end, when = function(outcome)
        seen = outcome
        return outcome.error.cause == "again"
      end } }), function() return nil, seen and "enough" or "again" end)
    local _, err = guarded()
    assert.equal(2, err.attempts)
    assert.equal("enough", err.cause)
    assert.equal(2, seen.attempt)
  end)

  everywhere("has its fallbacks", function(host)
    local guarded = neap.wrap(full("falls back " .. host, { fallback = { function(arguments, err)
      return arguments[1] .. ", " .. err.cause
    end } }), function() error("down", 0) end)
    assert.equal("hello, down", guarded("hello"))
  end)

  everywhere("is refused by an open breaker, and by a full bulkhead", function(host)
    local name = "refuses " .. host
    local guarded
    guarded = neap.wrap(full(name, { retry = false, bulkhead = { max_concurrent = 1 },
      breaker = { consecutive_failures = 2, open_for = 30 } }), function(action)
      if action == "nest" then
        return "nested", select(2, guarded())
      end
      error(action)
    end)
    local _, inner = guarded("nest")
    assert.equal("bulkhead_full", inner.kind)
    assert.equal("no", (select(2, guarded("no")).cause):match("no$"))
    guarded("no")
    local value, err = guarded("no")
    assert.is_nil(value)
    assert.equal("breaker_open", err.kind)
    assert.equal(0, err.attempts)
    assert.is_true(err.retryable)
    assert.is_true(err.retry_after > 29 and err.retry_after <= 30)
    assert.is_true(err.elapsed >= 0)
    assert.same({ "reject breaker_open" }, words(err.trace))
    assert.equal("the circuit breaker is open", err.message)
    assert.are_not.equal(err, select(2, guarded("no")))
  end)
end)

describe("a guarded function that waits", function()
  it("lets other coroutines go on, and returns when it is resumed", function()
    local guarded = neap.wrap(full("yields"), function(...)
      return "got", coroutine.yield(...)
    end)
    local co = coroutine.create(function(...) return guarded(...) end)
    assert.same({ n = 3, true, 1, nil }, pack(coroutine.resume(co, 1, nil)))
    assert.equal(1, stats_of("yields").in_flight)
    local other = coroutine.wrap(function() return guarded("other") end)
    assert.equal("other", other())
    assert.same({ n = 4, true, "got", nil, 2 }, pack(coroutine.resume(co, nil, 2)))
    assert.same({ n = 1, "got" }, pack(other()))
    assert.equal(0, stats_of("yields").in_flight)
  end)

  it("may fail, and wait again", function()
    local attempts = 0
    local guarded = neap.wrap(full("yields and fails"), function()
      attempts = attempts + 1
      if coroutine.yield(attempts) then
        return "done", attempts
      end
      error("failure", 0)
    end)
    local step = coroutine.wrap(function() return guarded() end)
    assert.equal(1, step())
    assert.equal(2, step(false))
    assert.same({ n = 2, "done", 2 }, pack(step(true)))
  end)

  it("gives its permits back when its coroutine is dropped", function()
    local guarded = neap.wrap(full("dropped"), function() return coroutine.yield() end)
    for _ = 1, 5 do
      local waiting = {}
      for i = 1, 2 do
        waiting[i] = coroutine.wrap(function() return guarded() end)
        waiting[i]()
      end
      assert.equal("bulkhead_full", select(2, guarded()).kind)
      for i in ipairs(waiting) do
        waiting[i] = nil
      end
      collectgarbage()
      collectgarbage()
      assert.equal(0, stats_of("dropped").in_flight)
    end
  end)

  it("keeps them until its closed coroutine is collected", function()
    if not coroutine.close then
      return
    end
    collectgarbage "stop" -- a collector that never rests would have collected it already
    finally(function() collectgarbage "restart" end)
    local policies = { full("closed"), full("closed, with an exchange") }
    policies[2].timeout = { total = 60 }
    policies[2].fallback = { { default = "none" } }
    for _, policy in ipairs(policies) do
      local guarded = neap.wrap(policy, function() return coroutine.yield() end)
      for _ = 1, 2 do
        local waiting = coroutine.create(function() return guarded() end)
        assert(coroutine.resume(waiting))
        assert.is_true(coroutine.close(waiting))
        assert.equal(1, stats_of(policy.name).in_flight)
        waiting = nil -- luacheck: ignore
        collectgarbage()
        assert.equal(0, stats_of(policy.name).in_flight)
      end
    end
  end)

  it("is called from the main program and from others after its coroutine was dropped", function()
    local answer = coroutine.yield
    local guarded = neap.wrap(full("left"), function(...) return answer(...) end)
    coroutine.wrap(function() return guarded(1) end)()
    collectgarbage()
    collectgarbage()
    answer = function(...) return ... end
    for _ = 1, 3 do
      assert.equal(7, guarded(7))
      assert.equal(8, coroutine.wrap(function() return guarded(8) end)())
    end
    assert.equal(0, stats_of("left").in_flight)
  end)

  it("gives its permits back when the run that it is in ends by an error", function()
    local guarded = neap.wrap(full("abandoned"), function() neap.sleep(100) end)
    local done = pcall(neap.run, function()
      neap.spawn(guarded)
      neap.spawn(guarded)
      neap.sleep(0)
      assert.equal(2, stats_of("abandoned").in_flight)
      error("the end", 0)
    end)
    assert.is_false(done)
    assert.equal(0, stats_of("abandoned").in_flight)
    assert.equal("done", neap.wrap(full("next"), function() return "done" end)())
  end)

  it("makes room for those who queue for its place", function()
    local guarded = neap.wrap(full("queued", { bulkhead = { max_concurrent = 1, max_wait = 5 } }),
      function(seconds)
        neap.sleep(seconds)
        return neap.now()
      end)
    neap.run(function()
      local results = neap.all {
        function() return guarded(0.02) end,
        function() return guarded(0.01) end,
        function() return guarded(0) end,
      }
      assert.is_true(results[1][2] < results[2][2])
      assert.is_true(results[2][2] < results[3][2])
    end)
  end)

  it("is one that time does not interrupt, but that counts", function()
    local t = testing.new()
    t:run(function()
      local policy = full("late", { timeout = { total = 1 }, retry = { max_attempts = 3,
        backoff = waits_of(0) } })
      local guarded = neap.wrap(policy, function(fails)
        neap.sleep(2)
        return not fails and "late" or nil, "failed"
      end)
      assert.equal("late", guarded(false))
      local _, err = guarded(true)
      assert.equal(1, err.attempts)
      assert.equal(2, err.elapsed)
      assert.equal("deadline", err.trace[1].reason)
    end)
  end)
end)

describe("a guarded function in a collector's hands", function()
  it("may be called by a finalizer while another call ends", function()
    local guarded = neap.wrap(full("finalizer", { bulkhead = { max_concurrent = 50 } }),
      function(fails) return not fails and "fine" or nil, "failed" end)
    local ran = 0
    local function litter()
      local proxy = newproxy and newproxy(true) -- luacheck: ignore 113
      local meta = proxy and getmetatable(proxy) or {}
      meta.__gc = function()
        ran = ran + 1
        guarded(ran % 2 == 0)
      end
      return proxy or setmetatable({}, meta)
    end
    for index = 1, 2000 do
      litter()
      local value, err = guarded(index % 3 == 0)
      assert.equal(index % 3 ~= 0, value == "fine")
      assert.equal(index % 3 == 0 and "failed" or nil, err and err.cause)
    end
    collectgarbage()
    assert.is_true(ran > 0)
    assert.equal(0, stats_of("finalizer").in_flight)
  end)

  it("may be dropped while it runs", function()
    local guarded = neap.wrap(full("forgotten"), function() return coroutine.yield() end)
    local co = coroutine.create(function() return guarded() end)
    coroutine.resume(co)
    guarded = nil
    collectgarbage()
    assert.same({ n = 2, true, "back" }, pack(coroutine.resume(co, "back")))
    guarded = neap.wrap(full("forgotten too"), function() return coroutine.yield() end)
    coroutine.wrap(function() return guarded() end)()
    guarded = nil
    collectgarbage()
    collectgarbage()
  end)

  -- LuaJIT's traces keep what they were recorded with, so its memory says nothing.
  if not rawget(_G, "jit") then
    it("leaves nothing behind where the stack of C ends in it", function()
      local function dive()
        local guarded
        guarded = neap.wrap(full("deep"), function() return guarded() end)
        guarded()
        assert.equal(0, stats_of("deep").in_flight)
      end
      local function resident_pages()
        return tonumber(process.read_file("/proc/self/statm"):match("^%d+ (%d+)"))
      end
      local before
      for round = 1, 50 do
        dive()
        collectgarbage()
        collectgarbage()
        before = round == 10 and resident_pages() or before
      end
      assert.is_true(resident_pages() - before < 2000)
    end)
  end

  -- Of two finalizers that are due at once, that of what was made later comes first.
  local function finalized(fn)
    local proxy = newproxy and newproxy(true) -- luacheck: ignore 113
    local meta = proxy and getmetatable(proxy) or {}
    meta.__gc = fn
    return proxy or setmetatable({}, meta)
  end

  it("has ended where a finalizer resumes its coroutine after it was given up", function()
    local answers = {}
    for round = 1, 3 do
      local guarded = neap.wrap(full("resurrected"), function(...) return coroutine.yield(...) end)
      do
        local held = {}
        held.proxy = finalized(function()
          answers[round] = pack(coroutine.resume(held.co, "back"))
        end)
        held.co = coroutine.create(function() return guarded(1) end)
        coroutine.resume(held.co)
      end
      local other = coroutine.create(function() return guarded(2) end)
      collectgarbage()
      collectgarbage()
      assert.same({ n = 2, true, 2 }, pack(coroutine.resume(other)))
      assert.is_false(answers[round][1])
      assert.matches("the call has ended", answers[round][2])
      assert.same({ n = 2, true, 3 }, pack(coroutine.resume(other, 3)))
      assert.equal(0, stats_of("resurrected").in_flight)
    end
  end)

  it("answers, is refused or has ended in the finalizers of a Lua state that closes", function()
    local printed = calls.child(nil, [[
      local last
      local function finalizer(fn)
        local proxy = newproxy and newproxy(true)
        local meta = proxy and getmetatable(proxy) or {}
        meta.__gc = fn
        return proxy or setmetatable({}, meta)
      end
      KEPT = finalizer(function() last() end) -- made first: its turn comes last
      local neap = require "neap"
      local function of_few_calls(...) return ... end
      local guarded = neap.wrap({ name = "g", bulkhead = { max_concurrent = 9 } }, of_few_calls)
      guarded(1)
      local often = neap.wrap({ name = "h" }, function(...) return ... end)
      for _ = 1, 100 do often(1) end
      local yielding = neap.wrap({ name = "y" }, function() return coroutine.yield() end)
      local co = coroutine.create(function() return yielding() end)
      coroutine.resume(co)
      local client = neap.client{ name = "c", base_url = "http://127.0.0.1:1/", retry = false }
      local answers = {}
      local function try(name, ...)
        local done, what = pcall(...)
        answers[#answers + 1] = ("%q:%q"):format(name, tostring(not done))
      end
      function last()
        try("alone", guarded, 1)
        try("in a coroutine", coroutine.wrap(function() return guarded(1) end))
        try("often", often, 1)
        try("of a coroutine", function() assert(coroutine.resume(co)) end)
        try("call", client.get, client, "/")
        try("close", client.close, client)
        try("run", neap.run, function() end)
        print("{" .. table.concat(answers, ",") .. "}")
      end
      KEPT_TOO = finalizer(function() -- made last: its turn comes first
        try("early", function()
          assert(guarded(1) == 1 and often(1) == 1)
          assert(select(2, client:get("/")).kind == "connect")
        end)
      end)
    ]])
    assert.same({ alone = "true", ["in a coroutine"] = "true", ["of a coroutine"] = "true",
      early = "false", often = "true", call = "true", close = "true", run = "true" }, printed)
  end)

  it("may be running when the program ends", function()
    local printed = calls.child(nil, [[
      local neap = require "neap"
      local guarded = neap.wrap({ name = "last" }, function() coroutine.yield() end)
      local co = coroutine.create(function() guarded() end)
      coroutine.resume(co)
      _G.co = co
      print('{"done": true}')
    ]])
    assert.is_true(printed.done)
  end)
end)
