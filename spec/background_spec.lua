-- What runs in the background of an engine: beside all calls, for nobody who waits.
local host = require "neap.host"
local kit = require "spec.support.kit"
local calls = require "spec.support.calls"
local neap = require "neap"
local server = require "spec.support.server"
local testing = require "neap.testing"

describe("in a kit, what is begun in the background", function()
  local t, client

  before_each(function() t, client = kit.client { retry = { backoff = kit.waits_of(5) } } end)

  local function begin(fn)
    return host.background(client._engine, fn)
  end

  it("is begun at once", function()
    local order = {}
    t:run(function()
      assert.is_true(begin(function()
        order[#order + 1] = "background"
        neap.sleep(1)
        order[#order + 1] = "later"
      end))
      order[#order + 1] = "main"
      neap.sleep(2)
    end)
    assert.same({ "background", "main", "later" }, order)
  end)

  it("is not waited for by the run, and goes on in the next", function()
    local ended
    t:run(begin, function()
      neap.sleep(3)
      ended = neap.now()
    end)
    assert.equal(0, t:now())
    t:run(neap.sleep, 2)
    assert.is_nil(ended)
    t:run(neap.sleep, 2)
    assert.equal(3, ended)
  end)

  it("goes on while time is advanced", function()
    local moments = {}
    begin(function()
      for index = 1, 3 do
        neap.sleep(1)
        moments[index] = neap.now()
      end
    end)
    t:advance(2.5)
    assert.same({ 1, 2 }, moments)
    t:advance(1)
    assert.same({ 1, 2, 3 }, moments)
    assert.equal(3.5, t:now())
  end)

  it("is done when the run returns, as far as it needs no time", function()
    local res
    t:script { kit.OK }
    t:run(begin, function()
      neap.sleep(0)
      res = client:get("/")
      neap.sleep(0)
      res.seen = true
    end)
    assert.equal(200, res.status)
    assert.is_true(res.seen)
    assert.equal(0, t:now())
  end)

  it("that never rests does not hold up the end of a run", function()
    local rounds = 0
    t:run(begin, function()
      while rounds < 100000 do
        neap.sleep(0)
        rounds = rounds + 1
      end
    end)
    assert.is_true(rounds < 100000)
  end)

  it("goes through retries whose waits are over one run after the other", function()
    local res
    t:script { { status = 503 }, { status = 503 }, kit.OK }
    t:run(begin, function() res = client:get("/") end)
    assert.equal(1, #t.requests)
    t:run(neap.sleep, 5)
    assert.equal(2, #t.requests)
    t:advance(5)
    assert.equal(3, #t.requests)
    assert.equal(200, res.status)
  end)

  it("goes on beside a call that blocks", function()
    local res
    t:script { { status = 200, after = 1 }, { status = 200, after = 4 } }
    begin(function()
      res = client:get("/background")
      res.seen = neap.now()
    end)
    assert.equal(200, client:get("/").status)
    assert.equal(1, res.seen)
    assert.equal(4, t:now())
  end)

  it("may spawn, run and await", function()
    local ended = {}
    begin(function()
      local task = neap.spawn(function()
        neap.sleep(1)
        return "task"
      end)
      ended[1] = task:await()
      ended[2] = neap.all({ function() return neap.now() end })[1][2]
    end)
    t:advance(1)
    assert.same({ "task", 1 }, ended)
  end)

  it("troubles nobody by its errors, nor by those of its tasks", function()
    local after = 0
    t:run(function()
      assert.is_true(begin(error))
      begin(function()
        neap.spawn(error, "of a task")
        neap.sleep(1)
        error("late")
      end)
      neap.sleep(2)
      after = neap.now()
    end)
    assert.equal(2, after)
  end)

  it("that finds no entry in the script lets the run raise", function()
    assert.error_matches(function()
      t:run(begin, function() client:get("/x") end)
    end, "the script has no entry for GET https://api.example/x", 1, true)
    begin(function()
      neap.sleep(1)
      client:get("/y")
    end)
    assert.error_matches(function() t:advance(1) end, "no entry for GET https://api.example/y", 1,
      true)
    assert.is_nil(t:run(function() end))
  end)

  it("survives a run that fails", function()
    local ended
    assert.error_matches(function()
      t:run(function()
        begin(function()
          neap.sleep(1)
          ended = true
        end)
        error("enough", 0)
      end)
    end, "^enough$")
    t:advance(1)
    assert.is_true(ended)
  end)

  it("does not keep a run going that waits for nothing", function()
    assert.error_matches(function()
      t:run(function()
        begin(function() neap.sleep(1) end)
        coroutine.yield()
      end)
    end, "every task waits for something that cannot happen any more", 1, true)
  end)

  it("may begin more", function()
    local depth = 0
    local function deeper()
      depth = depth + 1
      if depth < 50 then
        begin(deeper)
      end
    end
    t:run(begin, deeper)
    assert.equal(50, depth)
  end)

  it("is dropped with its kit", function()
    local witness = setmetatable({}, { __mode = "k" })
    do
      local own, held = testing.new(), {}
      witness[held] = true
      host.background(own._engine, function()
        neap.sleep(1)
        held.used = own
      end)
    end
    if rawget(_G, "jit") then
      jit.flush()
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(witness))
  end)
end)

describe("in plain Lua, what is begun in the background", function()
  local s, client

  setup(function() s = server.start() end)
  teardown(function() s:stop() end)
  before_each(function()
    s:reset()
    client = calls.client { base_url = s.url }
    calls.answered(client:get("/status/200"))
    s:reset()
  end)
  after_each(function() client:close() end)

  local function begin(fn)
    return host.background(client._engine, fn)
  end

  it("has sent its request when it returns", function()
    local res
    assert.is_true(begin(function() res = client:get("/status/204") end))
    assert.is_truthy(s:settle(function(ledger) return ledger.requests == 1 end))
    assert.is_nil(res)
    calls.wait_for(function() return res end)
    assert.equal(204, res.status)
  end)

  it("goes on while another call blocks, its retries and functions too", function()
    local attempts
    local other = calls.client { base_url = s.url, retry = { when = function() return nil end } }
    local path = s:script("background", { "/status/503", "/status/503", "/status/200" })
    begin(function() attempts = other:get(path).attempts end)
    calls.answered(client:get("/status/200?after=0.3"))
    assert.equal(3, attempts)
    other:close()
  end)

  it("goes on while a sleep blocks", function()
    local moments = {}
    begin(function()
      for index = 1, 3 do
        neap.sleep(0.01)
        moments[index] = neap.now()
      end
    end)
    neap.sleep(0.1)
    assert.equal(3, #moments)
    assert.is_true(neap.now() - moments[3] > 0.02)
  end)

  it("costs the caller no time", function()
    local ended
    begin(function()
      client:get("/status/200?gate=background")
      ended = true
    end)
    neap.run(function() neap.sleep(0) end)
    assert.is_nil(ended)
    s:release("background")
    neap.run(function() calls.wait_for(function() return ended end) end)
  end)

  it("belongs to no run", function()
    local ended
    neap.run(begin, function()
      client:get("/status/200?after=0.1")
      ended = true
    end)
    assert.is_nil(ended)
    calls.wait_for(function() return ended end)
  end)

  it("may block where it cannot yield", function()
    local status
    begin(function()
      ("x"):gsub("x", function() status = client:get("/status/200?after=0.05").status end)
    end)
    assert.equal(200, status)
  end)
end)
