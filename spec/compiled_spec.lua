-- Guarded functions that LuaJIT compiles: so many calls that it does, beside as many of which it
-- compiles none, and what can happen to one in between.
local neap = require "neap"
local core = require "neap.core"
local host = require "neap.host"
local testing = require "neap.testing"
local kit = require "spec.support.kit"
local plain = require "spec.support.plain"

local jit = rawget(_G, "jit")
local CALLS = 3000

-- A generator of the spec's own, without anything that is not compiled.
local function generator(seed)
  local state = seed
  return function(limit)
    state = (state * 16807) % 2147483647
    return state % limit
  end
end

local function policy_of(part)
  local policy = {
    name = "compiled",
    retry = { max_attempts = 3, backoff = kit.waits_of(0) },
    breaker = { window = { count = 20 }, min_calls = 10, failure_rate = 0.9, open_for = 0.5 },
    rate_limit = { rate = 1e6, burst = 1e6 },
    bulkhead = { max_concurrent = 10 },
  }
  for key, value in pairs(part) do
    policy[key] = value
  end
  return policy
end

local POLICIES = {
  ["retries at once"] = {},
  ["no retry"] = { retry = false },
  ["more attempts than an error is made for"] =
    { retry = { max_attempts = 5, backoff = kit.waits_of(0) } },
  ["retries later"] = { retry = { max_attempts = 3, backoff = kit.waits_of(0.01) } },
  ["a budget that runs out"] =
    { retry = { max_attempts = 3, backoff = kit.waits_of(0), budget = { min_per_second = 1 } } },
  ["a breaker that opens"] =
    { breaker = { consecutive_failures = 4, open_for = 0.3, half_open = { permits = 2 } } },
  ["a rate limit"] = { rate_limit = { rate = 100, burst = 50 } },
  ["a fallback"] = { fallback = { { default = { status = 200 } } } },
  ["a listener's opinion"] = { retry = { max_attempts = 2, backoff = kit.waits_of(0),
    when = function() return nil end } },
}

