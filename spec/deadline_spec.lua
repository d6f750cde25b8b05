-- A call ends when it must, whatever the server does, and does not begin to wait in vain.
local neap = require "neap"

local calls = require "spec.support.calls"
local server = require "spec.support.server"

local client, answered, failed_as = calls.client, calls.answered, calls.failed_as

local s

setup(function()
  s = server.start()
end)

teardown(function()
  s:stop()
end)

before_each(function()
  s:reset()
end)

local LARGE = ("x"):rep(4000000)

-- Everything that the server can do wrong, and some of what it can do right. The limits of silence
-- are longer than the call may last, or are never reached.
local BEHAVIOURS = {
  { "/status/200" }, { "/status/503" }, { "/status/503?header=Retry-After:1" },
  { "/status/200?after=9" }, { "/slow?headers=9" }, { "/slow?body=9" }, { "/slow?byte=0.3" },
  { "/slow?head_byte=0.1" }, { "/slow?head_byte=9" }, { "/drip?endless=1&every=0.05" },
  { "/big?bytes=10000000" }, { "/big?endless=1" }, { "/big?endless=1&length=0" },
  { "/chunked?chunk=10&every=0.01" }, { "/chunked?broken=size" }, { "/chunked?broken=huge" },
  { "/chunked?broken=data" }, { "/chunked?broken=end" }, { "/gzip?bytes=30000000" },
  { "/gzip?broken=data" }, { "/gzip?broken=truncated" }, { "/reset?at=accept" },
  { "/reset?at=request" }, { "/reset?at=headers" }, { "/reset?at=body" },
  { "/reset?after=0.7" }, { "/close?at=accept" }, { "/close" }, { "/close?at=headers" },
  { "/close?at=body" }, { "/close?after=0.7" }, { "/short" }, { "/short?end=reset" },
  { "/short?end=stall" }, { "/headers?endless=1" }, { "/headers?endless=1&every=0.1&line=10" },
  { "/informational?endless=1" }, { "/informational?endless=1&every=0.1" }, { "/garbage" },
  { "/garbage?kind=version" }, { "/garbage?kind=code" }, { "/garbage?kind=header" },
  { "/garbage?kind=length" }, { "/garbage?kind=lengths" }, { "/http09" },
  { "/redirect?loop=1" }, { "/redirect?n=4" }, { "/redirect?n=1&to=/slow%3Fheaders=9" },
  { "/keepalive?next=reset" }, { "/auth" },
  { "/stallread?for=4", body = LARGE }, { "/slowread?every=0.3", body = LARGE },
  { "/early", body = LARGE }, { "/early?rude=1", body = LARGE }, { "/echo", body = LARGE },
  { "/payments?lose=after&how=stall&for=3", body = "x" }, { "/payments?delay=3", body = "x" },
  { "/", port = "refused" }, { "/", port = "stall" }, { "/", tls = "tlsstall" },
  { "/", tls = "tlsgarbage" }, { "/", tls = "selfsigned" }, { "/slow?headers=9", tls = "good" },
  { "/slow?byte=0.3", tls = "good" }, { "/", tls = "clientauth" },
  { "http://nobody.invalid/" },
}

local H2_ACTIONS = { "stall", "slow", "refuse", "calm", "goaway", "graceful", "reset", "partial",
  "drop", "kill", "garbage", "body", "answer" }

local function request_of(behaviour)
  local base = behaviour.tls and s.tls[behaviour.tls] or s[behaviour.port or "plain"]
  local target = behaviour[1]
  return {
    method = behaviour.body and "PUT" or "GET",
    url = target:find("^http") and target or base .. target,
    body = behaviour.body,
    replayable = true,
  }
end

local function name_of(behaviour)
  return (behaviour.port or behaviour.tls or "plain") .. " " .. behaviour[1]
end

-- With limits of silence that are too long, short, and in between.
local LIMITS = {
  { connect = 5, write = 5, read = 5 },
  { connect = 0.2, write = 0.2, read = 0.2 },
  { connect = 5, write = 5, read = 5, attempt = 0.4 },
}

local function client_within(total, limits)
  return client {
    timeout = { connect = limits.connect, write = limits.write, read = limits.read,
      attempt = limits.attempt, total = total },
    retry = { max_attempts = 4, backoff = { kind = "fixed", base = 0.1, jitter = "none" } },
    tls = { ca_file = s.ca_file },
  }
end

-- A machine that has other things to do may keep a call waiting for a processor: the best of three
-- tries counts.
local function ends_within(limit, label, call)
  local best = math.huge
  for _ = 1, 3 do
    local seconds = calls.timed(call)
    best = math.min(best, seconds)
    if best <= limit then
      return
    end
  end
  error(("%s took %.3f s at best"):format(label, best))
end

