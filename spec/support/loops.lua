--- What calls do on each loop that is not neap's own: programs that run in interpreters of their
--- own, so that the loop stays out of the process of the specs.
local assert = require "luassert"
local busted = require "busted"
local calls = require "spec.support.calls"
local server = require "spec.support.server"
local stores = require "spec.support.stores"

local describe, it = busted.describe, busted.it

local loops = {}

-- Each program begins so, and then has what is the loop's: `go(fn)` runs fn in a coroutine, `run()`
-- runs the loop until nothing is left, `tick(seconds, fn)` calls fn again and again until it
-- returns false.
local HEAD = [[
  local url, path = ...
  local neap = require "neap"
  local made = 0
  local function client(policy)
    made = made + 1
    policy.name, policy.base_url = "c" .. made, policy.base_url or url
    for key, value in pairs { breaker = false, gate = false } do
      if policy[key] == nil then policy[key] = value end
    end
    if policy.retry ~= false then
      policy.retry = policy.retry or {}
      policy.retry.backoff = policy.retry.backoff or { kind = "fixed", base = 0.1, jitter = "none" }
    end
    return neap.client(policy)
  end
  local began = neap.now()
  local function elapsed() return neap.now() - began end
  local function report(figures) print(require("cjson").encode(figures)) end
]]

local s

--- What a program of the loop reports.
---@param loop { module: string, library: string, head: string }
---@param text string
---@param path? string of a script of the server
---@return table
function loops.run(loop, text, path)
  local head = ("local LOOP = %q"):format(loop.module) .. HEAD .. loop.head
  return calls.child(nil, head .. text, s.url, path or "/")
end

-- A machine that is busy elsewhere may be slow once.
local function fast(limit, program)
  local report
  for _ = 1, 3 do
    report = program()
    if report.seconds < limit then
      return report
    end
  end
  error(("%s s instead of less than %s s"):format(report.seconds, limit))
end