-- Calls in loops that hold nothing which is not compiled, with a wait between the loops.
local function play(part, failing)
  local told = {}
  local random = generator(failing + 1)
  local function work(a, b, c)
    local share = random(10)
    if share >= failing then
      return share, a, b, c
    elseif share % 2 == 0 then
      return nil, "failure"
    end
    return nil, share
  end
  testing.new{ seed = 7 }:run(function()
    local guarded = neap.wrap(policy_of(part), work)
    local values, rests = {}, {}
    for round = 1, CALLS / 100 do
      for index = 1, 25 do
        local slot = index * 4
        values[slot], rests[slot] = guarded()
        values[slot + 1], rests[slot + 1] = guarded(index)
        values[slot + 2], rests[slot + 2] = guarded(index, nil)
        values[slot + 3], rests[slot + 3] = guarded(nil, index, "three")
      end
      for slot = 4, 103 do
        told[#told + 1] = { round, values[slot], plain(rests[slot]) }
      end
      neap.sleep(0.05)
    end
    told[#told + 1] = neap.stats().compiled
  end)
  return told
end

local function interpreted(fn, ...)
  jit.off()
  local told = fn(...)
  jit.on()
  return told
end

if not jit or not jit.status() then
  return
end

describe("a compiled guarded function", function()
  for name, part in pairs(POLICIES) do
    for _, failing in ipairs{ 0, 3, 9 } do
      it(("comes to what an interpreted one does: %s, failing %d of 10"):format(name, failing),
        function()
          assert.same(interpreted(play, part, failing), play(part, failing))
        end)
    end
  end

  local function in_flight()
    return neap.stats().now.in_flight
  end

  local function warm(guarded)
    for index = 1, 200 do
      guarded(index)
    end
  end

  -- What is done with this in the place of the table's own, which is there again afterwards.
  local function with_replaced(of, name, replacement, fn)
    local original = rawget(of, name)
    rawset(of, name, replacement)
    local done, message = pcall(fn)
    rawset(of, name, original)
    assert(done, message)
  end

  -- A loop that is compiled with its calls. LuaJIT remembers by the code where it gave up, so it is
  -- made anew each time.
  local load_text = loadstring -- luacheck: ignore 113
  local LOOP = [[
    local guarded, calls = ...
    for index = 1, calls do
      if guarded(index) ~= index then
        error("another value")
      end
    end
  ]]

  -- How many calls of a function go the compiled way, which alone asks this of the host.
  local function compiled_calls(fn, calls)
    local count, whom_to_tie = 0, host.whom_to_tie
    local loop = load_text(LOOP)
    local function counted(engine)
      count = count + 1
      return whom_to_tie(engine)
    end
    with_replaced(host, "whom_to_tie", counted, function()
      local guarded = neap.wrap(policy_of{ name = "now" }, fn)
      loop(guarded, calls)
      local co = coroutine.wrap(function() return guarded(5) end)
      assert.equal(5, co())
    end)
    return count
  end

  -- LuaJIT draws lots on when to try again, and finds no memory near its own code at times: one
  -- function of three that stays compiled will do.
  local function assert_stays_compiled()
    local most = 0
    for _ = 1, 3 do
      most = math.max(most, compiled_calls(function(value) return value end, CALLS))
    end
    assert.is_true(most > CALLS / 2, "compiled: " .. most)
  end

  it("stays compiled where its calls can be", assert_stays_compiled)

  it("is called in another way where its calls cannot be compiled, and is the same", function()
    local calls = 0
    local count = compiled_calls(function(value)
      calls = calls + 1
      local function again() return value end -- making a function is not compiled
      return again()
    end, CALLS)
    assert.equal(CALLS + 1, calls)
    assert.equal(CALLS + 1, neap.stats().now.ok)
    assert.is_true(count > 0 and count < CALLS / 2, "compiled: " .. count)
  end)

  local function text_only(code, name)
    if code:byte() == 27 then
      return nil, "attempt to load chunk with wrong mode"
    end
    return _G.load(code, name)
  end

  local function echo(value)
    return value
  end

  it("is compiled where a sandbox has taken away what loads code, or lets it load text only",
    function()
      for _, loader in ipairs{ false, text_only } do
        with_replaced(_G, "loadstring", loader or nil, assert_stays_compiled)
      end
    end)

  it("is compiled with what Lua had when neap was loaded", function()
    with_replaced(jit, "status", nil, assert_stays_compiled)
  end)

  it("stays as it is where it cannot be made", function()
    with_replaced(core.guarded_ffi, "new", error, function()
      assert.equal(0, compiled_calls(echo, CALLS))
    end)
  end)

  it("is not there where no code can be loaded when neap is", function()
    local function is_there()
      local was = package.loaded["neap.compiled"]
      package.loaded["neap.compiled"] = nil
      local compiled = require "neap.compiled"
      package.loaded["neap.compiled"] = was
      return compiled.is_there
    end
    assert.is_true(is_there())
    with_replaced(_G, "loadstring", text_only, function() assert.is_false(is_there()) end)
    with_replaced(_G, "loadstring", nil, function() assert.is_false(is_there()) end)
    with_replaced(string, "dump", nil, function() assert.is_false(is_there()) end)
  end)

  it("gives its permits back when its coroutine is dropped", function()
    local answer
    local guarded = neap.wrap(policy_of{ name = "now" }, function(value)
      return answer and answer(value) or value
    end)
    warm(guarded)
    answer = coroutine.yield
    local held = {}
    for index = 1, 3 do
      held[index] = coroutine.wrap(function() warm(guarded) end)
      held[index]()
    end
    assert.equal(3, in_flight())
    for index in pairs(held) do
      held[index] = nil
    end
    collectgarbage()
    collectgarbage()
    assert.equal(0, in_flight())
  end)

  it("gives its permits back when the run that it is in ends by an error", function()
    local waits = false
    local guarded = neap.wrap(policy_of{ name = "now" }, function(value)
      if waits then
        neap.sleep(100)
      end
      return value
    end)
    local done = pcall(neap.run, function()
      warm(guarded)
      waits = true
      neap.spawn(guarded)
      neap.spawn(guarded, 1, 2, 3)
      neap.sleep(0)
      assert.equal(2, in_flight())
      error("the end", 0)
    end)
    assert.is_false(done)
    assert.equal(0, in_flight())
  end)

  it("has ended where its run has, and its function fails nonetheless", function()
    local waits, left = false, nil
    local guarded = neap.wrap(policy_of{ name = "now", retry = false }, function(value)
      if not waits then
        return value
      end
      left = coroutine.running()
      coroutine.yield()
      return nil, "too late"
    end)
    warm(guarded)
    waits = true
    pcall(neap.run, function()
      neap.spawn(guarded)
      neap.sleep(0)
      error("the end", 0)
    end)
    local resumed, message = coroutine.resume(left)
    assert.is_false(resumed)
    assert.matches("the call has ended", message)
  end)

  it("leaves no permit with a call in which a hook raises", function()
    local guarded = neap.wrap(policy_of{ name = "now" }, function(value) return value end)
    for count = 1, 120 do
      pcall(function()
        debug.sethook(function()
          debug.sethook()
          error("enough", 0)
        end, "", count)
        guarded(count)
        debug.sethook()
      end)
    end
    collectgarbage()
    collectgarbage()
    assert.equal(0, in_flight())
    warm(guarded)
  end)

  it("may be called by a finalizer while an error is made", function()
    local guarded = neap.wrap(policy_of{ name = "now", breaker = { consecutive_failures = 1 },
      retry = false, bulkhead = { max_concurrent = 50 } },
      function() return nil, "failed" end)
    guarded()
    local ran = 0
    local function litter()
      local proxy = newproxy(true) -- luacheck: ignore 113
      getmetatable(proxy).__gc = function()
        ran = ran + 1
        guarded()
      end
    end
    for _ = 1, CALLS do
      litter()
      local value, err = guarded()
      assert(value == nil and err.kind == "breaker_open" and err.retry_after > 0)
      assert(err.message == "the circuit breaker is open")
    end
    collectgarbage()
    assert.is_true(ran > 0)
  end)
end)
