-- neap.check: its figures, its misuse, and each rule with a policy that it is about and a neighbour
-- that it is not. That the worst case holds is spec/check_worst_case_spec.lua's matter.
local core = require "neap.core"
local neap = require "neap"
local process = require "spec.support.process"
local testing = require "neap.testing"

local function policy_of(part)
  local policy = { name = "api", base_url = "https://api.example/" }
  for key, value in pairs(part) do
    policy[key] = value
  end
  return policy
end

local function check(part, facts)
  return neap.check(policy_of(part), facts)
end

-- The findings of that rule.
local function found_by(rule, report)
  local found = {}
  for _, finding in ipairs(report.findings) do
    if finding.rule == rule then
      found[#found + 1] = finding
    end
  end
  return found
end

-- Where a case is about a service, it is a client of its own.
local function service(name, url)
  return neap.client{ name = name, base_url = url }
end

local function fixed(seconds)
  return { kind = "fixed", base = seconds, jitter = "none" }
end

local function ten(seconds)
  return { window = { seconds = seconds }, min_calls = 10 }
end

local function nothing()
end

-- For each rule: { policy, facts, path } it fires for, and the same of a neighbour it is silent on.
local CASES = {
  unreachable_attempts = {
    fires = { { timeout = { total = 3 }, retry = { max_attempts = 4, backoff = fixed(1) } } },
    quiet = { { timeout = { total = 3.1 }, retry = { max_attempts = 4, backoff = fixed(1) } } },
    says = "only 3 of 4 attempts .* policy.timeout.total %(3 s%): set max_attempts to 3",
  },
  retry_count = {
    fires = { { timeout = { attempt = 5, total = 12 }, retry = { backoff = fixed(1) } } },
    quiet = { { timeout = { attempt = 5, total = 17 }, retry = { backoff = fixed(1) } } },
    says = "2 of 3 attempts %(5 s each.* fit into 12 s: set max_attempts to 2, or " ..
      "policy.timeout.attempt to 3.3",
  },
  ["retry_count for a latency"] = {
    fires = { { timeout = { attempt = 1 }, retry = { backoff = fixed(1) } },
      { allowed_latency = 4 } },
    quiet = { { timeout = { attempt = 1 }, retry = { backoff = fixed(1) } },
      { allowed_latency = 5 } },
  },
  slower_than_allowed = {
    fires = { { retry = false, gate = false, timeout = { attempt = 2.5 } },
      { allowed_latency = 2 } },
    quiet = { { retry = false, gate = false, timeout = { attempt = 1.5 } },
      { allowed_latency = 2 } },
    says = "a call can take 2.5 s, and 2 s are allowed",
  },
  attempt_beyond_total = {
    fires = { { timeout = { attempt = 11, total = 10 } } },
    quiet = { { timeout = { attempt = 10, total = 10 } } },
  },
  connect_beyond_attempt = {
    fires = { { timeout = { attempt = 1.5 } } }, -- connect is 2 by default
    quiet = { { timeout = { attempt = 2 } } },
    says = "^2 s never pass, since the attempt ends after 1.5 s",
  },
  attempt_without_limit = {
    fires = { {} },
    quiet = { { timeout = { attempt = 5 } } },
  },
  ["attempt_without_limit of one attempt"] = {
    fires = { { retry = { max_attempts = 2 } } },
    quiet = { { retry = false } },
  },
  server_delay_past_deadline = {
    fires = { { retry = { max_server_delay = 30 } } },
    quiet = { { retry = { max_server_delay = 29 } } },
  },
  ["server_delay_past_deadline where it is honoured"] = {
    fires = { {} },
    quiet = { { retry = { honor_retry_after = false } } },
  },
  wait_beyond_total = {
    fires = { { timeout = { total = 9 } } },
    quiet = { { timeout = { total = 9 }, gate = { max_wait = 8 } } },
  },
  ["wait_beyond_total of a rate limit"] = {
    fires = { { rate_limit = { rate = 1, max_wait = 30 } }, nil, "policy.rate_limit.max_wait" },
    quiet = { { rate_limit = { rate = 1, max_wait = 29 } } },
  },
  ["wait_beyond_total of a bulkhead"] = {
    fires = { { bulkhead = { max_concurrent = 1, max_wait = 30 } }, nil,
      "policy.bulkhead.max_wait" },
    quiet = { { bulkhead = { max_concurrent = 1, max_wait = 29 } } },
  },
  unbounded_function = {
    fires = { { retry = { when = nothing } } },
    quiet = { { retry = { max_attempts = 2 } } },
  },
  ["unbounded_function of a backoff"] = {
    fires = { { retry = { backoff = nothing } }, nil, "policy.retry.backoff" },
    quiet = { { retry = { backoff = {} } } },
  },
  ["unbounded_function of a fallback"] = {
    fires = { { fallback = { { cache = true }, nothing } }, nil, "policy.fallback[2]" },
    quiet = { { fallback = { { default = { status = 200 } } } } },
  },
  ["unbounded_function that makes a default"] = {
    fires = { { fallback = { { default = nothing } } }, nil, "policy.fallback[1]" },
    quiet = { { fallback = { { default = { status = 200 } } } } },
  },
  no_jitter = {
    fires = { { retry = { backoff = { jitter = "none" } } } },
    quiet = { { retry = { backoff = { jitter = "full" } } } },
  },
  ["no_jitter where nothing is repeated"] = {
    fires = { { retry = { max_attempts = 2, backoff = { jitter = "none" } } } },
    quiet = { { retry = { max_attempts = 1, backoff = { jitter = "none" } } } },
  },
  no_budget = {
    fires = { { retry = { budget = false } } },
    quiet = { { retry = { budget = {} } } },
    says = "up to 3 times the load",
  },
  budget_never_binds = {
    fires = { { retry = { budget = { ratio = 2 } } } },
    quiet = { { retry = { budget = { ratio = 1.9 } } } },
  },
  writes_without_key = {
    fires = { {} },
    quiet = { { idempotency = true } },
  },
  breaker_never_opens = {
    fires = { { breaker = ten(5), timeout = { attempt = 4 }, rate_limit = { rate = 0.9,
      burst = 1 } } },
    quiet = { { breaker = ten(5), timeout = { attempt = 4 }, rate_limit = { rate = 1,
      burst = 1 } } },
    says = "at most 9 results come into a window of 5 s, and 10 are needed",
  },
  ["breaker_never_opens by its rate"] = {
    fires = { { breaker = ten(5), rate_limit = { rate = 0.01, burst = 1 } } },
    quiet = { { breaker = { window = { seconds = 5 }, min_calls = 10, consecutive_failures = 3 },
      rate_limit = { rate = 0.01, burst = 1 } } },
  },
  window_below_min_calls = {
    fires = { { breaker = ten(3), retry = false }, { rate = 3 } },
    quiet = { { breaker = ten(3), retry = false }, { rate = 3.4 } },
    says = "sees 9 attempts of an outage, and 10 are needed: set min_calls to 9 or less, or " ..
      "policy.breaker.window.seconds to 4",
  },
  ["window_below_min_calls with the retries of an outage"] = {
    fires = { { breaker = ten(3), retry = { budget = { ratio = 0, min_per_second = 0 } } },
      { rate = 2 } },
    quiet = { { breaker = ten(3), retry = { max_attempts = 2 } }, { rate = 2 } },
  },
  slow_call_never = {
    fires = { { timeout = { attempt = 4 },
      breaker = { slow_call = { duration = 4, rate = 0.5 } } } },
    quiet = { { timeout = { attempt = 4 },
      breaker = { slow_call = { duration = 3.9, rate = 0.5 } } } },
  },
  open_shorter_than_backoff = {
    fires = { { breaker = { open_for = 2.9 } } }, -- the second wait is up to 3 s
    quiet = { { breaker = { open_for = 3 } } },
  },
  ["open_shorter_than_backoff with jitter"] = {
    fires = { { breaker = { open_for = { base = 5, jitter = 0.5 } } } },
    quiet = { { breaker = { open_for = { base = 5, jitter = 0.3 } } } },
  },
  lease_shorter_than_attempt = {
    fires = { { breaker = { half_open = { lease = 29 } } } },
    quiet = { { breaker = { half_open = { lease = 30 } } } },
  },
  bulkhead_over_pool = {
    fires = { { pool = { http2 = false }, bulkhead = { max_concurrent = 21 } } },
    quiet = { { pool = { http2 = false }, bulkhead = { max_concurrent = 20 } } },
    says = "^21 attempts are admitted, and policy.pool.per_host has 20 connections",
  },
  ["bulkhead_over_pool over HTTP/2"] = {
    fires = { { base_url = "http://api.example/", bulkhead = { max_concurrent = 21 } } },
    quiet = { { base_url = "https://api.example/", bulkhead = { max_concurrent = 21 } } },
  },
  ["bulkhead_over_pool of several workers"] = {
    fires = { { pool = { http2 = false }, bulkhead = { max_concurrent = 41 } }, { workers = 2 } },
    quiet = { { pool = { http2 = false }, bulkhead = { max_concurrent = 40 } }, { workers = 2 } },
  },
  pool_too_small = {
    fires = { { pool = { max_connections = 19 } } },
    quiet = { { pool = { max_connections = 20 } } },
  },
  ["pool_too_small for the bulkhead"] = {
    fires = { { pool = { max_connections = 29, http2 = false },
      bulkhead = { max_concurrent = 30 } } },
    quiet = { { pool = { max_connections = 30, http2 = false },
      bulkhead = { max_concurrent = 30 } } },
    says = "^29 connections, and policy.bulkhead.max_concurrent may use 30",
  },
  rate_over_server = {
    fires = { { rate_limit = { rate = 11 } }, { server_rate_limit = 10 } },
    quiet = { { rate_limit = { rate = 600, per = 60 } }, { server_rate_limit = 10 } },
  },
  ["rate_over_server without a limit"] = {
    fires = { { retry = { budget = { ratio = 0.2, min_per_second = 0 } } },
      { server_rate_limit = 10, rate = 9 }, "policy.rate_limit" },
    quiet = { { retry = { budget = { ratio = 0.2, min_per_second = 0 } } },
      { server_rate_limit = 10, rate = 8 } },
  },
  rate_below_load = {
    fires = { { rate_limit = { rate = 10 } }, { rate = 11 } },
    quiet = { { rate_limit = { rate = 10 } }, { rate = 10 } },
    says = "1 of them are refused",
  },
  fallback_to_itself = {
    fires = { { fallback = { { service = service("api", "https://b.example/") } } }, nil,
      "policy.fallback[1]" },
    quiet = { { fallback = { { service = service("other", "https://b.example/") } } } },
  },
  fallback_same_server = {
    fires = { { fallback = { { default = nothing }, { service = service("c",
      "https://API.example:443/v2") } } }, nil, "policy.fallback[2]" },
    quiet = { { fallback = { { service = service("d", "https://api.example:444/") } } } },
  },
  fallback_without_cache = {
    fires = { { fallback = { { cache = true } } }, nil, "policy.fallback[1]" },
    quiet = { { fallback = { { cache = true } }, cache = true } },
  },
  not_enforced = {
    fires = { { breaker = { enforce = false } } },
    quiet = { { breaker = { enforce = true } } },
  },
  ["not_enforced rate limit"] = {
    fires = { { rate_limit = { rate = 20, enforce = false } }, nil, "policy.rate_limit.enforce" },
    quiet = { { rate_limit = { rate = 20 } } },
  },
  ["not_enforced bulkhead"] = {
    fires = { { bulkhead = { max_concurrent = 2, enforce = false } }, nil,
      "policy.bulkhead.enforce" },
    quiet = { { bulkhead = { max_concurrent = 2 } } },
  },
  ["rate_below_load where it is enforced"] = {
    fires = { { rate_limit = { rate = 10 } }, { rate = 11 } },
    quiet = { { rate_limit = { rate = 10, enforce = false } }, { rate = 11 } },
  },
  chaos_on = {
    fires = { { chaos = { rate = 0.1, latency = 1 } } },
    quiet = { { chaos = false } },
  },
  tls_not_verified = {
    fires = { { tls = { verify = false } } },
    quiet = { { tls = { verify = true } } },
  },
  credentials_over_http = {
    fires = { { base_url = "http://api.example/", headers = { authorization = "Bearer x" } } },
    quiet = { { base_url = "https://api.example/", headers = { authorization = "Bearer x" } } },
  },
  ["credentials_over_http to another machine"] = {
    fires = { { base_url = "HTTP://api.example/", headers = { ["X-Api-Key"] = "x" } } },
    quiet = { { base_url = "http://127.0.0.1:8080/", headers = { ["X-Api-Key"] = "x" } } },
  },
  ["credentials_over_http where it is a secret"] = {
    fires = { { base_url = "http://api.example/", headers = { Cookie = "x" } } },
    quiet = { { base_url = "http://api.example/", headers = { Accept = "x" } } },
  },
}

describe("neap.check", function()
  local rules = {}
  for _, rule in ipairs(core.check_rules()) do
    rules[rule.rule] = rule
  end

  for name, case in pairs(CASES) do
    it("finds " .. name, function()
      local rule = rules[name:match("^[%w_]+")]
      local part, facts, path = case.fires[1], case.fires[2], case.fires[3]
      local report = check(part, facts)
      local found = found_by(rule.rule, report)
      assert.equal(1, #found)
      assert.equal(rule.level, found[1].level)
      assert.equal(path or rule.path, found[1].path)
      assert.equal(rule.page, found[1].page)
      assert.matches(case.says or "%w", found[1].message)
      assert.is_true(#found[1].message < 319, found[1].message) -- none is cut off
      assert.is_true(report.ok or rule.level ~= nil)
      assert.same({}, found_by(rule.rule, check(case.quiet[1], case.quiet[2])))
    end)
  end

  it("has a case for each rule", function()
    for rule in pairs(rules) do
      assert.is_truthy(CASES[rule], rule)
    end
  end)

  it("names keys that a policy has, and pages that there are", function()
    local keys = process.read_file("docs/policy.md")
    for _, rule in pairs(rules) do
      local key = rule.path:match("^policy%.(.+)$")
      assert.is_truthy(keys:find("| `" .. key .. "` |", 1, true), key)
      assert.is_truthy(process.read_file("docs/" .. rule.page), rule.page)
    end
  end)

  it("is content with a policy that fits together", function()
    local report = check{
      timeout = { attempt = 3, total = 20 },
      retry = { max_server_delay = 15 },
      idempotency = true,
    }
    assert.is_true(report.ok)
    assert.same({}, report.findings)
  end)

  it("has nothing but notes on the defaults", function()
    local report = check{}
    assert.is_true(report.ok)
    assert.equal(30, report.worst_case)
    assert.equal(3, report.attempts)
    for _, finding in ipairs(report.findings) do
      assert.equal("note", finding.level)
    end
  end)

  it("is not ok where a finding is an error", function()
    assert.is_false(check{ tls = { verify = false } }.ok)
    assert.is_true(check{ retry = { budget = false } }.ok)
  end)

  it("tells findings in the order of the rules", function()
    local order = {}
    for index, rule in ipairs(core.check_rules()) do
      order[rule.rule] = index
    end
    local last = 0
    for _, finding in ipairs(check({
      timeout = { attempt = 40, connect = 41, total = 9 },
      retry = { max_attempts = 9, backoff = { jitter = "none", base = 5 }, budget = false,
        when = nothing },
      breaker = { slow_call = { duration = 50, rate = 1 }, open_for = 1,
        half_open = { lease = 1 } },
      pool = { max_connections = 1, http2 = false },
      bulkhead = { max_concurrent = 200, max_wait = 100 },
      fallback = { nothing, { cache = true } },
      tls = { verify = false },
    }, { allowed_latency = 1 }).findings) do
      assert.is_true(order[finding.rule] >= last, finding.rule)
      last = order[finding.rule]
    end
    assert.is_true(last > 20)
  end)

  it("raises where a client would", function()
    local here = debug.getinfo(1, "S").short_src
    local function message_of(...)
      local args = { ... }
      local done, message = pcall(function()
        neap.check(args[1], args[2])
      end)
      assert.is_false(done)
      assert.equal(here, message:sub(1, #here))
      return message
    end
    assert.matches(": policy: expected a table, got nil", message_of())
    assert.matches('policy.retry.max_attempt: unknown key, did you mean "max_attempts"%?',
      message_of{ name = "x", retry = { max_attempt = 1 } })
    assert.matches("policy.fallback%[1%].service: expected a client",
      message_of{ name = "x", fallback = { { service = {} } } })
    assert.matches("policy.fallback%[1%].default.status: expected",
      message_of{ name = "x", fallback = { { default = { status = "x" } } } })
    assert.matches("policy.cache.store: expected a store",
      message_of{ name = "x", cache = { store = {} } })
    assert.matches('facts.rates: unknown key, did you mean "rate"%?',
      message_of({ name = "x" }, { rates = 1 }))
    assert.matches("facts.rate: expected a number > 0 %(calls a second%), got 0",
      message_of({ name = "x" }, { rate = 0 }))
    assert.matches("facts.workers: expected an integer >= 1", message_of({ name = "x" },
      { workers = 0 }))
  end)

  it("makes no client", function()
    neap.check{ name = "nobody" }
    assert.is_nil(neap.stats().nobody)
  end)

  it("tells what the worst case is made of", function()
    local report = check{
      timeout = { attempt = 2, total = 99 },
      retry = { max_attempts = 2, honor_retry_after = false, backoff = fixed(3),
        max_server_delay = 10 },
      gate = { max_wait = 4 },
      rate_limit = { rate = 1, max_wait = 5 },
      bulkhead = { max_concurrent = 1, max_wait = 6 },
    }
    assert.same({ attempts = 4, backoff = 3, gate = 10, rate_limit = 10, bulkhead = 12,
      others = 0 }, report.parts)
    assert.equal(39, report.worst_case)
    assert.equal(math.huge, check{ retry = { backoff = nothing } }.parts.backoff)
    assert.equal(math.huge, check{ coalesce = true }.parts.others)
  end)

  it("names in its messages keys that a policy has", function()
    local keys, named = process.read_file("docs/policy.md"), 0
    for _, case in pairs(CASES) do
      for _, finding in ipairs(check(case.fires[1], case.fires[2]).findings) do
        for key in finding.message:gmatch("policy%.([%w_.]*%w)") do
          assert.is_truthy(keys:find("| `" .. key .. "` |", 1, true), key)
          named = named + 1
        end
      end
    end
    assert.is_true(named > 20)
  end)

  describe("the worst case of a fallback", function()
    local function worst_with(entry)
      return check{ retry = false, gate = false, timeout = { attempt = 2 },
        fallback = { entry } }.worst_case
    end

    it("is that of the service, up to the deadline", function()
      local quick = neap.client{ name = "quick", timeout = { total = 3 } }
      assert.equal(2 + 3, worst_with{ service = quick })
      assert.equal(30, worst_with{ service = neap.client{ name = "slow" } })
      assert.equal(30, worst_with{ service = quick, request = function(req) return req end })
    end)

    it("is nothing for what needs no network", function()
      assert.equal(2, worst_with{ default = { status = 200 } })
    end)
  end)

  describe("the amplification", function()
    -- Requests for each call, where so many a second meet a server that is down for a minute.
    local function measure(part, rate)
      local kit = testing.new{ seed = 1 }
      local policy = policy_of(part)
      policy.breaker = false
      local client, calls = kit:client(policy), rate * 60
      kit:script{ { error = "connect", ["repeat"] = true } }
      kit:run(function()
        for _ = 1, calls do
          neap.spawn(function() client:get("/") end)
          neap.sleep(1 / rate)
        end
      end)
      return #kit.requests / calls
    end

    local function is_near(expected, got)
      assert.is_true(math.abs(expected - got) < 0.05 * expected, expected .. " and " .. got)
    end

    it("is what a server that is down gets", function()
      for _, budget in ipairs{ false, { ratio = 0.5, min_per_second = 0 },
        { ratio = 0.1, min_per_second = 10 } } do
        local part = { retry = { budget = budget, backoff = { base = 0.1 } } }
        for _, rate in ipairs{ 5, 40 } do
          local report = check(part, { rate = rate })
          is_near(report.amplification, measure(part, rate))
          is_near(3, report.amplification_without_budget)
        end
      end
    end)

    it("counts no reserve where the load is not known", function()
      assert.equal(1.2, check{}.amplification)
      assert.equal(3, check{ retry = { budget = false } }.amplification)
      assert.equal(1, check{ retry = false }.amplification)
    end)
  end)
end)

describe("neap.check of a chain of fallbacks with a metatable", function()
  it("reads it raw, as neap.client does", function()
    local function chain()
      return setmetatable({ { default = { status = 200 } } }, {
        __len = function() error("__len") end,
        __index = function() error("__index") end,
      })
    end
    neap.client{ name = "chain", fallback = chain() }:close()
    assert.is_table(neap.check{ name = "chain", fallback = chain() }.findings)
  end)
end)

-- A table in docs/check.md has the rules as the code declares them.
describe("docs/check.md", function()
  it("has each rule as it is declared, in this order", function()
    local rows = {}
    for row in process.read_file("docs/check.md"):gmatch("\n(| `[%w_]+` | %a+ | [^\n]+)") do
      rows[#rows + 1] = row
    end
    for index, rule in ipairs(core.check_rules()) do
      assert.equal(("| `%s` | %s | `%s` | %s | [%s](%s) |"):format(rule.rule, rule.level,
        rule.path, rule.summary, rule.page:match("^[^.]+"), rule.page), rows[index])
    end
    assert.equal(#core.check_rules(), #rows)
  end)
end)
