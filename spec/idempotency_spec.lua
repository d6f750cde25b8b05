-- The serving side of idempotency, on a testing kit's clock and with each kind of store.
local neap = require "neap"
local idempotency = require "neap.idempotency"
local memory = require "neap.store.memory"
local testing = require "neap.testing"

local function request(fields)
  local req = {
    method = "POST",
    path = "/payments?tenant=1",
    headers = { ["Idempotency-Key"] = "k-1" },
    body = '{"amount":5}',
  }
  for key, value in pairs(fields or {}) do
    req[key] = value
  end
  return req
end

local function keyed(key)
  return request{ headers = { ["Idempotency-Key"] = key } }
end

describe("a guard", function()
  local t, st, runs

  before_each(function()
    t = testing.new{ seed = 3 }
    st = memory.new()
    runs = 0
  end)

  local function pay()
    runs = runs + 1
    return {
      status = 201,
      headers = { { "X-First", "1" }, { "Set-Cookie", "a=1" }, { "x-last", "2" },
        { "Set-Cookie", "b=2" } },
      body = "paid\0" .. runs,
    }
  end

  local function new(options)
    options = options or {}
    options.store = st
    options.env = t.env
    return idempotency.new(options)
  end

  it("runs the handler once and replays its answer byte for byte", function()
    local guard = new()
    local first, later = guard:handle(request(), pay), guard:handle(request(), pay)
    assert.equal(1, runs)
    assert.equal(201, later.status)
    assert.equal("paid\0001", later.body)
    assert.equal(first.body, later.body)
    assert.is_nil(first.headers["Idempotent-Replayed"])
    assert.equal("true", later.headers["idempotent-replayed"])
    assert.same({ "a=1", "b=2" }, later.headers["set-cookie"])
    assert.same({ "X-First", "1" }, later.raw_headers[1])
    assert.same({ "Set-Cookie", "a=1" }, later.raw_headers[2])
    assert.same({ "x-last", "2" }, later.raw_headers[3])
    assert.same({ "Set-Cookie", "b=2" }, later.raw_headers[4])
  end)

  for name, body in pairs{ ["no bytes"] = "", ["10 MB"] = ("0123456789\0abcde"):rep(655360) } do
    it(("keeps a body of %s"):format(name), function()
      local guard = new()
      local function answer()
        runs = runs + 1
        return { status = 200, body = body }
      end
      guard:handle(request{ body = body }, answer)
      local res = guard:handle(request{ body = body }, answer)
      assert.equal(1, runs)
      assert.is_true(res.body == body)
    end)
  end

  it("refuses another request under the same key with 422", function()
    local guard = new()
    guard:handle(request(), pay)
    for _, other in ipairs{ { body = "other" }, { path = "/payments" }, { method = "PATCH" } } do
      local res = guard:handle(request(other), pay)
      assert.equal(422, res.status)
      assert.equal("application/problem+json", res.headers["Content-Type"])
    end
    assert.equal(1, runs)
  end)

  it("counts equal JSON as the same request where it is told to", function()
    local guard = new{ fingerprint = "json" }
    guard:handle(request{ body = '{"a":1,"b":[2]}' }, pay)
    assert.equal(201, guard:handle(request{ body = ' {"b": [2], "a": 1}' }, pay).status)
    assert.equal(422, guard:handle(request{ body = '{"a":1,"b":[3]}' }, pay).status)
    assert.equal(1, runs)
  end)

  it("lets a function say what makes a request the same", function()
    local guard = new{ fingerprint = function(req) return req.method end }
    guard:handle(request(), pay)
    assert.equal(201, guard:handle(request{ body = "other" }, pay).status)
    assert.equal(1, runs)
  end)

  it("keeps the keys of one scope apart from those of another", function()
    local guard = new{ scope = function(req) return req.headers.tenant end }
    for _, tenant in ipairs{ "a", "b", "a" } do
      local res = guard:handle(request{ headers = { ["idempotency-key"] = "k", tenant = tenant } },
        pay)
      assert.equal(201, res.status)
    end
    assert.equal(2, runs)
  end)

  describe("asks for a key", function()
    it("and answers 400 without one", function()
      for _, headers in ipairs{ {}, { ["Idempotency-Key"] = "" }, { ["Idempotency-Key"] = '"open' },
        { ["Idempotency-Key"] = { "a", "a" } }, { ["Idempotency-Key"] = ("x"):rep(256) },
        { ["Idempotency-Key"] = "a\0b" }, { ["Idempotency-Key"] = "a\195\164" } } do
        local res = new():handle(request{ headers = headers }, pay)
        assert.equal(400, res.status)
        assert.equal("application/problem+json", res.headers["Content-Type"])
      end
      assert.equal(0, runs)
    end)

    it("and takes it bare and quoted as the same", function()
      local guard = new()
      guard:handle(keyed("abc"), pay)
      assert.equal("true", guard:handle(keyed('"abc"'), pay).headers["Idempotent-Replayed"])
      assert.equal("true", guard:handle(keyed('"abc";x=1'), pay).headers["Idempotent-Replayed"])
      assert.equal(1, runs)
    end)

    it("of 255 characters at most", function()
      assert.equal(201, new():handle(keyed(("x"):rep(255)), pay).status)
    end)

    it("unless none is required", function()
      local guard = new{ required = false }
      guard:handle(request{ headers = {} }, pay)
      guard:handle(request{ headers = {} }, pay)
      assert.equal(2, runs)
    end)

    it("unless the method is none of its own", function()
      local answer = {}
      assert.equal(answer, new():handle(request{ method = "GET" }, function() return answer end))
    end)
  end)

  it("knows without its body whether a request will pass", function()
    local without = request{ headers = {} }
    assert.is_false(new():passes(request()))
    assert.is_false(new():passes(without))
    assert.is_true(new{ required = false }:passes(without))
    assert.is_false(new{ required = false }:passes(keyed("")))
    assert.is_true(new():passes(request{ method = "GET" }))
    assert.is_false(new{ methods = { "PUT" } }:passes(request{ method = "put" }))
    local done, message = pcall(function()
      return (new():passes{ path = "/" })
    end)
    assert.is_false(done)
    assert.matches("idempotency_spec%.lua:%d+: req%.method: expected a string, got nil$", message)
  end)

  it("is known as one", function()
    assert.is_true(idempotency.is(new()))
    assert.is_false(idempotency.is({}))
    assert.is_false(idempotency.is("guard"))
  end)

  it("is new to a key at the end of its ttl, and not before", function()
    local guard = new{ ttl = 100, env = t.env }
    guard:handle(request(), pay)
    t:advance(99.999)
    guard:handle(request(), pay)
    assert.equal(1, runs)
    t:advance(0.001)
    assert.is_nil(guard:handle(request(), pay).headers["Idempotent-Replayed"])
    assert.equal(2, runs)
  end)

  it("works by clocks of the program's own", function()
    local wall = 1000
    local clock = { time = function() return wall end }
    local guard = idempotency.new{ store = st, ttl = 10, env = clock }
    guard:handle(request(), pay)
    wall = 1009.9
    guard:handle(request(), pay)
    assert.equal(1, runs)
    wall = 1010
    guard:handle(request(), pay)
    assert.equal(2, runs)
  end)

  describe("while the first request runs", function()
    local function run_two(guard, seconds, other)
      return t:run(function()
        local first = neap.spawn(function()
          return guard:handle(request(), function()
            neap.sleep(seconds)
            return pay()
          end)
        end)
        local second = neap.spawn(function()
          neap.sleep(0.1)
          local res = guard:handle(other or request(), pay)
          return res, neap.now()
        end)
        local res, at = second:await()
        return first:await(), res, at
      end)
    end

    it("refuses the second with 409", function()
      local first, second, at = run_two(new(), 5)
      assert.equal(201, first.status)
      assert.equal(409, second.status)
      assert.equal("1", second.headers["Retry-After"])
      assert.equal(0.1, at)
      assert.equal(1, runs)
    end)

    it("refuses another request with 422", function()
      local _, second = run_two(new(), 5, request{ body = "other" })
      assert.equal(422, second.status)
    end)

    it("lets the second wait where it is told to", function()
      local _, second, at = run_two(new{ on_conflict = "wait" }, 5)
      assert.equal(201, second.status)
      assert.equal("true", second.headers["Idempotent-Replayed"])
      assert.is_true(at >= 5 and at < 6.1)
      assert.equal(1, runs)
    end)

    it("lets nobody wait longer than a lease", function()
      local _, second, at = run_two(new{ on_conflict = "wait", lease = 3 }, 30)
      assert.equal(409, second.status)
      assert.is_true(math.abs(at - 3.1) < 1e-9)
      assert.equal(1, runs)
    end)

    it("renews the lease as long as max_run", function()
      local guard = new{ lease = 3, max_run = 10 }
      t:run(function()
        neap.spawn(function()
          guard:handle(request(), function()
            neap.sleep(60)
            return pay()
          end)
        end)
        neap.sleep(9)
        assert.equal(409, guard:handle(request(), pay).status)
        neap.sleep(5)
        local recovered
        local res = guard:handle(request(), function(req)
          recovered = req.recovered
          return { status = 200, body = "anew" }
        end)
        assert.equal("anew", res.body)
        assert.is_true(recovered)
      end)
      -- the first ended later, and could not overwrite
      assert.equal("anew", guard:handle(request(), pay).body)
    end)
  end)

  describe("whose handler", function()
    local function fail()
      runs = runs + 1
      error("secret")
    end

    it("raises answers 500 and stores that", function()
      local guard = new()
      local res, err = guard:handle(request(), fail)
      assert.equal(500, res.status)
      assert.is_nil(res.body:find("secret"))
      assert.equal("error", err.kind)
      assert.matches("secret", err.cause)
      assert.equal(500, guard:handle(request(), fail).status)
      assert.equal(1, runs)
    end)

    it("raises frees the key where it is told to", function()
      local guard = new{ on_error = "release" }
      assert.equal(500, guard:handle(request(), fail).status)
      assert.equal(201, guard:handle(request(), pay).status)
      assert.equal(2, runs)
    end)

    it("answers nothing usable counts as one that raised", function()
      for index, given in ipairs{ 0, "text", { status = 99 }, { status = "200" }, { body = 5 },
        { headers = { a = {{}} } } } do
        local res, err = new():handle(keyed("k" .. index), function() return given end)
        assert.equal(500, res.status)
        assert.equal("error", err.kind)
      end
    end)

    it("raises, or answers with, a table that raises is answered 500 all the same", function()
      local function boom() error("boom") end
      local function raise() error(setmetatable({}, { __tostring = boom })) end
      local function answer() return setmetatable({}, { __index = boom }) end
      for key, handler in pairs{ raise = raise, answer = answer } do
        local guard = new()
        local res, err = guard:handle(keyed(key), handler)
        assert.equal(500, res.status)
        assert.equal("error", err.kind)
        assert.equal(500, guard:handle(keyed(key), pay).status)
      end
      assert.equal(0, runs)
    end)

    it("puts what would end a header into one ends none", function()
      local guard = new()
      local function answer()
        return { status = 200, headers = { ["X-Note"] = "a\r\nSet-Cookie: e=1\0b" } }
      end
      for _ = 1, 2 do
        local res = guard:handle(request(), answer)
        assert.equal("a  Set-Cookie: e=1 b", res.headers["X-Note"])
      end
    end)

    it("says that nothing was done frees the key", function()
      local guard = new()
      for _, status in ipairs{ 408, 425, 429, 503 } do
        assert.equal(status, guard:handle(request(), function() return { status = status } end)
          .status)
      end
      assert.equal(201, guard:handle(request(), pay).status)
    end)

    it("has its answer stored as store_statuses says", function()
      local guard = new{ store_statuses = function(status) return status < 500 end }
      guard:handle(request(), function() return { status = 502 } end)
      assert.equal(201, guard:handle(request(), pay).status)
      assert.equal(201, guard:handle(request(), fail).status)
    end)
  end)

  it("refuses with 503 where the store is full, and runs no handler", function()
    local guard = idempotency.new{ store = memory.new{ max_bytes = 1024 }, env = t.env }
    local res, err
    for index = 1, 50 do
      res, err = guard:handle(keyed("key-" .. index), pay)
      if res.status == 503 then
        break
      end
    end
    assert.equal(503, res.status)
    assert.equal("store", err.kind)
    local before = runs
    guard:handle(keyed("another"), pay)
    assert.equal(before, runs)
  end)

  it("raises for a scope that is too long, and names no line of its own", function()
    local guard = new{ scope = function() return ("s"):rep(4096) end }
    local done, message = pcall(guard.handle, guard, request(), pay)
    assert.is_false(done)
    assert.matches("^options%.scope: expected a string of at most 3072 bytes", message)
  end)

  it("raises at the caller's line for misuse", function()
    local guard = new()
    for _, wrong in ipairs{
      function() return (idempotency.new{}) end,
      function() return (idempotency.new{ store = {} }) end,
      function() return (idempotency.new{ store = st, ttl = 0 }) end,
      function() return (idempotency.new{ store = st, leese = 1 }) end,
      function() return (idempotency.new{ store = st, env = { clock = 1 } }) end,
      function() return (guard:handle({}, pay)) end,
      function() return (guard:handle(request(), nil)) end,
      function() return (guard:handle(request{ body = 1 }, pay)) end,
    } do
      local done, message = pcall(wrong)
      assert.is_false(done)
      assert.matches("idempotency_spec%.lua:%d+: ", message)
    end
  end)
end)