--- The specs that hold on each loop. Also those beside them may use loops.run.
function loops.behave(loop)
  local function run(text, path)
    return loops.run(loop, text, path)
  end

  busted.setup(function() s = server.start() end)
  busted.teardown(function() s:stop() end)
  busted.before_each(function() s:reset() end)

  describe("a call in a coroutine", function()
    it("lets the loop go on meanwhile", function()
      local report = run [[
        local status, ticks = nil, 0
        go(function() status = client({}):get("/status/200?after=0.3").status end)
        tick(0.01, function()
          ticks = ticks + 1
          return not status
        end)
        run()
        report { status = status, ticks = ticks }
      ]]
      assert.equal(200, report.status)
      assert.is_true(report.ticks >= 10, report.ticks)
    end)

    it("waits side by side with a hundred others", function()
      local report = fast(1, function()
        return run [[
          local c, ok = client { pool = { max_connections = 100, per_host = 100 } }, 0
          for _ = 1, 100 do
            go(function()
              if assert(c:get("/status/200?after=0.3")).ok then ok = ok + 1 end
            end)
          end
          run()
          report { ok = ok, seconds = elapsed() }
        ]]
      end)
      assert.equal(100, report.ok)
      assert.is_true(report.seconds >= 0.3)
    end)

    it("ends by its timeouts", function()
      local report = fast(1, function()
        return run [[
          local kinds = {}
          go(function()
            local _, err = client { timeout = { total = 0.1 } }:get("/slow?headers=30")
            kinds[1] = err.kind .. "/" .. err.phase
          end)
          go(function()
            local _, err = client { timeout = { read = 0.15 }, retry = false }:get("/slow?body=30")
            kinds[2] = err.kind .. "/" .. err.phase
          end)
          run()
          report { kinds = kinds, seconds = elapsed() }
        ]]
      end)
      assert.same({ "timeout/total", "timeout/read" }, report.kinds)
      assert.is_true(report.seconds >= 0.15)
    end)

    it("yields in the waits between its attempts, which a sleep of another does not hold up",
      function()
        local report = fast(0.8, function()
          return run([[
            local res
            go(function() res = assert(client({}):get(path)) end)
            go(function() neap.sleep(0.3) end)
            run()
            report { attempts = res.attempts, seconds = elapsed() }
          ]], s:script("retry", { "/status/503", "/status/503", "/status/200" }))
        end)
        assert.equal(3, report.attempts)
        assert.is_true(report.seconds >= 0.3)
      end)

    it("yields while it waits for a bulkhead, a rate limit or a gate", function()
      local path = s:script("gate", { "/status/503?header=Retry-After:1", "/status/200 *" })
      local report = run([[
        local bulkhead = client { bulkhead = { max_concurrent = 1, max_wait = 9 } }
        local limit = client { rate_limit = { rate = 10, burst = 1, max_wait = 9 } }
        local gate = client { gate = {}, retry = { max_attempts = 1 } }
        local ended = {}
        local function call(c, target, name)
          go(function()
            local res, err = c:get(target)
            ended[#ended + 1] = { name, res and res.status or err.kind, elapsed() }
          end)
        end
        for _ = 1, 3 do
          call(bulkhead, "/status/200?after=0.1", "bulkhead")
          call(limit, "/status/200", "rate_limit")
        end
        call(gate, path, "gate")
        go(function() neap.sleep(0.2) call(gate, path, "gate") end)
        local ticks = 0
        tick(0.01, function() ticks = ticks + 1 return #ended < 8 end)
        run()
        report { ended = ended, ticks = ticks }
      ]], path)
      local last = {}
      for _, entry in ipairs(report.ended) do
        last[entry[1]] = entry
      end
      assert.equal(8, #report.ended)
      assert.equal(200, last.bulkhead[2])
      assert.is_true(last.bulkhead[3] >= 0.3)
      assert.equal(200, last.rate_limit[2])
      assert.is_true(last.rate_limit[3] >= 0.2)
      assert.equal(200, last.gate[2])
      assert.is_true(last.gate[3] >= 1)
      assert.is_true(report.ticks >= 20, report.ticks)
    end)

    it("ends at once when its client is closed", function()
      local report = fast(0.8, function()
        return run [[
          local c, kinds = client { bulkhead = { max_concurrent = 1, max_wait = 9 } }, {}
          for index = 1, 3 do
            go(function() kinds[index] = select(2, c:get("/slow?headers=30")).kind end)
          end
          go(function() neap.sleep(0.1) c:close() end)
          run()
          report { kinds = kinds, seconds = elapsed() }
        ]]
      end)
      assert.same({ "cancelled", "cancelled", "cancelled" }, report.kinds)
    end)

    it("leaves its place to the next one at once where a function of the policy raises", function()
      local report = fast(0.7, function()
        return run [[
          local sleep = neap.wrap({
            name = "w", bulkhead = { max_concurrent = 1, max_wait = 9 },
            breaker = { failure = function() error("sorry") end },
          }, neap.sleep)
          local raised = {}
          for index = 1, 2 do
            go(function() raised[index] = not pcall(sleep, 0.1) end)
          end
          run()
          report { raised = raised, seconds = elapsed() }
        ]]
      end)
      assert.same({ true, true }, report.raised)
    end)

    it("may have functions that wait", function()
      local report = fast(0.45, function()
        return run [[
          local function wait(value) neap.sleep(0.1) return value end
          local wrapped = neap.wrap({ name = "w" }, wait)
          local falling = client {
            base_url = "http://127.0.0.1:1", retry = false,
            fallback = { function() return wait { status = 203 } end },
          }
          local sum, statuses = 0, {}
          for index = 1, 10 do
            go(function()
              local value = wrapped(index)
              sum = sum + value
            end)
            go(function() statuses[index] = assert(falling:get("/")).status end)
          end
          run()
          report { sum = sum, statuses = statuses, seconds = elapsed() }
        ]]
      end)
      assert.equal(55, report.sum)
      assert.same({ 203, 203, 203, 203, 203, 203, 203, 203, 203, 203 }, report.statuses)
    end)

    it("blocks inside a C function, and answers", function()
      local report = run [[
        local c, status = client {}, nil
        go(function()
          ("x"):gsub("x", function() status = assert(c:get("/status/204")).status end)
        end)
        run()
        report { status = status }
      ]]
      assert.equal(204, report.status)
    end)
  end)

  describe("a step of a store in a coroutine", function()
    local STORE = [[
      local store, host = require "neap.store", require "neap.host"
      local path = path
      local stores = require "spec.support.stores"
      local st = assert(require("neap.store.sqlite").new{ path = path, busy_timeout = 20 })
      local function perform(op, key)
        return store.perform(st, host.engine(), op,
          { key = key, value = "v" .. key, until_time = os.time() + 60 })
      end
    ]]

    local function run_with_file(text)
      local path, remove = stores.scratch()
      local done, report = pcall(run, STORE .. text, path)
      remove()
      return done and report or error(report, 0)
    end

    local it_locked = stores.lacks() and busted.pending or it
    it_locked("lets the loop go on while the file is locked", function()
      local report = run_with_file [[
        perform("put", "first")
        local lock = stores.lock(path)
        local ticks, during, stored = 0, nil, 0
        for index = 1, 3 do
          go(function()
            assert(perform("put", "k" .. index))
            during = during or ticks
            stored = stored + 1
          end)
        end
        tick(0.001, function()
          ticks = ticks + 1
          if ticks == 50 then lock:release() end
          return ticks < 50
        end)
        run()
        report { during = during, stored = stored, first = perform("get", "first") }
      ]]
      assert.same({ during = 50, stored = 3, first = "vfirst" }, report)
    end)

    local it_stored = stores.lacks_sqlite() and busted.pending or it
    it_stored("ends where hundreds wait side by side, and the loop ends after them", function()
      local report = run_with_file [[
        local found = 0
        for index = 1, 300 do
          go(function()
            assert(perform("put", "k" .. index))
            neap.sleep(0)
            if perform("get", "k" .. index) == "vk" .. index then found = found + 1 end
          end)
        end
        run()
        report { found = found }
      ]]
      assert.equal(300, report.found)
    end)
  end)

  describe("neap.sleep in a coroutine", function()
    it("lets thousands wait side by side", function()
      local report = fast(2, function()
        return run [[
          local woken = 0
          for _ = 1, 5000 do
            go(function()
              for _ = 1, 3 do neap.sleep(0.1) end
              woken = woken + 1
            end)
          end
          run()
          report { woken = woken, seconds = elapsed() }
        ]]
      end)
      assert.equal(5000, report.woken)
      assert.is_true(report.seconds >= 0.3)
    end)

    it("of nothing, again and again, lets others go on", function()
      local report = run [[
        local ticks, rounds = 0, 0
        go(function()
          while ticks < 5 do
            neap.sleep(0)
            rounds = rounds + 1
          end
        end)
        tick(0.01, function() ticks = ticks + 1 return ticks < 5 end)
        run()
        report { ticks = ticks, rounds = rounds }
      ]]
      assert.equal(5, report.ticks)
      assert.is_true(report.rounds >= 5)
    end)
  end)

  describe("neap.run in a coroutine", function()
    it("runs its tasks side by side, beside the loop", function()
      local report = fast(0.4, function()
        return run [[
          local order, ticks, results, all = {}, 0, nil, nil
          go(function()
            results = { neap.run(function(...)
              local task = neap.spawn(function() neap.sleep(0.1) return "task" end)
              for index = 1, 3 do
                neap.spawn(function() neap.sleep(0.1) order[#order + 1] = index end)
              end
              order[#order + 1] = "main"
              return task:await(), ...
            end, "argument") }
            all = neap.all { function() return 1 end, function() error("x", 0) end }
          end)
          tick(0.01, function() ticks = ticks + 1 return not all end)
          run()
          report { order = order, results = results, all = all, ticks = ticks, seconds = elapsed() }
        ]]
      end)
      assert.same({ "main", 1, 2, 3 }, report.order)
      assert.same({ "task", "argument" }, report.results)
      assert.same({ { true, 1 }, { false, "x" } }, report.all)
      assert.is_true(report.ticks >= 3, report.ticks)
    end)

    it("raises what was raised in it or in a task that nobody awaited", function()
      local report = run [[
        local compat = require "neap.compat"
        local messages = {}
        local function note(fn)
          go(function()
            neap.sleep(0) -- compat.pcall, in PUC's Lua 5.1, hides from cqueues who calls it
            local done, message = compat.pcall(neap.run, fn)
            messages[#messages + 1] = not done and message or nil
          end)
          run()
        end
        note(function() neap.sleep(0.01) error("main", 0) end)
        note(function() neap.spawn(function() neap.sleep(0.01) error("task", 0) end) end)
        note(function()
          local task = neap.spawn(function() neap.sleep(0.01) error("awaited", 0) end)
          task:await()
        end)
        report { messages = messages }
      ]]
      assert.same({ "main", "task", "awaited" }, report.messages)
    end)

    it("that fails gives up what its tasks do, and nothing is left", function()
      local report = fast(1, function()
        return run [[
          local compat = require "neap.compat"
          local c, ended = client { bulkhead = { max_concurrent = 1, max_wait = 9 } }, 0
          local function never()
            c:get("/slow?headers=30")
            ended = ended + 1
          end
          local done
          go(function()
            neap.sleep(0) -- compat.pcall, in PUC's Lua 5.1, hides from cqueues who calls it
            done = compat.pcall(neap.run, function()
              neap.spawn(never)
              neap.spawn(never)
              local task = neap.spawn(neap.sleep, 30)
              neap.spawn(function() task:await() ended = ended + 1 end)
              neap.spawn(function() compat.pcall(never) ended = ended + 1 end)
              neap.sleep(0.1)
              neap.spawn(function() ended = ended + 1 end)
              error("enough")
            end)
          end)
          run()
          local answered = assert(c:get("/status/200")).status
          report { done = done, ended = ended, in_flight = c:stats().in_flight,
            answered = answered, seconds = elapsed() }
        ]]
      end)
      assert.is_false(report.done)
      assert.equal(0, report.ended)
      assert.equal(0, report.in_flight)
      assert.equal(200, report.answered)
    end)

    it("that fails leaves its places to others at once", function()
      local report = fast(0.7, function()
        return run [[
          local sleep = neap.wrap({
            name = "w", breaker = false, bulkhead = { max_concurrent = 1, max_wait = 9 },
          }, neap.sleep)
          local slept
          go(function()
            pcall(neap.run, function()
              neap.spawn(sleep, 30)
              neap.sleep(0.1)
              error("enough")
            end)
          end)
          go(function()
            neap.sleep(0.05)
            slept = pcall(sleep, 0.05)
          end)
          run()
          report { slept = slept, seconds = elapsed() }
        ]]
      end)
      assert.is_true(report.slept)
    end)
  end)

  describe("the loop", function()
    it("rests while all wait", function()
      local report = run [[
        for _ = 1, 10 do
          go(function() assert(client({}):get("/status/200?after=0.5")) end)
          go(function() neap.sleep(0.6) end)
        end
        local before, busy
        go(function()
          neap.sleep(0.1)
          before = os.clock()
          neap.sleep(0.3)
          busy = os.clock() - before
        end)
        run()
        report { busy = busy }
      ]]
      assert.is_true(report.busy < 0.05, report.busy)
    end)

    it("ends after the last call", function()
      local report = run [[
        local ends = {}
        for round = 1, 3 do
          local ended
          for index = 1, round do
            go(function()
              for _ = 1, 3 do assert(client({}):get("/status/200")) end
              neap.sleep(0.01)
              ended = neap.now()
            end)
          end
          run()
          ends[round] = neap.now() - ended
        end
        report { ends = ends }
      ]]
      for _, seconds in ipairs(report.ends) do
        assert.is_true(seconds < 0.2, seconds)
      end
    end)

    it("opens no descriptors from call to call", function()
      local report = run [[
        local lfs = require "lfs"
        local function descriptors()
          local count = 0
          for _ in lfs.dir("/proc/self/fd") do count = count + 1 end
          return count
        end
        local c, ok = client { pool = { per_host = 10 } }, 0
        local function calls(count)
          for _ = 1, 10 do
            go(function()
              for _ = 1, count do
                if assert(c:get("/status/200")).ok then ok = ok + 1 end
              end
            end)
          end
          run()
        end
        calls(1)
        local before = descriptors()
        calls(100)
        report { ok = ok, before = before, after = descriptors() }
      ]]
      assert.equal(1010, report.ok)
      assert.is_true(report.after <= report.before, report.after .. " > " .. report.before)
    end)
  end)

  describe("identical calls of coroutines", function()
    it("are one request", function()
      local report = run [[
        local c, ok = client { coalesce = true }, 0
        for _ = 1, 20 do
          go(function()
            local res = c:get("/status/200?after=0.2")
            ok = ok + (res.ok and 1 or 0)
          end)
        end
        run()
        local stats = c:stats()
        report { ok = ok, attempts = stats.attempts, coalesced = stats.coalesced }
      ]]
      assert.same({ ok = 20, attempts = 1, coalesced = 19 }, report)
    end)

    it("outlive the first one, whose time is over or whose function raises", function()
      local report = fast(2, function()
        return run [[
          local raised = 0
          local c = client { coalesce = true, retry = false, breaker = { failure = function()
            raised = raised + 1
            if raised == 2 then error("broken") end
          end } }
          local results = {}
          local function get(name, timeout)
            go(function()
              local done, res, err = require("neap.compat").pcall(c.get, c,
                "/status/200?after=0.2", { timeout = timeout })
              results[name] = not done and "raised" or err and err.kind or res.status
            end)
          end
          get("hasty", { total = 0.1 })
          go(function()
            neap.sleep(0.05) -- later ones have more time
            get("b", { total = 10 })
            get("c", { total = 20 })
            get("d", { total = 10 })
          end)
          run()
          report { results = results, seconds = elapsed() }
        ]]
      end)
      local results = report.results
      local last = { tostring(results.b), tostring(results.c), tostring(results.d) }
      table.sort(last) -- whichever went on and raised
      assert.equal("timeout", results.hasty)
      assert.same({ "200", "200", "raised" }, last)
    end)
  end)

  describe("an outbox", function()
    it("takes and delivers in coroutines, side by side, and the loop goes on", function()
      local path, remove = stores.scratch()
      local report = loops.run(loop, [[
        local ticks, delivered = 0, nil
        local outbox = require("neap.outbox").new{
          store = assert(require("neap.store.sqlite").new{ path = path }),
          client = client { timeout = { total = 10 } },
        }
        go(function()
          for _ = 1, 6 do
            assert(outbox:put{ method = "POST", path = "/status/200?after=0.2" })
          end
          delivered = assert(outbox:drain{ concurrency = 3 }).delivered
        end)
        tick(0.01, function()
          ticks = ticks + 1
          return not delivered
        end)
        run()
        report { delivered = delivered, ticks = ticks, size = outbox:size() }
      ]], path)
      remove()
      assert.equal(6, report.delivered)
      assert.equal(0, report.size)
      assert.is_true(report.ticks >= 10, report.ticks)
      assert.is_true(s:settle().max_in_flight == 3)
    end)
  end)

  describe("what is begun in the background", function()
    it("runs beside who began it, and the loop waits for its end", function()
      local report = fast(0.8, function()
        return run [[
          local host = require "neap.host"
          local c, order = client {}, {}
          go(function()
            assert(host.background(c._engine, function()
              local tasks = neap.all {
                function() return c:get("/status/200?after=0.2").status end,
                function() neap.sleep(0.2) return "slept" end,
              }
              order[#order + 1] = tasks[1][2]
              order[#order + 1] = tasks[2][2]
            end))
            order[#order + 1] = "begun"
            order[#order + 1] = c:get("/status/201").status
          end)
          run()
          report { order = order, seconds = elapsed() }
        ]]
      end)
      assert.same({ "begun", 201, 200, "slept" }, report.order)
    end)

    it("troubles nobody by its errors", function()
      local report = run [[
        local host = require "neap.host"
        local c, ended = client {}, 0
        go(function()
          host.background(c._engine, error)
          host.background(c._engine, function() neap.sleep(0.01) error {} end)
          host.background(c._engine, function()
            neap.run(function() neap.spawn(error, "of a task") end)
          end)
          neap.sleep(0.05)
          ended = c:get("/status/200").status
        end)
        run()
        report { ended = ended }
      ]]
      assert.equal(200, report.ended)
    end)

    it("of the main chunk goes on when the loop or a call does", function()
      local report = run [[
        local host = require "neap.host"
        local c, status = client {}, nil
        assert(host.background(c._engine, function() status = c:get("/status/204").status end))
        run()
        for _ = 1, 100 do
          if status then break end
          neap.sleep(0.02)
        end
        report { status = status }
      ]]
      assert.equal(204, report.status)
    end)
  end)

  describe("an alert", function()
    it("begins and ends while something of neap waits, and may be told over the network", function()
      local report = run [[
        local told, hook = {}, client {}
        local c = client { retry = false, alerts = { window = 0.1, min_calls = 1,
          notify = function(alert)
            local status = hook:post("/status/204").status
            told[#told + 1] = ("%s %s %d"):format(alert.alert, alert.state, status)
          end } }
        go(function()
          c:get("/status/503")
          neap.sleep(0.4)
        end)
        run()
        report { told = told }
      ]]
      assert.same({ "error_rate firing 204", "error_rate resolved 204" }, report.told)
    end)

    it("goes on under another policy, and without alerts in it no more", function()
      local report = run [[
        local told = {}
        local function policy(name, has_alerts)
          return { name = name, base_url = url, retry = false, breaker = false,
            alerts = has_alerts and { window = 0.1, min_calls = 1,
              notify = function(alert) told[#told + 1] = name .. " " .. alert.state end } or nil }
        end
        go(function()
          for _, name in ipairs { "kept", "dropped" } do
            local c = neap.client(policy(name, true))
            c:get("/status/503")
            c:update(policy(name, name == "kept"))
            neap.sleep(0.4)
          end
        end)
        run()
        report { told = told }
      ]]
      assert.same({ "kept firing", "kept resolved" }, report.told)
    end)

    it("that may still come does not keep the loop", function()
      local report = fast(1, function()
        return run [[
          local c = client { retry = false, alerts = { window = 5, min_calls = 1 } }
          go(function() c:get("/status/503") end)
          run()
          report { seconds = elapsed() }
        ]]
      end)
      assert.is_true(report.seconds < 1)
    end)
  end)

  describe("a call in the main chunk", function()
    it("blocks, and whoever is parked meanwhile is woken afterwards", function()
      local report = fast(0.6, function()
        return run([[
          local c, ended = client { timeout = { total = 9 } }, {}
          go(function() ended[1] = c:get("/status/200?after=0.1").status end)
          go(function() ended[2] = c:get(path).attempts end)
          go(function() neap.sleep(0.1) ended[3] = true end)
          local before = elapsed()
          local status = assert(client({}):get("/status/201?after=0.3")).status
          local blocked, during = elapsed() - before, #ended
          run()
          report { status = status, blocked = blocked, during = during, ended = ended,
            seconds = elapsed() }
        ]], s:script("between", { "/status/503", "/status/200" }))
      end)
      assert.equal(201, report.status)
      assert.is_true(report.blocked >= 0.3)
      assert.equal(0, report.during)
      assert.same({ 200, 2, true }, report.ended)
    end)

    it("may be a neap.run of its own, in which coroutines block", function()
      local report = fast(0.8, function()
        return run [[
          local c, parked = client {}, nil
          go(function() parked = c:get("/status/200?after=0.1").status end)
          local all = neap.all {
            function() return c:get("/status/201?after=0.1").status end,
            function() neap.sleep(0.05) return "slept" end,
            function()
              return coroutine.wrap(function()
                coroutine.yield(c:get("/status/202").status)
              end)()
            end,
          }
          local during = parked == nil
          run()
          report { all = all, parked = parked, during = during, seconds = elapsed() }
        ]]
      end)
      assert.same({ { true, 201 }, { true, "slept" }, { true, 202 } }, report.all)
      assert.is_true(report.during)
      assert.equal(200, report.parked)
    end)
  end)

  describe("putting a loop in place", function()
    it("twice is harmless; another one is refused while calls wait, and works afterwards",
      function()
        local report = run [[
          local host = require "neap.host"
          local same = require(LOOP)
          local other = setmetatable({}, { __index = same })
          local done, message, slept
          go(function() neap.sleep(0.05) slept = true end)
          go(function()
            neap.sleep(0.01)
            host.use(same)
            done, message = pcall(host.use, other)
          end)
          run()
          local refused = { done, message }
          host.use(other)
          report { refused = refused, slept = slept }
        ]]
        assert.same({ false, "neap cannot change its loop while calls are waiting on another one" },
          report.refused)
        assert.is_true(report.slept)
      end)

    it("says which library is missing", function()
      local report = calls.child(nil, [[
        local module, library = ...
        package.preload[library] = function() error("no such thing") end
        local done, message = pcall(require, module)
        print(require("cjson").encode { done = done, message = message })
      ]], loop.module, loop.library)
      assert.is_false(report.done)
      assert.is_truthy(report.message:find(("%s needs %s (luarocks: %s, Debian: lua-%s): "):format(
        loop.module, loop.library, loop.library, loop.library), 1, true), report.message)
    end)
  end)
end

return loops
