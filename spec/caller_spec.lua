-- Calls that Lua has no part in are made by one function of the core, with what the last one left.
local calls = require "spec.support.calls"
local host = require "neap.host"
local neap = require "neap"
local server = require "spec.support.server"

local client, echo, answered, failed_as = calls.client, calls.echo, calls.answered, calls.failed_as

local s

setup(function()
  s = server.start()
end)

teardown(function()
  s:stop()
end)

local function api(policy)
  policy = policy or {}
  policy.base_url = policy.base_url or s.url
  return client(policy)
end

-- What is collected while fn runs calls `finalize`.
local function with_finalizer(finalize, fn)
  if rawget(_G, "newproxy") then
    getmetatable(newproxy(true)).__gc = finalize -- luacheck: ignore 113
  else
    setmetatable({}, { __gc = finalize })
  end
  local step = collectgarbage("setpause", 0)
  fn()
  collectgarbage()
  collectgarbage("setpause", step)
end

describe("a call that needs nothing of Lua", function()
  it("leaves the client usable where its request is misused", function()
    local c = api()
    for _ = 1, 3 do
      assert.matches("^request%.bdy: unknown key", calls.misuse(function()
        local res = c:get("/echo", { bdy = "x" })
        return res
      end))
      assert.matches("^request%.url: expected", calls.misuse(function()
        local res = c:request{ url = "ftp://x/" }
        return res
      end))
      assert.equal("/echo", echo(c:get("/echo")).path)
    end
  end)

  it("wants its client, as every method does", function()
    local c = api()
    for _, name in ipairs{ "get", "post", "request", "update", "on", "chaos", "breaker_for",
      "stats", "close" } do
      for _, wrong in ipairs{ {}, false } do
        assert.matches("^client: expected a client; its methods are called with a colon",
          calls.misuse(function()
            local res = c[name](wrong)
            return res
          end))
      end
    end
  end)

  it("does not disturb one that a finalizer makes meanwhile", function()
    local c, inner = api(), nil
    with_finalizer(function()
      inner = inner or c:get("/echo/inner")
    end, function()
      for index = 1, 50 do
        local path = "/echo/" .. index
        assert.equal(path, echo(c:get(path, { headers = { ["X-A"] = path } })).path)
      end
    end)
    assert.equal("/echo/inner", server.decode(answered(inner).body).path)
  end)

  it("keeps what its results hold apart from later calls", function()
    local c = api()
    local first = answered(c:get("/echo/1?header=X-A:one"))
    local second = answered(c:get("/status/404?header=X-A:two"))
    failed_as("reset", c:post("/reset"))
    assert.same({ "one", "two" }, { first.headers["x-a"], second.headers["x-a"] })
    assert.same({ 200, 404 }, { first.trace[1].status, second.trace[1].status })
    assert.equal("/echo/1?header=X-A:one", server.decode(first.body).path)
  end)

  it("is told to listeners that come later", function()
    local c, events = api(), {}
    answered(c:get("/echo"))
    c:on("done", function(event)
      events[#events + 1] = event.status
    end)
    answered(c:get("/status/201"))
    answered(c:get("/status/202"))
    assert.same({ 201, 202 }, events)
  end)

  it("ends as cancelled on a client that was closed", function()
    local c = api()
    answered(c:get("/echo"))
    c:close()
    failed_as("cancelled", c:get("/echo"))
  end)

  it("yields to other tasks inside of neap.run", function()
    local c, order = api(), {}
    answered(c:get("/echo"))
    neap.run(function()
      neap.spawn(function()
        answered(c:get("/slow?headers=0.2&body=0"))
        order[#order + 1] = "slow"
      end)
      answered(c:get("/echo"))
      order[#order + 1] = "fast"
    end)
    assert.same({ "fast", "slow" }, order)
  end)

  it("sends what JSON makes of a value", function()
    local c = api()
    assert.equal('{"a":1}', echo(c:post("/echo", { json = { a = 1 } })).body)
  end)
end)

describe("such a call in a task", function()
  -- What `fn` returns while another task collects garbage again and again.
  local function beside_a_collector(fn, ...)
    local over = false
    return neap.run(function(...)
      neap.spawn(function()
        while not over do
          collectgarbage()
          neap.sleep(0)
        end
      end)
      local function done(...)
        over = true
        return ...
      end
      return done(fn(...))
    end, ...)
  end

  it("keeps the body that the program lets go of", function()
    local c = api()
    for index = 1, 3 do
      local body = ("x"):rep(5000) .. index
      local request = { method = "POST", path = "/echo", body = body .. "y" }
      local answers = beside_a_collector(function()
        local task = neap.spawn(function() return c:request(request) end)
        neap.spawn(function() request.body = nil end)
        return echo(task:await())
      end)
      assert.equal(body .. "y", answers.body)
      assert.equal("a=" .. index, beside_a_collector(function()
        return echo(c:post("/echo", { form = { a = index } })).body
      end))
      assert.equal("", beside_a_collector(function() return echo(c:get("/echo")).body end))
    end
  end)

  it("raises at the caller's line where its request is misused", function()
    local c = api()
    neap.run(function()
      for _ = 1, 3 do
        assert.matches("^request%.bdy: unknown key", calls.misuse(function()
          local res = c:get("/echo", { bdy = "x" })
          return res
        end))
        assert.equal("/echo", echo(c:get("/echo")).path)
      end
    end)
  end)

  it("may be all that the task does", function()
    local c = api()
    assert.equal("/echo/alone", echo(neap.run(c.get, c, "/echo/alone")).path)
    assert.error_matches(function()
      neap.run(c.get, c, "/echo", { bdy = "x" })
    end, "^request%.bdy: unknown key")
  end)

  it("is as before while somebody begins to listen, who hears of the next one", function()
    local c, told = api(), {}
    neap.run(function()
      local task = neap.spawn(function() return c:get("/slow?headers=0.1") end)
      neap.sleep(0.02)
      c:on("done", function(event) told[#told + 1] = event end)
      assert.equal(200, answered(task:await()).status)
      assert.equal("/echo", echo(c:get("/echo")).path)
    end)
    assert.equal(1, #told)
    assert.equal("/echo", told[1].path)
  end)

  it("blocks where the code that runs cannot yield", function()
    local c = api()
    neap.run(function()
      local inner = coroutine.wrap(function() return echo(c:get("/echo/a")).path end)
      assert.equal("/echo/a", inner())
      assert.equal("/echo/b", (("x"):gsub("x", function() return echo(c:get("/echo/b")).path end)))
      assert.equal("/echo/c", echo(c:get("/echo/c")).path)
    end)
  end)

  it("fails as any other", function()
    local c = api{ retry = false }
    neap.run(function()
      for _ = 1, 3 do
        failed_as("reset", c:get("/reset"))
        assert.equal("/echo", echo(c:get("/echo")).path)
      end
    end)
  end)

  it("goes on waiting where a stranger resumes its coroutine", function()
    local c = api()
    neap.run(function()
      local waiting
      local task = neap.spawn(function()
        waiting = coroutine.running()
        return answered(c:get("/slow?headers=0.1&body=0")).status, neap.now()
      end)
      neap.sleep(0.02)
      local began = neap.now()
      for _ = 1, 3 do
        assert.is_true((coroutine.resume(waiting, "a", "b")))
        assert.equal("suspended", coroutine.status(waiting))
      end
      local status, ended = task:await()
      assert.equal(200, status)
      assert.is_true(ended - began > 0.05)
    end)
  end)

  it("is given up where the run ends by an error", function()
    local c = api{ bulkhead = { max_concurrent = 1, max_wait = 5 } }
    local waiting
    assert.error_matches(function()
      neap.run(function()
        neap.spawn(function()
          waiting = coroutine.running()
          c:get("/slow?headers=5")
        end)
        neap.spawn(c.get, c, "/echo")
        neap.sleep(0.02)
        error("enough", 0)
      end)
    end, "^enough$")
    assert.equal(0, c:stats().in_flight)
    assert.is_true((coroutine.resume(waiting)))
    assert.equal("suspended", coroutine.status(waiting))
    assert.equal("/echo", echo(c:get("/echo")).path)
  end)

  it("ends as cancelled where another task closes its client", function()
    local c = api()
    neap.run(function()
      local task = neap.spawn(c.get, c, "/slow?headers=5")
      neap.sleep(0.02)
      c:close()
      failed_as("cancelled", task:await())
    end)
  end)

  it("waits for its own run, whatever runs in another one meanwhile", function()
    local c, order = api(), {}
    local function note(path, ...)
      answered(c:get(path))
      order[#order + 1] = path
      return ...
    end
    neap.run(function()
      local outer = neap.spawn(note, "/slow?headers=0.03&body=0", "ended")
      neap.sleep(0)
      coroutine.wrap(function()
        neap.run(function()
          local inner = neap.spawn(note, "/echo/inner")
          neap.sleep(0.05)
          inner:await()
          note("/echo/last")
        end)
      end)()
      assert.equal("ended", outer:await())
    end)
    assert.same({ "/echo/inner", "/echo/last", "/slow?headers=0.03&body=0" }, order)
  end)

  it("leaves the other tasks their turns", function()
    local c, calls_made, moments = api(), 0, {}
    neap.run(function()
      local caller = neap.spawn(function()
        while #moments < 3 do
          answered(c:get("/echo"))
          calls_made = calls_made + 1
        end
      end)
      for index = 1, 3 do
        neap.sleep(0.01)
        moments[index] = calls_made
      end
      caller:await()
    end)
    assert.is_true(moments[3] > 0)
  end)

  local it_can_close = coroutine.close and it or function() end -- luacheck: ignore 143

  -- The call of a task whose coroutine is closed, and collected, after so many seconds.
  local function assert_ends_closed(c, after, make_call)
    local waiting
    local done, message = pcall(neap.run, function()
      local task = neap.spawn(function()
        waiting = coroutine.running()
        return make_call()
      end)
      neap.sleep(after)
      assert.equal(1, c:stats().in_flight)
      coroutine.close(waiting) -- luacheck: ignore 143
      collectgarbage()
      collectgarbage()
      task:await()
    end)
    assert.is_false(done)
    assert.matches("cannot resume dead coroutine", message)
    assert.equal(0, c:stats().in_flight)
  end

  it_can_close("ends the run where its coroutine was closed", function()
    local c = api()
    assert_ends_closed(c, 0.02, function() return c:get("/slow?headers=0.1") end)
    assert.equal("/echo", echo(c:get("/echo")).path)
  end)

  it_can_close("keeps its body until it is over where its coroutine was closed", function()
    local c = api()
    assert_ends_closed(c, 0, function()
      return c:post("/echo", { body = ("x"):rep(32 * 1024 * 1024) })
    end)
  end)

  it("is made in the background too", function()
    local c, statuses = api(), {}
    host.background(c._engine, function()
      for index = 1, 2 do
        statuses[index] = answered(c:get("/slow?headers=0.02&body=0")).status
      end
    end)
    assert.equal(200, answered(c:get("/slow?headers=0.3&body=0")).status)
    assert.same({ 200, 200 }, statuses)
  end)
end)
