-- Calls that Lua has no part in are made by one function of the core, with what the last one left.
local calls = require "spec.support.calls"
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
end)
