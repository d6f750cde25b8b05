-- neap.wrap: any Lua function through the same pipeline.

local neap = require "neap"
local testing = require "neap.testing"
local kit = require "spec.support.kit"
local policy = require "spec.support.policy"

local words, waits_of = kit.words, kit.waits_of

describe("a wrapped function", function()
  local t

  before_each(function() t = testing.new() end)

  local function part_of(part)
    local full = { name = "wrapped" }
    for key, value in pairs(part or {}) do
      full[key] = value
    end
    return full
  end

  -- Runs body(wrapped function) inside the kit.
  local function within(part, fn, body)
    return t:run(function()
      return body(neap.wrap(part_of(part), fn))
    end)
  end

  -- One call of fn without arguments.
  local function once(part, fn)
    return within(part, fn, function(wrapped) return wrapped() end)
  end

  -- A function that fails so many times, and then returns "done".
  local function failing(times, how)
    local calls = 0
    return function()
      calls = calls + 1
      if calls > times then
        return "done", calls
      end
      if how then
        return nil, how
      end
      error("failure " .. calls, 0)
    end
  end

  describe("that succeeds", function()
    it("returns all values, nils included", function()
      local function pack(...) return { n = select("#", ...), ... } end
      within(nil, function(...) return ... end, function(echo)
        assert.same({ n = 3, 1, nil, 3 }, pack(echo(1, nil, 3)))
        assert.same({ n = 4, "a" }, pack(echo("a", nil, nil, nil)))
        assert.same({ n = 3, [3] = "c" }, pack(echo(nil, nil, "c")))
        assert.same({ n = 1 }, pack(echo(nil)))
        assert.same({ n = 0 }, pack(echo()))
        assert.same({ n = 200 }, pack(echo((table.unpack or unpack)({}, 1, 200))))
      end)
      local many = neap.wrap(part_of(), function() return (table.unpack or unpack)({}, 1, 200) end)
      assert.same({ n = 200 }, pack(many()))
      assert.same({ n = 200 }, pack(coroutine.wrap(many)()))
    end)

    it("may return nil, false, or nil and nil", function()
      assert.is_nil(once(nil, function() return nil end))
      assert.is_false((once(nil, function() return false, "why" end)))
      assert.is_nil((once(nil, function() return nil, nil, "third" end)))
    end)

    it("is called once, with its arguments", function()
      local calls = {}
      within(nil, function(...) calls[#calls + 1] = { n = select("#", ...), ... } end,
        function(wrapped) wrapped("a", nil, false, nil) end)
      assert.same({ { n = 4, "a", nil, false, nil } }, calls)
    end)
  end)

  describe("that fails", function()
    it("by raising ends in an error with what it raised as the cause", function()
      local problem = { code = 5 }
      local value, err = once({ retry = false }, function() error(problem) end)
      assert.is_nil(value)
      assert.is_true(neap.Error.is(err))
      assert.equal("error", err.kind)
      assert.equal(problem, err.cause)
      assert.equal(1, err.attempts)
      assert.equal(0, err.elapsed)
      assert.is_true(err.retryable)
      assert.same({ "attempt error" }, words(err.trace))
    end)

    it("by raising a text has it in its message", function()
      local _, err = once({ retry = false }, function() error("out of paper", 0) end)
      assert.equal("out of paper", err.cause)
      assert.equal("error: out of paper", tostring(err))
    end)

    it("has a message of at most 159 bytes, and up to the first NUL", function()
      for cause, message in pairs{
        [("x"):rep(159)] = ("x"):rep(159), [("x"):rep(160)] = ("x"):rep(159),
        ["out\0of paper"] = "out", [""] = "",
      } do
        for _, max_attempts in ipairs{ 1, 2 } do
          local _, err = once({ retry = { max_attempts = max_attempts } },
            function() return nil, cause end)
          assert.equal(message, err.message)
          assert.equal(cause, err.cause)
        end
      end
    end)

    it("leaves an error of its own each time", function()
      local retry = { max_attempts = 2, backoff = { base = 0 } }
      local guarded = neap.wrap({ name = "f", retry = retry },
        function(cause) return nil, cause end)
      local _, first = guarded("one")
      local _, second = guarded("two")
      first.kind, first.at, first.attempts, first.elapsed = nil, nil, nil, nil
      collectgarbage()
      assert.same({ "attempt error", "wait backoff", "attempt error: attempts" },
        words(first.trace))
      assert.equal("two", second.message)
      assert.equal("error", second.kind)
      assert.not_equal(first.trace, second.trace)
      local last = second.trace[3]
      assert.is_true(math.abs(second.at - last.at - last.elapsed) < 1e-6)
    end)

    it("by returning nil and an error ends in that as the cause", function()
      local problem = {}
      local value, err = once({ retry = false }, function() return nil, problem end)
      assert.is_nil(value)
      assert.equal("error", err.kind)
      assert.equal(problem, err.cause)
    end)

    it("by raising nothing ends in an error without a cause", function()
      local value, err = once({ retry = false }, function() error(nil) end)
      assert.is_nil(value)
      assert.equal("error", err.kind)
      assert.is_nil(err.cause)
    end)

    it("by a runtime error ends in an error", function()
      local _, err = once({ retry = false }, function() return nil + 1 end)
      assert.matches("arithmetic", err.cause)
    end)

    it("with something that cannot be written as text ends in an error all the same", function()
      for _, meta in ipairs { { __tostring = function() error("inner") end },
        { __tostring = function() return {} end } } do
        local problem = setmetatable({}, meta)
        local value, err = once({ retry = false }, function() error(problem) end)
        assert.is_nil(value)
        assert.equal("error", err.kind)
        assert.equal(problem, err.cause)
      end
    end)

    it("is tried again after a backoff on the kit's clock", function()
      local real = neap.now()
      local value, calls = once({ retry = { backoff = waits_of(10) } }, failing(2))
      assert.equal("done", value)
      assert.equal(3, calls)
      assert.equal(20, t:now())
      assert.is_true(neap.now() - real < 5)
    end)

    it("by returning nil and an error is tried again too", function()
      assert.equal("done", once({ retry = { backoff = waits_of(1) } }, failing(2, "busy")))
    end)

    it("is tried as often as the policy says", function()
      local _, err = once({ retry = { max_attempts = 4, backoff = waits_of(1) } }, failing(9))
      assert.equal(4, err.attempts)
      assert.equal(3, err.elapsed)
      assert.equal("failure 4", err.cause)
      assert.same({ "attempt error", "wait backoff", "attempt error", "wait backoff",
        "attempt error", "wait backoff", "attempt error: attempts" }, words(err.trace))
    end)

    it("is tried once where retry is off", function()
      local _, err = once({ retry = false }, failing(1))
      assert.equal(1, err.attempts)
    end)

    it("is called with the same arguments each time", function()
      local seen = {}
      within({ retry = { backoff = waits_of(1) } }, function(...)
        seen[#seen + 1] = { n = select("#", ...), ... }
        error("no")
      end, function(wrapped) wrapped(1, nil, 3, nil) end)
      assert.same({ { n = 4, 1, nil, 3 }, { n = 4, 1, nil, 3 }, { n = 4, 1, nil, 3 } }, seen)
    end)

    it("stays within its budget", function()
      local _, err = once({ retry = { budget = { ratio = 0, min_per_second = 0.1 } } }, failing(9))
      assert.equal("attempt error: budget", words(err.trace)[#err.trace])
    end)

    it("is not tried past the deadline", function()
      local _, err = once({ timeout = { total = 1.5 }, retry = { backoff = waits_of(1) } },
        failing(9))
      assert.equal(2, err.attempts)
      assert.equal("deadline", err.trace[#err.trace].reason)
    end)
  end)

  describe("retry.when", function()
    it("decides whether it is tried again", function()
      local _, err = once({ retry = { when = function() return false end } }, failing(9))
      assert.equal(1, err.attempts)
    end)

    it("is told the error, with what the function raised or returned", function()
      local seen = {}
      local function when(outcome)
        seen[#seen + 1] = outcome
        return outcome.error.cause ~= "fatal"
      end
      local problem = { code = 5 }
      once({ retry = { max_attempts = 2, backoff = waits_of(1), when = when } },
        function() error(problem) end)
      assert.equal("error", seen[1].kind)
      assert.equal(1, seen[1].attempt)
      assert.equal(problem, seen[1].error.cause)
      assert.equal(2, seen[2].attempt)
      local _, err = once({ retry = { when = when } }, function() return nil, "fatal" end)
      assert.equal(1, err.attempts)
    end)

    it("is not asked about a success", function()
      once({ retry = { when = function() error("asked") end } }, function() return nil end)
    end)
  end)

  describe("its breaker", function()
    local part = { retry = false, breaker = kit.touchy_breaker(30) }

    it("opens by failures, and refuses", function()
      local calls = 0
      within(part, function()
        calls = calls + 1
        error("down", 0)
      end, function(wrapped)
        wrapped()
        local value, err = wrapped()
        assert.is_nil(value)
        assert.equal("breaker_open", err.kind)
        assert.is_nil(err.cause)
        assert.equal(0, err.attempts)
        assert.equal(30, err.retry_after)
        assert.equal(1, calls)
        neap.sleep(30)
        wrapped()
        assert.equal(2, calls)
      end)
    end)

    it("opens by errors that are returned", function()
      within(part, failing(9, "down"), function(wrapped)
        wrapped()
        assert.equal("breaker_open", select(2, wrapped()).kind)
      end)
    end)

    it("counts nil as a success", function()
      within(part, function() return nil end, function(wrapped)
        for _ = 1, 5 do
          assert.equal(1, select("#", wrapped()))
        end
      end)
    end)

    it("knows slow calls", function()
      within({ retry = false, breaker = { window = { count = 1 }, min_calls = 1,
        slow_call = { duration = 1, rate = 1 } } }, function(seconds)
        neap.sleep(seconds)
        return "done"
      end, function(wrapped)
        assert.equal("done", wrapped(1))
        assert.equal("done", wrapped(1.5))
        assert.equal("breaker_open", select(2, wrapped(0)).kind)
      end)
    end)

    it("may be one for each key of the arguments", function()
      local breaker = kit.touchy_breaker(30)
      breaker.key = function(arguments) return arguments[1] end
      within({ retry = false, breaker = breaker }, function(name)
        if name == "bad" then
          error("down")
        end
        return "up"
      end, function(wrapped)
        wrapped("bad")
        assert.equal("breaker_open", select(2, wrapped("bad")).kind)
        assert.equal("up", wrapped("good"))
      end)
    end)

    it("raises where the function of its key answers no text", function()
      for _, answer in ipairs { {}, true, 5 } do
        assert.error_matches(function()
          once({ breaker = { key = function() return answer end } }, function() end)
        end, "policy.breaker.key: expected a string to be returned", 1, true)
      end
    end)

    it("may say itself what is a failure", function()
      local breaker = kit.touchy_breaker(30)
      breaker.failure = function(outcome) return outcome.kind == "error" and "ignore" or nil end
      within({ retry = false, breaker = breaker }, failing(2), function(wrapped)
        wrapped()
        wrapped()
        assert.equal("done", wrapped())
      end)
    end)
  end)

  describe("other policies", function()
    local function slow()
      neap.sleep(1)
      return "done"
    end

    it("refuse where the bulkhead is full", function()
      within({ retry = false, bulkhead = { max_concurrent = 1 } }, slow, function(wrapped)
        local results = neap.all { wrapped, wrapped }
        assert.same({ true, "done" }, results[1])
        assert.equal("bulkhead_full", results[2][3].kind)
        assert.equal("done", wrapped())
      end)
    end)

    it("let callers wait for a place in the bulkhead", function()
      within({ retry = false, bulkhead = { max_concurrent = 1, max_wait = 5 } }, slow,
        function(wrapped)
          local results = neap.all { wrapped, wrapped, wrapped }
          assert.equal("done", results[3][2])
          assert.equal(3, neap.now())
        end)
    end)

    it("free the bulkhead's place of a function that raised", function()
      within({ retry = false, bulkhead = { max_concurrent = 1 } }, failing(1), function(wrapped)
        wrapped()
        assert.equal("done", wrapped())
      end)
    end)

    it("refuse and wait by the rate limit", function()
      within({ retry = false, rate_limit = { rate = 1, per = 1, burst = 1, max_wait = 1 } },
        function() return neap.now() end, function(wrapped)
          local results = neap.all { wrapped, wrapped, wrapped }
          assert.equal(0, results[1][2])
          assert.equal(1, results[2][2])
          assert.equal("rate_limited", results[3][3].kind)
        end)
    end)

    it("do not interrupt a running function, whose success counts though it is late", function()
      local value = once({ retry = false, timeout = { total = 0.5, attempt = 0.1 } }, slow)
      assert.equal("done", value)
      assert.equal(1, t:now())
    end)

    it("try no further once a running function has used up the time", function()
      local _, err = once({ timeout = { total = 0.5 } }, function()
        neap.sleep(1)
        error("late")
      end)
      assert.equal(1, err.attempts)
      assert.equal("deadline", err.trace[1].reason)
    end)
  end)

  describe("and the calls in it", function()
    local function client()
      return t:client { name = "inner", base_url = "https://inner.example", retry = false }
    end

    it("return a response as it is", function()
      local inner = client()
      t:script { { status = 503, body = "down" } }
      local res = once(nil, function() return inner:get("/") end)
      assert.equal(503, res.status)
      assert.equal("network", res.source)
    end)

    it("fail by an error of neap, which is the cause", function()
      local inner = client()
      t:script { { error = "reset" } }
      local _, err = once({ retry = false }, function() return inner:get("/") end)
      assert.equal("error", err.kind)
      assert.equal("reset", err.cause.kind)
      assert.is_true(neap.Error.is(err.cause))
    end)

    it("wait side by side, and are repeated as a whole", function()
      local inner = client()
      t:script { { error = "reset", after = 1, times = 2 }, { status = 200, after = 1,
        ["repeat"] = true } }
      local results = within({ retry = { backoff = waits_of(1) } },
        function(path) return inner:get(path) end, function(wrapped)
          return neap.all {
            function() return wrapped("/a").status end,
            function() return wrapped("/b").status end,
          }
        end)
      assert.same({ { true, 200 }, { true, 200 } }, results)
      assert.equal(3, t:now())
      assert.equal(4, #t.requests)
    end)

    it("may be wrapped functions again", function()
      t:run(function()
        local inner = neap.wrap(part_of { name = "in", retry = { backoff = waits_of(1) } },
          failing(1))
        local outer = neap.wrap(part_of { name = "out", retry = false }, inner)
        assert.equal("done", outer())
      end)
      assert.equal(1, t:now())
    end)

    it("may spawn, and yield in coroutines of their own", function()
      local value = once(nil, function()
        local task = neap.spawn(function()
          neap.sleep(1)
          return 5
        end)
        local sum = 0
        for number in coroutine.wrap(function()
          for index = 1, 3 do
            coroutine.yield(index)
          end
        end) do
          sum = sum + number
        end
        return sum + task:await()
      end)
      assert.equal(11, value)
    end)
  end)

  it("made outside of a kit works blocking", function()
    local wrapped = neap.wrap(part_of { retry = { backoff = waits_of(0) } }, failing(2))
    assert.equal("done", wrapped())
    local _, err = neap.wrap(part_of { retry = false }, failing(1))()
    assert.equal("error", err.kind)
  end)

  it("works inside of neap.run", function()
    local wrapped = neap.wrap(part_of { retry = { backoff = waits_of(0) } }, failing(2))
    assert.equal("done", neap.run(wrapped))
  end)
end)

describe("neap.wrap", function()
  it("refuses what is no function", function()
    policy.misuse("fn: expected a function, got a nil", function() neap.wrap({ name = "a" }) end)
    policy.misuse("fn: expected a function, got a table",
      function() neap.wrap({ name = "a" }, {}) end)
  end)

  it("refuses a wrong policy", function()
    policy.misuse("policy: expected a table, got nil", function() neap.wrap(nil, print) end)
    policy.misuse("policy.name: required, a string", function() neap.wrap({}, print) end)
    policy.misuse('policy.retry.max_attemps: unknown key, did you mean "max_attempts"?',
      function() neap.wrap({ name = "a", retry = { max_attemps = 1 } }, print) end)
  end)
end)