-- The behaviours whose calls, all side by side, took longer than that.
local function late_ones(behaviours, limits, limit)
  local late = {}
  neap.run(function()
    for _, behaviour in ipairs(behaviours) do
      neap.spawn(function()
        local c = client_within(1, limits)
        local seconds, res, err = calls.timed(function()
          return c:request(request_of(behaviour))
        end)
        assert.is_true(res ~= nil or err ~= nil)
        late[#late + 1] = seconds > limit and behaviour or nil
      end)
    end
  end)
  return late
end

describe("timeout.total", function()
  for number, limits in ipairs(LIMITS) do
    it("ends every call side by side, with limits of silence number " .. number, function()
      local late = BEHAVIOURS
      for _ = 1, 3 do
        late = late_ones(late, limits, 1.05)
        if #late == 0 then
          return
        end
      end
      error(("%d calls were late three times, the first was %s"):format(#late, name_of(late[1])))
    end)
  end

  it("ends a call that blocks the program", function()
    local c = client_within(0.2, LIMITS[1])
    for _, behaviour in ipairs {
      { "/slow?headers=9" }, { "/slow?byte=0.1" }, { "/drip?endless=1&every=0.01" },
      { "/headers?endless=1&every=0.05&line=10" }, { "/informational?endless=1&every=0.05" },
      { "/stallread?for=4", body = LARGE }, { "/", port = "stall" }, { "/", tls = "tlsstall" },
      { "/redirect?n=1&to=/slow%3Fbyte=0.1" },
    } do
      ends_within(0.25, name_of(behaviour), function()
        local err = failed_as("timeout", c:request(request_of(behaviour)))
        assert.equal("total", err.phase, name_of(behaviour))
      end)
    end
  end)

  it("ends a call over HTTP/2", function()
    for _, action in ipairs(H2_ACTIONS) do
      local c = client { base_url = s.tls.h2, tls = { ca_file = s.ca_file },
        timeout = { total = 0.3 } }
      ends_within(0.35, action, function()
        s:h2(action == "slow" and "slow 9 9" or action == "body" and "body 9 16000"
          or action .. " 9")
        local res, err = c:get("/")
        assert.is_true(res ~= nil or err ~= nil)
      end)
    end
  end)

  it("holds for all attempts together", function()
    local c = client { base_url = s.url, timeout = { read = 0.1, total = 0.35 },
      retry = { max_attempts = 20 } }
    ends_within(0.4, "retries", function()
      local err = calls.failed(c:get("/slow?headers=9"))
      assert.is_true(err.attempts >= 2 and err.attempts <= 4, err.attempts)
    end)
  end)

  it("may be the request's own, and later than the policy's it may not be", function()
    local c = client { base_url = s.url, timeout = { total = 0.3 } }
    ends_within(0.15, "a request's own total", function()
      failed_as("timeout", c:get("/slow?headers=9", { timeout = { total = 0.1 } }))
    end)
    ends_within(0.15, "a request's own deadline", function()
      failed_as("timeout", c:get("/slow?headers=9", { deadline = neap.now() + 0.1 }))
    end)
    ends_within(0.35, "a policy's total", function()
      failed_as("timeout", c:get("/slow?headers=9", { deadline = neap.now() + 9 }))
    end)
  end)
end)

describe("a wait that cannot succeed is not begun", function()
  local function at_once(fn)
    local best = math.huge
    for _ = 1, 3 do
      best = math.min(best, (calls.timed(fn)))
    end
    assert.is_true(best < 0.05, best .. " s")
  end

  local function hasty(policy)
    policy.base_url = s.url
    policy.timeout = { total = 1 }
    return client(policy)
  end

  it("for a Retry-After beyond the deadline", function()
    local c = hasty {}
    at_once(function()
      local res = answered(c:get("/status/503?header=Retry-After:5"))
      assert.equal(5, res.retry_after)
      assert.same({ "attempt 503 deadline" }, calls.trace(res))
    end)
  end)

  it("for a Retry-After beyond max_server_delay", function()
    local c = hasty { retry = { max_server_delay = 3 } }
    at_once(function()
      local res = answered(c:get("/status/429?header=Retry-After:{date%2B3600}"))
      assert.is_true(res.retry_after > 3500)
      assert.same({ "attempt 429 server_delay" }, calls.trace(res))
    end)
  end)

  it("for a backoff beyond the deadline", function()
    local c = hasty { retry = { backoff = { kind = "fixed", base = 2, jitter = "none" } } }
    at_once(function()
      assert.same({ "attempt 503 deadline" }, calls.trace(answered(c:get("/status/503"))))
    end)
    at_once(function()
      local err = failed_as("reset", c:get("/reset"))
      assert.same({ "attempt reset deadline" }, calls.trace(err))
    end)
  end)

  it("for a breaker that will still be open", function()
    local c = hasty { retry = { backoff = { kind = "fixed", base = 0.5, jitter = "none" } },
      breaker = { consecutive_failures = 1 } }
    at_once(function()
      c.breaker:reset()
      assert.same({ "attempt 503 breaker_open" }, calls.trace(answered(c:get("/status/503"))))
    end)
  end)

  it("for a gate that opens after the deadline", function()
    local c = hasty { gate = {}, retry = false }
    answered(c:get("/status/503?header=Retry-After:3"))
    at_once(function()
      local err = failed_as("gate", c:get("/status/200"))
      assert.is_true(err.retry_after > 2)
    end)
  end)

  it("for a place in the rate limit that comes after the deadline", function()
    local c = hasty { rate_limit = { rate = 1, per = 5, max_wait = 60 } }
    answered(c:get("/status/200"))
    at_once(function()
      failed_as("rate_limited", c:get("/status/200"))
    end)
  end)

  it("for a call whose time is over", function()
    local c = hasty {}
    at_once(function()
      failed_as("deadline", c:get("/status/200", { deadline = neap.now() - 5 }))
    end)
    assert.equal(0, s:ledger().requests)
  end)

  it("for a deadline that is no number, which is misuse", function()
    local api = client{ base_url = s.url }
    assert.error_matches(function() api:get("/status/200", { deadline = 0 / 0 }) end,
      "^request.deadline: expected a moment of neap.now%(%), .*, got nan$")
    assert.equal(0, s:ledger().requests)
  end)

  it("and one that can succeed is", function()
    local c = hasty {}
    local path = s:script("soon", { "/status/503", "/status/200" })
    assert.equal(2, answered(c:get(path)).attempts)
  end)
end)
