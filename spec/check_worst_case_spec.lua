-- What neap.check promises of a call's duration and attempts, against what calls come to on the
-- virtual clock: never exceeded by any policy and any outage, and reached by some.
local calls = require "spec.support.calls"
local neap = require "neap"
local testing = require "neap.testing"

-- A policy and an outage each, drawn by lot: so many on each Lua, fewer in an instrumented build
-- and where the collector never rests.
local pause = collectgarbage("setpause", 200)
collectgarbage("setpause", pause)
local ROUNDS = pause == 0 and 100 or calls.sanitized and 2000 or 10000

-- Seconds of Lua are doubles of whole nanoseconds.
local ROUNDING = 1e-6

-- ------------------------------------------------------------------------------------------ lots

-- Numbers that are the same on each Lua: Lehmer's generator.
local Lots = {}
Lots.__index = Lots

local function new_lots(seed)
  return setmetatable({ state = seed * 48271 % 2147483647 }, Lots)
end

function Lots:unit()
  self.state = self.state * 48271 % 2147483647
  return self.state / 2147483647
end

function Lots:number(low, high)
  return low + self:unit() * (high - low)
end

function Lots:integer(low, high)
  return math.floor(self:number(low, high + 1 - 1e-9))
end

function Lots:chance(share)
  return self:unit() < share
end

