-- neap.run and what works inside of it: tasks, awaiting, side by side, sleeping.

local compat = require "neap.compat"
local neap = require "neap"
local testing = require "neap.testing"
local kit = require "spec.support.kit"
local policy = require "spec.support.policy"

local misuse = policy.misuse

local function count(...)
  return select("#", ...), ...
end

-- The same holds on the machine's clock and on a kit's; only the kit's has room for long waits.
local hosts = {
  ["neap.run"] = function() return neap.run end,
  ["a kit's run"] = function()
    local t = testing.new()
    return function(...) return t:run(...) end
  end,
}

for name, host in pairs(hosts) do
  describe(name, function()
    local run

    before_each(function() run = host() end)

    it("returns what the function returns, nils included", function()
      local n, a, b, c = count(run(function() return 1, nil, nil end))
      assert.same({ 3, 1 }, { n, a })
      assert.is_nil(b)
      assert.is_nil(c)
      assert.equal(0, (count(run(function() end))))
    end)

    it("passes its arguments", function()
      assert.equal(4, (run(count, nil, "b", nil, nil)))
    end)

    it("raises what the function raises, unchanged", function()
      local problem = {}
      local done, raised = pcall(run, function() error(problem) end)
      assert.is_false(done)
      assert.equal(problem, raised)
      assert.error_matches(function() run(function() error("text", 0) end) end, "^text$")
    end)

    it("waits for all that was spawned", function()
      local ended = {}
      run(function()
        for index = 1, 3 do
          neap.spawn(function()
            neap.sleep(0)
            neap.spawn(function()
              neap.sleep(0)
              ended[#ended + 1] = index
            end)
          end)
        end
      end)
      assert.same({ 1, 2, 3 }, ended)
    end)

    it("starts tasks in the order in which they were spawned, after who spawned them", function()
      local order = {}
      run(function()
        for index = 1, 3 do
          neap.spawn(function(...) order[#order + 1] = select("#", ...) + index end, nil, nil)
        end
        order[#order + 1] = "main"
      end)
      assert.same({ "main", 3, 4, 5 }, order)
    end)

    it("raises a task's error that nobody awaited", function()
      local problem, others = {}, 0
      local done, raised = pcall(run, function()
        neap.spawn(function() error(problem) end)
        neap.spawn(function()
          neap.sleep(0)
          others = others + 1
        end)
        return "fine"
      end)
      assert.is_false(done)
      assert.equal(problem, raised)
      assert.equal(1, others)
    end)

    it("raises the first of several errors that nobody awaited", function()
      assert.error_matches(function()
        run(function()
          neap.spawn(error, "first", 0)
          neap.spawn(error, "second", 0)
        end)
      end, "^first$")
    end)

    it("raises its own function's error before a task's", function()
      assert.error_matches(function()
        run(function()
          neap.spawn(error, "task's", 0)
          neap.sleep(0)
          error("main", 0)
        end)
      end, "^main$")
    end)

    it("does not raise an error that was awaited", function()
      assert.equal("fine", run(function()
        local task = neap.spawn(error, "caught", 0)
        assert.is_false(compat.pcall(task.await, task))
        return "fine"
      end))
    end)

    it("may be called again after an error", function()
      pcall(run, function()
        neap.spawn(neap.sleep, 0)
        error("x")
      end)
      assert.equal(5, run(function()
        neap.sleep(0)
        return 5
      end))
      assert.error_matches(function() neap.spawn(print) end, "spawn: only inside neap.run", 1, true)
    end)

    it("runs in another as a task of the outer one", function()
      assert.same({ "inner", 1, nil, 3 }, run(function()
        local order = {}
        neap.spawn(function() order[#order + 1] = "other" end)
        local result = { neap.run(function(...)
          neap.sleep(0)
          assert.same({ "other" }, order)
          return "inner", ...
        end, 1, nil, 3) }
        return result
      end))
    end)

    it("in another raises what the inner function raises, where it was called", function()
      local problem = {}
      assert.equal("fine", run(function()
        local done, raised = compat.pcall(neap.run, function() error(problem) end)
        assert.is_false(done)
        assert.equal(problem, raised)
        return "fine"
      end))
    end)

    it("says where everything waits for nothing", function()
      assert.error_matches(function()
        run(function()
          local first
          local second = neap.spawn(function() first:await() end)
          first = neap.spawn(function() second:await() end)
        end)
      end, "^every task waits for something that cannot happen any more$")
      assert.error_matches(function() run(coroutine.yield) end,
        "^every task waits for something that cannot happen any more$")
    end)

    it("leaves coroutines of the program alone", function()
      assert.same({ 1, 2, 3, 6 }, run(function()
        local seen, sum = {}, 0
        local generator = coroutine.wrap(function()
          for index = 1, 3 do
            coroutine.yield(index)
          end
        end)
        for number in generator do
          neap.sleep(0)
          seen[#seen + 1] = number
          sum = sum + number
        end
        seen[4] = sum
        return seen
      end))
    end)
  end)
end

describe("neap.run", function()
  it("refuses what is no function", function()
    misuse("fn: expected a function, got a nil", function() neap.run(nil) end)
    misuse("fn: expected a function, got a string", function() neap.run("fn") end)
  end)
end)

describe("a run that ends by an error", function()
  it("gives up what its other tasks were waiting for", function()
    local t, client = kit.client { bulkhead = { max_concurrent = 1, max_wait = 10 } }
    t:script { { status = 200, after = 3 }, kit.OK }
    assert.has_error(function()
      t:run(function()
        neap.spawn(client.get, client, "/calls")
        neap.spawn(client.get, client, "/queues")
        neap.spawn(neap.sleep, 5)
        neap.sleep(1)
        error("enough")
      end)
    end)
    assert.equal(0, client:stats().in_flight)
    assert.equal(200, t:run(function() return client:get("/").status end))
    assert.equal(1, t:now())
  end)

  it("because everything waits for nothing does the same", function()
    local t, client = kit.client { bulkhead = { max_concurrent = 1 } }
    t:script { kit.OK }
    assert.has_error(function() t:run(coroutine.yield) end)
    assert.equal(200, t:run(function() return client:get("/").status end))
  end)
end)

describe("a run", function()
  -- What garbage lies about decides where in a run the collector comes.
  it("survives a collector that comes at any moment", function()
    local pause, step = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000)
    local done, message, ends = true, nil, os.clock() + 2 -- such a collector is slow in Lua 5.3
    for index = 1, 2000 do
      local t, garbage = testing.new(), ("x"):rep(index % 89 * 97)
      done, message = pcall(t.run, t, function()
        neap.sleep(0)
        return garbage
      end)
      if not done or os.clock() > ends then
        break
      end
    end
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", step)
    assert.is_true(done, message)
  end)
end)

describe("a task", function()
  local t

  before_each(function() t = testing.new() end)

  it("gives its results to who awaits it", function()
    t:run(function()
      local task = neap.spawn(function(...)
        neap.sleep(1)
        return ..., "end", nil
      end, "a")
      local n, a, b, c = count(task:await())
      assert.same({ 3, "a", "end" }, { n, a, b })
      assert.is_nil(c)
      assert.equal(1, neap.now())
    end)
  end)

  it("may be awaited after its end, twice, and by several", function()
    t:run(function()
      local task = neap.spawn(function()
        neap.sleep(1)
        return 5
      end)
      local others = {}
      for index = 1, 3 do
        others[index] = neap.spawn(function() return task:await() + index end)
      end
      assert.equal(5, task:await())
      assert.equal(5, task:await())
      for index = 1, 3 do
        assert.equal(5 + index, others[index]:await())
      end
    end)
  end)

  it("raises its error again in each who awaits it", function()
    local problem = {}
    t:run(function()
      local task = neap.spawn(function()
        neap.sleep(1)
        error(problem)
      end)
      local other = neap.spawn(function() return select(2, compat.pcall(task.await, task)) end)
      assert.equal(problem, select(2, compat.pcall(task.await, task)))
      assert.equal(problem, select(2, compat.pcall(task.await, task)))
      assert.equal(problem, other:await())
    end)
  end)

  it("may be awaited after the run", function()
    local task = t:run(function()
      return neap.spawn(function()
        neap.sleep(1)
        return "kept"
      end)
    end)
    assert.equal("kept", task:await())
  end)

  it("cannot await itself", function()
    t:run(function()
      local task
      task = neap.spawn(function()
        assert.error_matches(function() task:await() end, "await: a task cannot wait for itself",
          1, true)
      end)
    end)
  end)

  it("cannot be awaited from elsewhere while it runs", function()
    local message = "await: only a task of the same neap.run can wait for this one"
    local other = testing.new()
    t:run(function()
      local task = neap.spawn(neap.sleep, 1)
      other:run(function()
        assert.error_matches(function() task:await() end, message, 1, true)
      end)
      coroutine.wrap(function()
        assert.error_matches(function() task:await() end, message, 1, true)
      end)()
    end)
  end)

  it("runs beside others while they wait", function()
    local lines = {}
    local function counting(name, step)
      return function()
        for _ = 1, 3 do
          neap.sleep(step)
          lines[#lines + 1] = ("%s %g"):format(name, neap.now())
        end
      end
    end
    t:run(function()
      neap.spawn(counting("a", 2))
      neap.spawn(counting("b", 3))
    end)
    assert.same({ "a 2", "b 3", "a 4", "b 6", "a 6", "b 9" }, lines)
  end)
end)

describe("neap.spawn", function()
  it("is for the inside of neap.run", function()
    misuse("spawn: only inside neap.run", function() neap.spawn(print) end)
    neap.run(function()
      coroutine.wrap(function()
        misuse("spawn: only inside neap.run", function() neap.spawn(print) end)
      end)()
    end)
  end)

  it("refuses what is no function", function()
    neap.run(function()
      misuse("fn: expected a function, got a nil", function() neap.spawn(nil) end)
    end)
  end)
end)

describe("neap.all", function()
  local t

  before_each(function() t = testing.new() end)

  it("answers in order, side by side", function()
    t:run(function()
      local results = neap.all {
        function()
          neap.sleep(2)
          return "slow", 1, nil, 3
        end,
        function()
          neap.sleep(1)
          return "fast"
        end,
        function() end,
      }
      assert.same({ { true, "slow", 1, nil, 3 }, { true, "fast" }, { true } }, results)
      assert.equal(2, neap.now())
    end)
  end)

  it("gives false and what was raised where one raised, and waits for the others", function()
    local problem = {}
    t:run(function()
      local results = neap.all {
        function() error(problem) end,
        function()
          neap.sleep(1)
          return "well"
        end,
        function()
          neap.sleep(2)
          error("late", 0)
        end,
      }
      assert.same({ false, problem }, results[1])
      assert.equal(problem, results[1][2])
      assert.same({ true, "well" }, results[2])
      assert.same({ false, "late" }, results[3])
      assert.equal(2, neap.now())
    end)
  end)

  it("of nothing is nothing", function()
    assert.same({}, neap.all {})
    assert.same({}, t:run(neap.all, {}))
  end)

  it("may stand in another", function()
    assert.same({ { true, { { true, 1 }, { true, 2 } } }, { true, 3 } }, t:run(function()
      return neap.all {
        function()
          return neap.all { function() return 1 end, function() return 2 end }
        end,
        function() return 3 end,
      }
    end))
  end)

  it("works outside of neap.run", function()
    assert.same({ { true, 1 }, { false, "x" } }, neap.all {
      function()
        neap.sleep(0)
        return 1
      end,
      function() error("x", 0) end,
    })
  end)

  it("makes calls side by side", function()
    local client
    t, client = kit.client { retry = false }
    t:script { { status = 200, after = 1, ["repeat"] = true } }
    t:run(function()
      local functions = {}
      for index = 1, 50 do
        functions[index] = function() return client:get("/" .. index).status end
      end
      for _, result in ipairs(neap.all(functions)) do
        assert.same({ true, 200 }, result)
      end
      assert.equal(1, neap.now())
    end)
  end)

  it("refuses what is no list of functions", function()
    misuse("functions: expected a list of functions, got a nil", function() neap.all() end)
    misuse("functions: expected a list of functions, got a function",
      function() neap.all(print) end)
    misuse("functions[2]: expected a function, got a number",
      function() neap.all { print, 5 } end)
  end)
end)

describe("neap.sleep", function()
  it("lets exactly so much virtual time pass", function()
    local t = testing.new()
    t:run(function()
      for _, seconds in ipairs { 0, 0.001, 1.5, 86400 } do
        local before = neap.now()
        neap.sleep(seconds)
        assert.near(seconds, neap.now() - before, 1e-9)
      end
    end)
  end)

  it("of no time lets the others go", function()
    local order = {}
    testing.new():run(function()
      neap.spawn(function() order[#order + 1] = "other" end)
      neap.sleep(0)
      order[#order + 1] = "main"
    end)
    assert.same({ "other", "main" }, order)
  end)

  it("wakes in the order of the times, then in the order of the sleepers", function()
    local order = {}
    testing.new():run(function()
      for index, seconds in ipairs { 3, 1, 2, 1, 3 } do
        neap.spawn(function()
          neap.sleep(seconds)
          order[#order + 1] = index
        end)
      end
    end)
    assert.same({ 2, 4, 3, 1, 5 }, order)
  end)

  it("blocks a plain program, on the machine's clock", function()
    local before = neap.now()
    neap.sleep(0)
    neap.sleep(0.001)
    assert.is_true(neap.now() - before >= 0.001)
  end)

  it("refuses what is no time", function()
    misuse("seconds: expected a number >= 0, got -1", function() neap.sleep(-1) end)
    misuse("seconds: expected a number >= 0, got nil", function() neap.sleep() end)
    misuse('seconds: expected a number >= 0, got a string ("1s")', function() neap.sleep("1s") end)
    assert.has_error(function() neap.sleep(0 / 0) end)
  end)
end)

describe("neap.now", function()
  it("never goes back", function()
    local before = neap.now()
    for _ = 1, 1000 do
      local now = neap.now()
      assert.is_true(now >= before)
      before = now
    end
  end)

  it("is the clock of a request's deadline", function()
    local t, client = kit.client()
    t:advance(1000)
    local _, err = t:run(function()
      t:script { { status = 200, after = 4 } }
      return client:get("/", { deadline = neap.now() + 2 })
    end)
    assert.equal(2, err.elapsed)
  end)
end)

describe("a coroutine of the program's own inside a task", function()
  local t, client

  before_each(function()
    t, client = kit.client { retry = { backoff = kit.waits_of(1) } }
  end)

  it("may call, which blocks its task", function()
    t:script { { status = 503, after = 1 }, { status = 200, after = 1 } }
    t:run(function()
      local res = coroutine.wrap(function() return client:get("/") end)()
      assert.equal(200, res.status)
      assert.equal(3, neap.now())
    end)
  end)

  it("may sleep", function()
    t:run(function()
      coroutine.wrap(function() neap.sleep(5) end)()
      assert.equal(5, neap.now())
    end)
  end)

  it("does not keep the other tasks' calls and sleeps from ending", function()
    t:script { { status = 200, after = 2, ["repeat"] = true } }
    t:run(function()
      local sleeping = neap.spawn(function()
        neap.sleep(1)
        return "woken"
      end)
      local calling = neap.spawn(client.get, client, "/")
      neap.sleep(0)
      coroutine.wrap(function() neap.sleep(5) end)()
      assert.equal("woken", sleeping:await())
      assert.equal(200, calling:await().status)
      assert.equal(5, neap.now())
    end)
  end)

  it("may run a run of its own, and the other tasks go on afterwards", function()
    t:script { { status = 200, after = 2, ["repeat"] = true } }
    t:run(function()
      local sleeping = neap.spawn(function()
        neap.sleep(1)
        return "woken"
      end)
      local calling = neap.spawn(client.get, client, "/")
      neap.sleep(0)
      coroutine.wrap(function()
        neap.run(function()
          neap.sleep(5)
          client:get("/inner")
        end)
      end)()
      assert.equal("woken", sleeping:await())
      assert.equal(200, calling:await().status)
    end)
  end)

  it("may run the same kit again, and the other tasks go on afterwards", function()
    t:script { { status = 200, after = 2, ["repeat"] = true } }
    t:run(function()
      local sleeping = neap.spawn(function()
        neap.sleep(1)
        return "woken"
      end)
      local calling = neap.spawn(client.get, client, "/")
      neap.sleep(0)
      assert.equal(5, t:run(function()
        neap.sleep(5)
        return neap.now()
      end))
      assert.equal("woken", sleeping:await())
      assert.equal(200, calling:await().status)
    end)
  end)

  it("may run another kit", function()
    local other = testing.new()
    t:run(function()
      local task = neap.spawn(function()
        neap.sleep(1)
        return "woken"
      end)
      neap.sleep(0)
      coroutine.wrap(function() other:run(neap.sleep, 50) end)()
      assert.equal("woken", task:await())
      assert.equal(1, neap.now())
    end)
    assert.equal(50, other:now())
  end)
end)

describe("a task that a stranger resumes", function()
  it("goes on waiting, and the run ends", function()
    local waiting
    local slept = neap.run(function()
      local task = neap.spawn(function()
        waiting = coroutine.running()
        local began = neap.now()
        neap.sleep(0.05)
        return neap.now() - began
      end)
      neap.sleep(0.01)
      coroutine.resume(waiting)
      return task:await()
    end)
    assert.is_true(slept >= 0.05)
  end)

  it("does so too when its own time has come in the same moment", function()
    local waiting
    assert.equal("slept", neap.run(function()
      local task = neap.spawn(function()
        waiting = coroutine.running()
        neap.sleep(0.02)
        return "slept"
      end)
      neap.spawn(function()
        local ends = neap.now() + 0.05
        neap.sleep(0.001)
        repeat until neap.now() > ends
      end)
      neap.sleep(0.01)
      coroutine.resume(waiting)
      return task:await()
    end))
  end)
end)
