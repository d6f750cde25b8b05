-- The example of examples/payments-sqlite, as a reader starts it, with each of its stores.
local neap = require "neap"

local guarded = require "spec.support.guarded"
local nginx = require "examples.support.nginx"
local process = require "spec.support.process"
local redis = require "spec.support.redis"

local FOLDER = "examples/payments-sqlite"
local example, server

-- The workers are nobody's, and must reach its socket.
local function open_redis()
  local made = redis.start{ options = "--unixsocketperm 777" }
  assert(os.execute("chmod 755 " .. process.quoted(made.folder)))
  return made
end

local function start(kind)
  server = kind == "redis" and open_redis() or nil
  example = nginx.start{ folder = FOLDER, ready = "/orders",
    environment = server and "PAYMENTS_REDIS=" .. server.path or "" }
end

after_each(function()
  if example then
    example:stop()
    example = nil
  end
  if server then
    server:stop()
    server = nil
  end
end)

local function post(path, key, body, who)
  return assert(example:ask("POST", path, { ["Idempotency-Key"] = key, Authorization = who }, body))
end

local function pay(key, order, who)
  return post("/payments", key, ('{"order":%q,"amount":5}'):format(order), who)
end

local function is_replay(res)
  return res.headers["Idempotent-Replayed"] == "true"
end

local function each(name, test)
  guarded.each_by(it, pending)({ { "sqlite" }, { "redis" } }, name, function(kind)
    start(kind)
    test()
  end)
end

describe("the payments", function()
  each("are made once for each key", function()
    local first, again = pay("k1", "A-17"), pay("k1", "A-17")
    assert.equal(201, first.status)
    assert.equal("/payments/A-17", first.headers.Location)
    assert.is_false(is_replay(first))
    assert.equal(201, again.status)
    assert.equal(first.body, again.body)
    assert.is_true(is_replay(again))
    assert.equal(422, pay("k1", "A-18").status)
    assert.equal(400, assert(example:ask("POST", "/payments", nil, "{}")).status)
    assert.equal(1, example:counters().charges)
  end)

  each("of two customers have nothing to do with each other", function()
    assert.equal(201, pay("k", "A-1", "Basic one").status)
    assert.equal(201, pay("k", "B-1", "Basic two").status)
    assert.equal(2, example:counters().charges)
  end)

  each("survive a bank that loses its answers", function()
    example:behave("losing")
    assert.equal(201, pay("k2", "A-19").status)
    assert.is_true(is_replay(pay("k2", "A-19")))
    assert.equal(1, example:counters().charges)
    assert.equal(2, example:counters().asked)
  end)

  each("may be repeated after the bank was closed", function()
    example:behave("down")
    local res = pay("k3", "A-20")
    assert.equal(503, res.status)
    assert.equal("1", res.headers["Retry-After"])
    example:behave("well")
    res = pay("k3", "A-20")
    assert.equal(201, res.status)
    assert.is_false(is_replay(res))
  end)

  each("that the bank refuses are refused, for good", function()
    example:behave("refusing")
    assert.equal(402, pay("k5", "A-21").status)
    example:behave("well")
    local res = pay("k5", "A-21")
    assert.equal(402, res.status)
    assert.is_true(is_replay(res))
    assert.equal(0, example:counters().charges)
  end)

  each("that are none are refused, for good", function()
    assert.equal(400, post("/payments", "k4", "no json").status)
    assert.is_true(is_replay(post("/payments", "k4", "no json")))
    assert.equal(0, example:counters().asked)
  end)
end)

describe("the orders", function()
  each("of ten at once under one key are one", function()
    local functions, statuses = {}, { [201] = 0, [409] = 0 }
    for index = 1, 10 do
      functions[index] = function() return post("/orders", "o1", "x").status end
    end
    for _, result in ipairs(neap.all(functions)) do
      statuses[result[2]] = statuses[result[2]] + 1
    end
    assert.is_true(statuses[201] >= 1 and statuses[201] + statuses[409] == 10)
    local res = post("/orders", "o1", "x")
    assert.is_true(is_replay(res))
    assert.same({ "order=1", "seen=1" }, res.headers["Set-Cookie"])
    assert.equal('{"order":1,"received":"x"}', (res.body:gsub('{"received":"x","order":1}',
      '{"order":1,"received":"x"}')))
    assert.equal(1, example:counters().orders)
  end)

  each("can be looked at past the guard", function()
    local res = assert(example:ask("GET", "/orders/7?a=%20b"))
    assert.equal(200, res.status)
    assert.equal("/orders/7?a=%20b", res:json().uri)
    assert.equal(404, assert(example:ask("GET", "/orders-upstream/x")).status)
  end)

  each("go on under the same keys after a reload", function()
    assert.equal(201, post("/orders", "o2", "x").status)
    example:reload()
    neap.sleep(0.3)
    assert.is_true(is_replay(post("/orders", "o2", "x")))
    assert.equal(1, example:counters().orders)
  end)
end)

describe("its start.sh", function()
  it("leaves no files behind", function()
    start("sqlite")
    assert.equal(201, pay("k", "A-1").status)
    local pipe = assert(io.popen(("ps -o args= -p %d"):format(example.pid)))
    local path = pipe:read("*a"):match("%-c (%S+)")
    pipe:close()
    local database = path:gsub("nginx%.conf$", "data/payments.db")
    assert.is_truthy(process.read_file(database), database)
    example:stop()
    assert.is_nil(process.read_file(database))
    assert.is_nil(process.read_file(path))
  end)
end)