function Lots:one_of(list)
  return list[self:integer(1, #list)]
end

-- -------------------------------------------------------------------------------------- policies

local function draw_timeout(lots)
  return {
    connect = lots:number(0.05, 10),
    write = lots:number(0.05, 10),
    read = lots:number(0.05, 10),
    attempt = lots:chance(0.7) and lots:number(0.05, 8) or nil,
    total = lots:number(0.1, 90),
  }
end

local function draw_backoff(lots)
  return {
    kind = lots:one_of{ "fixed", "linear", "exponential" },
    base = lots:number(0, 3),
    factor = lots:number(1, 4),
    max = lots:number(0, 15),
    jitter = lots:chance(0.3) and lots:number(0.01, 1)
      or lots:one_of{ "none", "full", "equal", "additive", "decorrelated" },
  }
end

local function draw_retry(lots)
  if lots:chance(0.1) then
    return false
  end
  return {
    max_attempts = lots:integer(1, 6),
    backoff = draw_backoff(lots),
    honor_retry_after = lots:chance(0.7),
    max_server_delay = lots:number(0, 20),
    statuses = { [500] = lots:one_of{ true, false, "once" }, [429] = lots:chance(0.8) },
    budget = lots:one_of{ false, { ratio = 0, min_per_second = lots:number(0, 2), ttl = 10 }, {} },
  }
end

local function draw_breaker(lots)
  return lots:one_of{ false, {}, {
    window = lots:one_of{ { count = lots:integer(1, 5) }, { seconds = lots:integer(1, 20) } },
    min_calls = lots:integer(1, 4),
    open_for = { base = lots:number(0.1, 10), jitter = lots:unit() },
    half_open = { permits = lots:integer(1, 2), lease = lots:number(0.1, 10) },
  } }
end

-- Few parts, much time, and lengths that an outage can hit upon: what is left out of a bound shows.
local function draw_bare_policy(lots, name, delay)
  return {
    name = name,
    base_url = "https://" .. name .. ".example/",
    timeout = { connect = 9, write = 9, read = 9, attempt = lots:number(0.01, 1), total = 900 },
    retry = lots:chance(0.7) and {
      max_attempts = lots:integer(1, 3),
      backoff = lots:chance(0.5) and draw_backoff(lots) or { base = 0.01, max = 0.01 },
      max_server_delay = delay,
    },
    breaker = false,
    gate = lots:chance(0.5) and { max_wait = delay },
    rate_limit = lots:chance(0.3) and { rate = 1, burst = 1, max_wait = lots:integer(0, 3) },
    bulkhead = lots:chance(0.3) and { max_concurrent = 1, max_wait = lots:number(0, 2) },
  }
end

local function draw_policy(lots, name)
  return {
    name = name,
    base_url = "https://" .. name .. ".example/",
    timeout = draw_timeout(lots),
    retry = draw_retry(lots),
    breaker = draw_breaker(lots),
    gate = lots:chance(0.7) and { max_wait = lots:number(0, 12) },
    rate_limit = lots:chance(0.3) and {
      rate = lots:number(0.2, 10), burst = lots:integer(1, 3), max_wait = lots:number(0, 6),
      enforce = not lots:chance(0.2),
    },
    bulkhead = lots:chance(0.3) and {
      max_concurrent = lots:integer(1, 3), max_wait = lots:number(0, 6),
      enforce = not lots:chance(0.2),
    },
    chaos = lots:chance(0.1) and {
      rate = 0.5, latency = lots:number(0, 5), error = lots:chance(0.5) and "connect" or nil,
    },
    coalesce = lots:chance(0.1),
  }
end

local function draw_fallback(lots, kit)
  if lots:chance(0.2) then
    return { { service = kit:client(draw_policy(lots, "other")) }, { default = { status = 200 } } }
  end
  return lots:chance(0.1) and { { cache = true }, { default = { status = 200 } } } or nil
end

-- --------------------------------------------------------------------------------------- outages

local function draw_hint(lots)
  if lots:chance(0.5) then
    return nil
  end
  local delay = tostring(lots:integer(0, 25))
  return lots:chance(0.7) and { ["Retry-After"] = delay }
    or { ["X-RateLimit-Remaining"] = "0", ["X-RateLimit-Reset"] = delay }
end

local PHASES = { "connect", "write", "read" }

-- What lasts, or comes at once and asks for as long a delay as is allowed.
local function draw_mean_answer(lots, delay)
  if lots:chance(0.4) then
    return { status = lots:chance(0.3) and 200 or 500, after = 100 }
  end
  local asks = lots:chance(0.8)
  return { status = lots:one_of{ 429, 503 },
    headers = asks and { ["Retry-After"] = tostring(delay) } or nil }
end

local function draw_answer(lots, illness, hints)
  local after = lots:chance(0.3) and lots:number(0, 100) or lots:number(0, 3)
  if not lots:chance(illness) then
    return { status = 200, after = after }
  end
  if lots:chance(0.4) then
    return { status = lots:one_of{ 429, 500, 502, 503 }, after = after,
      headers = hints and draw_hint(lots) or nil }
  end
  local kind = lots:one_of{ "resolve", "connect", "tls", "reset", "timeout", "timeout" }
  if kind == "timeout" then
    return { error = kind, phase = lots:one_of(PHASES) }
  end
  return { error = kind, after = after }
end

-- ------------------------------------------------------------------------------------------ calls

-- The longest of some calls, made one after the other by a few who begin when they like, and the
-- most attempts that one of them made.
local function longest_of(kit, lots, client, patience)
  local longest, most = 0, 0
  local function call()
    local began = kit:now()
    local res, err = client:request{ method = lots:chance(0.8) and "GET" or "POST", path = "/" }
    longest = math.max(longest, kit:now() - began)
    most = math.max(most, (res or err).attempts or 0)
  end
  kit:run(function()
    for _ = 1, lots:integer(1, 5) do
      local start, times = lots:number(0, patience), lots:integer(1, 2)
      neap.spawn(function()
        neap.sleep(start)
        for _ = 1, times do call() end
      end)
    end
  end)
  return longest, most
end

local function words_of(value, seen)
  if type(value) ~= "table" then
    return tostring(value)
  end
  local words = {}
  for key, one in pairs(value) do
    words[#words + 1] = tostring(key) .. " = " .. (seen and "…" or words_of(one, key == "service"))
  end
  return "{ " .. table.concat(words, ", ") .. " }"
end

local function check_promise(round, policy, report, longest, most)
  if longest > report.worst_case + ROUNDING then
    error(("round %d: %.9f s, and check promised %.9f: %s"):format(round, longest,
      report.worst_case, words_of(policy)))
  end
  if most > report.attempts then
    error(("round %d: %d attempts, and check promised %d: %s"):format(round, most,
      report.attempts, words_of(policy)))
  end
  return longest / report.worst_case
end

-- How near the longest call has come to the promise. A server that asks for a shorter delay than
-- the backoff may have more attempts than are promised.
local function play(round)
  local lots, kit = new_lots(round), testing.new{ seed = round }
  local policy = draw_policy(lots, "api")
  policy.fallback = draw_fallback(lots, kit)
  local illness, hints = lots:unit(), lots:chance(0.5)
  kit:script{ { answer = function() return draw_answer(lots, illness, hints) end,
    ["repeat"] = true } }
  local longest, most = longest_of(kit, lots, kit:client(policy), 5)
  return check_promise(round, policy, neap.check(policy), longest, hints and 0 or most)
end

local function play_mean(round)
  local lots, kit = new_lots(round), testing.new{ seed = round }
  local delay = lots:integer(1, 12)
  local policy = draw_bare_policy(lots, "api", delay)
  kit:script{ { answer = function() return draw_mean_answer(lots, delay) end, ["repeat"] = true } }
  local longest = longest_of(kit, lots, kit:client(policy), 0)
  return check_promise(round, policy, neap.check(policy), longest, 0)
end

-- ---------------------------------------------------------------------------------------- reached

local SILENCE = { { status = 200, after = 100, ["repeat"] = true } }

local function asking_for(delay, after)
  return { status = 503, headers = { ["Retry-After"] = tostring(delay) }, after = after }
end

-- Simple policies, each with the outage that makes the longest call of all that are begun at once.
-- The gate, and a server's delay, are parts of their own.
local REACHED = {
  ["one attempt"] = { policy = { retry = false, gate = false, timeout = { attempt = 3 } } },
  ["attempts and fixed waits"] = { policy = { gate = false, timeout = { attempt = 2 }, retry = {
    honor_retry_after = false, backoff = { kind = "fixed", base = 1, jitter = "none" } } } },
  ["growing waits with jitter"] = { policy = { gate = false, timeout = { attempt = 3, total = 60 },
    retry = { honor_retry_after = false } }, seeds = 50 },
  ["decorrelated waits"] = { policy = { gate = false, timeout = { attempt = 3, total = 60 },
    retry = { max_attempts = 2, honor_retry_after = false,
      backoff = { jitter = "decorrelated" } } }, seeds = 50 },
  ["the deadline"] = { policy = { timeout = { read = 4, total = 10 },
    retry = { backoff = { base = 0.1 } } } },
  ["the defaults"] = { policy = {}, script = { asking_for(14), asking_for(12), SILENCE[1] } },
  ["a server's delay"] = { policy = { gate = false, timeout = { attempt = 1, total = 60 },
    retry = { max_attempts = 2, max_server_delay = 8 } },
    script = { asking_for(8, 0.99), SILENCE[1] }, seeds = 50 },
  ["a closed gate"] = { policy = { gate = { max_wait = 5 }, timeout = { attempt = 2, total = 60 },
    retry = { max_attempts = 1, max_server_delay = 5 } },
    script = { asking_for(5), SILENCE[1] }, calls = { 0, 0.001 }, seeds = 50 },
  ["a rate limit"] = { policy = { rate_limit = { rate = 1, burst = 1, max_wait = 3 },
    retry = false, gate = false, timeout = { attempt = 2 } }, calls = { 0, 0, 0, 0 } },
  ["a bulkhead"] = { policy = { bulkhead = { max_concurrent = 1, max_wait = 2.05 },
    retry = false, gate = false, timeout = { attempt = 2 } }, calls = { 0, 0 } },
}

-- The longest of the calls that begin then.
local function longest_at(kit, client, starts)
  local longest = 0
  kit:run(function()
    for _, start in ipairs(starts) do
      neap.spawn(function()
        neap.sleep(start)
        client:get("/")
        longest = math.max(longest, kit:now() - start)
      end)
    end
  end)
  return longest
end

local function longest_for(case, policy)
  local longest = 0
  for seed = 1, case.seeds or 1 do
    local kit = testing.new{ seed = seed }
    local client = kit:client(policy)
    kit:script(case.script or SILENCE)
    longest = math.max(longest, longest_at(kit, client, case.calls or { 0 }))
  end
  return longest
end

-- How many of so many rounds have come within 5 % of the promise.
local function near_of(rounds, game)
  local near = 0
  for round = 1, rounds do
    if game(round) > 0.95 then
      near = near + 1
    end
  end
  return near
end

describe("the worst case that neap.check names", function()
  it("is exceeded by no policy and no outage", function()
    assert.is_true(near_of(ROUNDS, play) > ROUNDS / 20)
  end)

  for name, case in pairs(REACHED) do
    it("is reached within 5 % by " .. name, function()
      local policy = { name = "api", base_url = "https://api.example/" }
      for key, value in pairs(case.policy) do
        policy[key] = value
      end
      local worst, longest = neap.check(policy).worst_case, longest_for(case, policy)
      assert.is_true(longest <= worst + ROUNDING, longest .. " of " .. worst)
      assert.is_true(longest >= 0.95 * worst, longest .. " of " .. worst)
    end)
  end

  it("is exceeded by none where an outage does its worst", function()
    assert.is_true(near_of(ROUNDS, play_mean) > ROUNDS / 20)
  end)
end)
