-- Calls on luv: they yield to libuv's loop, and leave nothing on it.
local loops = require "spec.support.loops"

local luv = {
  module = "neap.loop.luv",
  library = "luv",
  head = [[
    require "neap.loop.luv"
    local uv = require "luv"
    local function go(fn) coroutine.wrap(function() fn() end)() end
    local function run() uv.run() end
    local function tick(seconds, fn)
      local timer = uv.new_timer()
      timer:start(seconds * 1000, seconds * 1000, function()
        if not fn() then timer:close() end
      end)
    end
  ]],
}

describe("luv:", function()
  loops.behave(luv)

  local function run(text)
    return loops.run(luv, text)
  end

  describe("an alert", function()
    it("comes while nothing of neap waits", function()
      local report = run [[
        local told = {}
        local c = client { retry = false, alerts = { window = 0.1, min_calls = 1,
          notify = function(alert) told[#told + 1] = alert.state end } }
        go(function() c:get("/status/503") end)
        tick(0.01, function() return #told < 2 and elapsed() < 10 end)
        run()
        report { told = told }
      ]]
      assert.same({ "firing", "resolved" }, report.told)
    end)
  end)

  describe("a coroutine", function()
    it("that raises after a wait ends the program as an error of a callback does", function()
      local done, message = pcall(run, [[
        go(function()
          neap.sleep(0.01)
          local function culprit() error("what happened") end
          culprit()
        end)
        run()
        report {}
      ]])
      assert.is_false(done)
      assert.is_truthy(message:find("Uncaught Error", 1, true), message)
      assert.is_truthy(message:find("what happened", 1, true), message)
      assert.is_truthy(message:find("culprit", 1, true), message)
    end)

    it("that raises harms nobody else where the host of libuv survives it", function()
      local report = run [[
        -- Such a host, Neovim for one, tells of an error of a callback and goes on.
        local idle = getmetatable(uv.new_idle()).__index
        local start, raised, woken = idle.start, 0, 0
        function idle:start(fn)
          return start(self, function()
            local done = pcall(fn)
            raised = raised + (done and 0 or 1)
          end)
        end
        for index = 1, 10 do
          go(function()
            neap.sleep(0.01)
            woken = woken + 1
            if index % 2 == 0 then error {} end
          end)
        end
        run()
        report { woken = woken, raised = raised }
      ]]
      assert.same({ woken = 10, raised = 5 }, report)
    end)

    it("that is resumed by others while it waits goes on waiting", function()
      local report = run [[
        local status, began, resumed, ended = nil, neap.now(), 0, 0
        local co = coroutine.create(function()
          status = assert(client({}):get("/status/200?after=0.2")).status
          ended = neap.now() - began
          coroutine.yield()
          ended = -1
        end)
        assert(coroutine.resume(co))
        tick(0.01, function()
          if status then return false end
          assert(coroutine.resume(co))
          resumed = resumed + 1
          return true
        end)
        run()
        report { status = status, resumed = resumed, ended = ended }
      ]]
      assert.equal(200, report.status)
      assert.is_true(report.resumed > 3)
      assert.is_true(report.ended >= 0.2)
    end)

    it("is not resumed inside of one that closes its client", function()
      local report = run [[
        local c, order = client {}, {}
        for _ = 1, 2 do
          go(function()
            c:get("/slow?headers=30")
            order[#order + 1] = "call"
          end)
        end
        go(function()
          neap.sleep(0.02)
          c:close()
          order[#order + 1] = "closer"
        end)
        run()
        report { order = order }
      ]]
      assert.same({ "closer", "call", "call" }, report.order)
    end)

    it("that nobody holds is held while it waits", function()
      local report = run [[
        local ended = 0
        for _ = 1, 10 do
          go(function() assert(client({}):get("/status/200?after=0.1")) ended = ended + 1 end)
        end
        tick(0.005, function() collectgarbage() return ended < 10 end)
        run()
        report { ended = ended }
      ]]
      assert.equal(10, report.ended)
    end)

    local OWN_WAITING = [[
      local function sleep(ms)
        local co, timer = coroutine.running(), uv.new_timer()
        timer:start(ms, 0, function()
          timer:close()
          assert(coroutine.resume(co))
        end)
        coroutine.yield()
      end
      local order = {}
    ]]

    it("may use libuv's own waiting too", function()
      local report = run(OWN_WAITING .. [[
        go(function()
          sleep(10)
          order[#order + 1] = assert(client({}):get("/status/200?after=0.02")).status
          sleep(10)
          neap.sleep(0.01)
          order[#order + 1] = "after"
        end)
        run()
        report { order = order }
      ]])
      assert.same({ 200, "after" }, report.order)
    end)

    -- In PUC's Lua 5.1 coroutine.running, inside neap.run, is not who libuv would have to resume.
    if _VERSION ~= "Lua 5.1" or rawget(_G, "jit") then
      it("may do so in a task", function()
        local report = run(OWN_WAITING .. [[
          go(function()
            neap.run(function()
              neap.spawn(function() sleep(20) neap.sleep(0.02) order[#order + 1] = "task" end)
              sleep(10)
              order[#order + 1] = "main"
            end)
            sleep(10)
            order[#order + 1] = "after"
          end)
          run()
          report { order = order }
        ]])
        assert.same({ "main", "task", "after" }, report.order)
      end)
    end

    if coroutine.close then
      it("that is closed while it waits does not keep the loop", function()
        local report = run [[
          local co = coroutine.create(function() client({}):get("/slow?headers=30") end)
          coroutine.resume(co)
          tick(0.05, function() assert(coroutine.close(co)) return false end)
          run()
          report { seconds = elapsed() }
        ]]
        assert.is_true(report.seconds < 5, report.seconds)
      end)

      it("that is closed while it waits is forgotten, however busy the loop is", function()
        local report = run [[
          local closed = setmetatable({}, { __mode = "k" })
          for _ = 1, 10 do
            local co = coroutine.create(function() neap.sleep(30) end)
            coroutine.resume(co)
            coroutine.close(co)
            closed[co] = true
          end
          local began, held = neap.now(), nil
          tick(0.01, function()
            if neap.now() - began < 1.5 then return true end
            collectgarbage()
            collectgarbage()
            held = next(closed) ~= nil
          end)
          run()
          report { held = held }
        ]]
        assert.is_false(report.held)
      end)
    end
  end)

  describe("the handles", function()
    it("are made anew where the program has closed them", function()
      local report = run [[
        local statuses = {}
        local function close_all()
          uv.walk(function(handle)
            if not handle:is_closing() then handle:close() end
          end)
        end
        for index = 1, 3 do
          go(function() statuses[index] = assert(client({}):get("/status/200")).status end)
          run()
          close_all()
        end
        run() -- lets them be closed
        report { statuses = statuses, is_alive = uv.loop_alive() and true or false }
      ]]
      assert.same({ 200, 200, 200 }, report.statuses)
      assert.is_false(report.is_alive)
    end)

    it("work where the loop is run turn by turn", function()
      local report = run [[
        local status
        go(function() status = assert(client({}):get("/status/200?after=0.05")).status end)
        local turns = 0
        while not status do
          uv.run("once")
          turns = turns + 1
        end
        report { status = status, turns = turns }
      ]]
      assert.equal(200, report.status)
      assert.is_true(report.turns < 200, report.turns)
    end)
  end)
end)
