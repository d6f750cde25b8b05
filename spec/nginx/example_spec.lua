-- The example of examples/openresty, as a reader starts it: a gateway of two workers in front of
-- an API that can be told how to behave.
local cjson = require "cjson"
local neap = require "neap"

local nginx = require "examples.support.nginx"
local process = require "spec.support.process"

local LUA = os.getenv("NEAP_LUA") or arg[-1]

local example

before_each(function()
  example = nginx.start()
end)

after_each(function()
  example:stop()
end)

local function output_of(command)
  local pipe = assert(io.popen(("{ %s; } 2>&1; echo \"status $?\""):format(command)))
  local text, status = pipe:read("*a"):match("^(.-)status (%d+)\n$")
  pipe:close()
  return text, tonumber(status)
end

local function ask(path)
  return assert(example:ask("GET", path or "/rates/usd"))
end

local function ask_at_once(count, path)
  local functions, answers = {}, {}
  for index = 1, count do
    functions[index] = function() return ask(path) end
  end
  for index, result in ipairs(neap.all(functions)) do
    assert(result[1], result[2])
    answers[index] = result[2]
  end
  return answers
end

-- Asks until answers that look like this have come from both workers; all answers.
local function ask_until_both(looks_right)
  local workers, seen, answers = {}, 0, {}
  assert.is_truthy(process.wait_until(function()
    local res = ask()
    answers[#answers + 1] = res
    local worker = res.headers["X-Worker"]
    if looks_right(res) and not workers[worker] then
      workers[worker], seen = true, seen + 1
    end
    return seen == 2
  end), "only one worker has answered so")
  return answers
end

local function attempts_of(res)
  return tonumber(res.headers["X-Attempts"])
end

local function breaker_state()
  return example:stats().rates.breaker.state
end

local function open_the_breaker()
  example:behave("down")
  assert.is_truthy(process.wait_until(function()
    ask()
    return breaker_state() == "open"
  end))
end

local function assert_problem(res, status, reason)
  assert.equal(status, res.status)
  assert.equal("application/problem+json", res.headers["Content-Type"])
  local problem = cjson.decode(res.body)
  assert.equal(status, problem.status)
  assert.equal(reason, problem.detail)
  assert.is_string(problem.title)
end

describe("the gateway", function()
  it("answers from both workers what the API says", function()
    for _, res in ipairs(ask_until_both(function() return true end)) do
      assert.equal(200, res.status)
      assert.equal("network", res.headers["X-Source"])
      assert.equal(0.92, res:json().EUR)
    end
  end)

  it("answers through retries where the API is flaky", function()
    ask()
    example:behave("flaky")
    local attempts, most = 1, 1
    for _ = 1, 9 do
      local res = ask()
      assert.equal(200, res.status)
      assert.equal("network", res.headers["X-Source"])
      attempts = attempts + attempts_of(res)
      most = math.max(most, attempts_of(res))
    end
    assert.equal(2, most)
    assert.equal(attempts, example:counters().requests)
    assert.is_true(example:counters().failed >= 3)
  end)

  it("has the last known answer while the API is down", function()
    local known = ask().body
    example:behave("down")
    for _ = 1, 8 do
      local res = ask()
      assert.equal(200, res.status)
      assert.equal(known, res.body)
      assert.equal("function", res.headers["X-Source"])
    end
  end)

  it("hands on the failure where nothing is known", function()
    example:behave("down")
    local res = ask("/rates/eur")
    assert.equal(503, res.status)
    assert.equal("down for maintenance\n", res.body)
    assert.equal(3, attempts_of(res))
  end)

  it("asks nothing more, by any worker, once the breaker has opened", function()
    ask()
    open_the_breaker()
    local asked = example:counters().requests
    for _, res in ipairs(ask_until_both(function(res) return attempts_of(res) == 0 end)) do
      assert.equal(200, res.status)
      assert.equal("function", res.headers["X-Source"])
    end
    assert.equal(asked, example:counters().requests)
  end)

  it("tells when to return where the breaker is open and nothing known", function()
    open_the_breaker()
    local res = ask("/rates/eur")
    assert_problem(res, 503, "breaker_open")
    local seconds = tonumber(res.headers["Retry-After"])
    assert.is_true(seconds >= 1 and seconds <= 3, res.headers["Retry-After"])
  end)

  it("recovers by itself once the API is back", function()
    ask()
    open_the_breaker()
    example:behave("well")
    assert.is_truthy(process.wait_until(function()
      return ask().headers["X-Source"] == "network" and breaker_state() == "closed"
    end, 10))
    ask_until_both(function(res) return attempts_of(res) == 1 end)
  end)

  it("keeps the breaker open through a reload", function()
    ask()
    open_the_breaker()
    local old, asked = ask().headers["X-Worker"], example:counters().requests
    example:reload()
    assert.is_truthy(process.wait_until(function()
      return ask().headers["X-Worker"] ~= old
    end))
    assert.equal("open", breaker_state())
    assert.equal(asked, example:counters().requests)
  end)

  it("gives up the call of a client that has gone", function()
    example:behave("slow")
    output_of("curl -s --max-time 0.1 " .. example.url .. "/rates/usd")
    assert.is_truthy(process.wait_until(function()
      return example:stats().rates.in_flight == 0
    end, 0.3), "the call goes on")
    assert.equal(0, example:counters().answered)
  end)
end)

describe("the guarded page", function()
  it("is there within its limits", function()
    local res = ask("/report")
    assert.equal(200, res.status)
    assert.is_truthy(res.body:find("^report of "))
  end)

  it("is made twice at once, and others are told that it is busy", function()
    local busy = 0
    for _, res in ipairs(ask_at_once(4, "/report")) do
      if res.status == 503 then
        assert_problem(res, 503, "bulkhead_full")
        assert.equal("1", res.headers["Retry-After"])
        busy = busy + 1
      end
    end
    assert.equal(2, busy)
  end)

  it("is refused to those who ask too often, whichever worker they come to", function()
    local refused, workers = 0, {}
    for _, res in ipairs(ask_at_once(30, "/report")) do
      if res.status == 429 then
        assert_problem(res, 429, "rate_limited")
        assert.is_true(tonumber(res.headers["Retry-After"]) >= 1)
        refused = refused + 1
        workers[res.headers["X-Worker"]] = true
      end
    end
    -- Five at once, and one more in each fifth of a second that the others took to come.
    assert.is_true(refused >= 20 and refused <= 25, refused .. " refusals")
    assert.is_truthy(next(workers, next(workers)), "only one worker refused")
  end)
end)

describe("the page of statistics", function()
  it("has the sums of both workers, laid out for people", function()
    local answers = ask_until_both(function() return true end)
    local res = ask("/stats")
    assert.equal("application/json", res.headers["Content-Type"])
    assert.is_truthy(res.body:find('\n  "rates": {\n    "abandoned": ', 1, true), res.body)
    assert.equal(#answers, res:json().rates.calls)
    assert.equal("closed", res:json().rates.breaker.state)
  end)
end)

describe("start.sh", function()
  it("leaves no shared memory and no files behind", function()
    local command = output_of(("ps -o args= -p %d"):format(example.pid))
    local path = command:match("%-c (%S+)")
    local conf = assert(process.read_file(path), path)
    local region = "/dev/shm/neap-" .. conf:match('neap%.shared{ name = "(example%-%d+)"')
    assert.is_truthy(process.read_file(region), region)
    example:stop()
    assert.is_nil(process.read_file(region))
    assert.is_nil(process.read_file(path))
  end)

  it("fails where a port is taken, and says so", function()
    local port, other = example.url:match("%d+$"), example.upstream_url:match("%d+$")
    local output, status = output_of(("examples/openresty/start.sh %d %d"):format(port, other))
    assert.equal(1, status, output)
    assert.is_truthy(output:find("Address already in use", 1, true), output)
    assert.equal(200, ask().status) -- the one that was there first has noticed nothing
    assert.equal(200, ask("/stats").status)
  end)
end)

describe("the demonstration in nginx", function()
  it("ends well, proves what it says, and fits a terminal", function()
    local output, status = output_of(("timeout 60 %s examples/openresty/demo.lua"):format(
      process.quoted(LUA)))
    assert.equal(0, status, output)
    local _, kept = output:gsub("\n  yes  ", "")
    assert.equal(5, kept)
    for line in output:gmatch("([^\n]*)\n") do
      assert.is_true(#line <= 80, line)
      assert.is_nil(line:find("[\27%s]$"), line)
    end
  end)

  it("fails where nginx cannot be started", function()
    local output, status = output_of(("NGINX=/nowhere %s examples/openresty/demo.lua"):format(
      process.quoted(LUA)))
    assert.equal(1, status, output)
  end)
end)
