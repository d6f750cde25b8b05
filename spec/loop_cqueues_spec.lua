-- Calls on cqueues: they yield to the controller of their coroutine, and leave nothing in it.
local calls = require "spec.support.calls"
local loops = require "spec.support.loops"

local cqueues = {
  module = "neap.loop.cqueues",
  library = "cqueues",
  head = [[
    require "neap.loop.cqueues"
    local cqueues = require "cqueues"
    local controller = cqueues.new()
    local function go(fn) controller:wrap(fn) end
    local function run() assert(controller:loop()) end
    local function tick(seconds, fn)
      controller:wrap(function()
        repeat cqueues.sleep(seconds) until not fn()
      end)
    end
  ]],
}

describe("cqueues:", function()
  loops.behave(cqueues)

  local function run(text)
    return loops.run(cqueues, text)
  end

  it("an error in a coroutine is the controller's, and others go on", function()
    local report = run [[
      local woken = 0
      for index = 1, 4 do
        go(function()
          neap.sleep(0.01 * index)
          woken = woken + 1
          if index == 2 then error("what happened", 0) end
        end)
      end
      local messages = {}
      for message in controller:errors() do messages[#messages + 1] = message end
      report { woken = woken, messages = messages }
    ]]
    assert.equal(4, report.woken)
    assert.same({ "what happened" }, report.messages)
  end)

  it("a task may use cqueues' own waiting", function()
    local report = run [[
      local condition = require "cqueues.condition"
      local order, changed = {}, condition.new()
      go(function()
        neap.run(function()
          neap.spawn(function()
            changed:wait()
            order[#order + 1] = "signalled"
          end)
          local task = neap.spawn(function() cqueues.sleep(0.02) return "slept" end)
          order[#order + 1] = task:await()
          changed:signal()
        end)
        order[#order + 1] = "after"
      end)
      run()
      report { order = order }
    ]]
    assert.same({ "slept", "signalled", "after" }, report.order)
  end)

  it("a coroutine of the program's own inside of one blocks, and answers", function()
    local report = run [[
      local statuses, c = {}, client {}
      go(function()
        for status in coroutine.wrap(function()
          for _ = 1, 3 do coroutine.yield(assert(c:get("/status/200")).status) end
        end) do
          statuses[#statuses + 1] = status
        end
      end)
      run()
      report { statuses = statuses }
    ]]
    assert.same({ 200, 200, 200 }, report.statuses)
  end)

  describe("several controllers", function()
    it("may be nested", function()
      local seconds = calls.best_of(0.9, function()
        local report = run [[
          local c, ended, ticks, status = client {}, 0, 0, nil
          local function three(fn)
            local inner = cqueues.new()
            for _ = 1, 3 do inner:wrap(fn) end
            assert(inner:loop())
          end
          local function call()
            assert(c:get("/status/200?after=0.1"))
            ended = ended + 1
          end
          go(function() three(function() three(call) call() end) call() end)
          go(function() neap.sleep(0.2) status = c:get("/status/201").status end)
          tick(0.01, function() ticks = ticks + 1 return ended < 13 end)
          run()
          report { ended = ended, ticks = ticks, status = status, seconds = elapsed() }
        ]]
        assert.equal(13, report.ended)
        assert.equal(201, report.status)
        assert.is_true(report.ticks >= 10, report.ticks)
        return report.seconds
      end)
      assert.is_true(seconds < 0.9, seconds)
    end)

    it("may be stepped in turn", function()
      local seconds = calls.best_of(1, function()
        local report = run [[
          local c, ended = client {}, {}
          local controllers = { cqueues.new(), cqueues.new(), cqueues.new() }
          for index, each in ipairs(controllers) do
            each:wrap(function()
              for _ = 1, 3 do assert(c:get("/status/200?after=0.02")) end
              ended[#ended + 1] = index
            end)
          end
          while #ended < 3 and elapsed() < 5 do
            for _, each in ipairs(controllers) do assert(each:step(0.01)) end
          end
          local empty = 0
          for _, each in ipairs(controllers) do
            assert(each:loop())
            empty = empty + (each:empty() and 1 or 0)
          end
          report { ended = #ended, empty = empty, seconds = elapsed() }
        ]]
        assert.equal(3, report.ended)
        assert.equal(3, report.empty)
        return report.seconds
      end)
      assert.is_true(seconds < 1, seconds)
    end)

    it("that are dropped while calls wait take the calls with them", function()
      local report = run [[
        local c = client {}
        local dropped = cqueues.new()
        for _ = 1, 3 do dropped:wrap(function() c:get("/slow?headers=30") end) end
        assert(dropped:step(0.05))
        local before = c:stats().in_flight
        dropped:close()
        dropped = nil
        for _ = 1, 3 do collectgarbage() end
        local status
        go(function() status = assert(c:get("/status/200")).status end)
        run()
        report { before = before, after = c:stats().in_flight, status = status }
      ]]
      assert.same({ before = 3, after = 0, status = 200 }, report)
    end)
  end)
end)
