-- Ten thousand calls by four workers to a server that goes wrong in every way: what neap has
-- counted is exactly what the callers have got, and what the server has seen.
local exposition = require "spec.support.exposition"
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local WORKERS, LANES, EACH = 4, 10, 250
local CALLS = WORKERS * LANES * EACH

-- Of 100 calls so many do this. Of those that wait for a timeout there are few: they take time.
local INIT = [[
  local MIX = {
    { 52, "GET", "/status/200" },
    { 5, "GET", "/status/404" },
    { 5, "GET", "/status/503" },
    { 4, "GET", "/status/500" },
    { 4, "GET", "/reset?at=request" },
    { 3, "GET", "/close?at=headers" },
    { 2, "GET", "/short?declared=100&sent=50&end=close" },
    { 2, "GET", "/garbage?kind=version" },
    { 1, "GET", "/slow?headers=5" },
    { 5, "POST", "/payments?lose=after" },
    { 4, "POST", "/payments" },
    { 2, "POST", "/status/502" },
    { 2, "GET", refused .. "/" },
    { 9, "GET", "/echo" },
  }
  api = neap.client{ name = "api", base_url = upstream, gate = false, breaker = false,
    timeout = { read = 0.3 }, idempotency = true, pool = { per_host = 100 },
    retry = { backoff = { base = 0.001 }, budget = false } }
  guarded = neap.client{ name = "guarded", base_url = upstream, gate = false, retry = false,
    timeout = { read = 10 }, bulkhead = { max_concurrent = 6 },
    breaker = { consecutive_failures = 5, open_for = 0.02, half_open = { permits = 2 } },
    fallback = { { when = { "breaker_open" }, default = { status = 200, body = "later" } } } }

  heard = {} -- by this worker's listeners
  for _, client in ipairs{ api, guarded } do
    heard[client.name] = { attempt = 0, retry = 0, reject = 0, fallback = 0, done = 0 }
    for event in pairs(heard[client.name]) do
      client:on(event, function(e) heard[e.client][event] = heard[e.client][event] + 1 end)
    end
  end

  local function count(tally, key, by)
    tally[key] = (tally[key] or 0) + (by or 1)
  end

  -- What the caller can see of a call, in the words of stats().
  local function add(tally, name, res, err)
    local mine = tally[name]
    count(mine, "calls")
    if err then
      count(mine, "errors." .. err.kind)
    elseif res.ok then
      count(mine, "ok")
    else
      count(mine, "failed." .. math.floor(res.status / 100) .. "xx")
    end
    if res and res.source ~= "network" then
      count(mine, "fallbacks." .. res.source)
    end
    local before
    for _, entry in ipairs((res or err).trace) do
      if entry.kind == "attempt" then
        count(mine, "attempts")
        if before then
          count(mine, "retries." .. (before.error or before.status))
        end
        if entry.error == "timeout" then
          count(mine, "timeouts." .. entry.phase)
        end
        if entry.error == "connect" then
          count(tally.server, "unseen")
        end
        before = entry
      elseif entry.kind == "reject" then
        count(mine, "rejections." .. entry.error)
      end
    end
    return (res or err).attempts
  end

  local function pick(number)
    local share = number * 37 % 100
    for _, entry in ipairs(MIX) do
      share = share - entry[1]
      if share < 0 then
        return entry
      end
    end
  end

  -- One call in five goes through breaker and bulkhead.
  function go(first, calls)
    local tally = { api = {}, guarded = {}, server = {} }
    for number = first, first + calls - 1 do
      if number % 5 == 0 then
        local bad = number % 200 < 50
        local path = bad and "/status/500/guarded" or "/status/200/guarded"
        count(tally.server, path, add(tally, "guarded", guarded:get(path)))
      else
        local _, method, path = unpack(pick(number))
        local attempts = add(tally, "api", api:request{ method = method,
          [path:find("://") and "url" or "path"] = path, body = method == "POST" and "5" or nil })
        count(tally.server, path:match("^[^?]+"), attempts)
      end
    end
    return tally
  end
]]

local s, n, lists
local tally -- what all callers have got, summed up

local function add_all(into, from)
  for key, value in pairs(from) do
    if type(value) == "table" then
      into[key] = into[key] or {}
      add_all(into[key], value)
    else
      into[key] = (into[key] or 0) + value
    end
  end
  return into
end

-- { errors = { reset = 1 } } as { ["errors.reset"] = 1 }, of what is a count.
local COUNTS = { calls = true, ok = true, attempts = true, failed = true, errors = true,
  retries = true, timeouts = true, rejections = true, fallbacks = true }

local function flat(stats)
  local counts = {}
  for key, value in pairs(stats) do
    if COUNTS[key] and type(value) == "table" then
      for name, count in pairs(value) do
        counts[key .. "." .. name] = count
      end
    elseif COUNTS[key] then
      counts[key] = value
    end
  end
  return counts
end

local function stats_of(worker, name)
  return lists[worker][1]:run(("return %s:stats()"):format(name))
end

setup(function()
  s = server.start()
  n = farm.start{ workers = WORKERS, upstream = s.url, region = true,
    init = ("local refused = %q\n"):format(s.refused) .. INIT }
  lists = n:each_worker(LANES)
  local first = 1
  for worker = 1, WORKERS do
    for lane = 1, LANES do
      lists[worker][lane]:begin(("return go(%d, %d)"):format(first, EACH))
      first = first + EACH
    end
  end
  tally = {}
  for worker = 1, WORKERS do
    for lane = 1, LANES do
      add_all(tally, (lists[worker][lane]:finish()))
    end
  end
  s:settle()
end)

teardown(function()
  n:stop()
  s:stop()
end)

describe("after 10,000 calls with faults by four workers", function()
  it("all has happened that was to be counted", function()
    assert.equal(CALLS, tally.api.calls + tally.guarded.calls)
    for _, key in ipairs{ "ok", "failed.4xx", "failed.5xx", "errors.reset", "errors.connect",
      "errors.timeout", "errors.protocol", "retries.503", "retries.500", "retries.reset",
      "retries.timeout", "timeouts.read" } do
      assert.is_truthy(tally.api[key], key)
    end
    for _, key in ipairs{ "failed.5xx", "errors.bulkhead_full", "rejections.breaker_open",
      "fallbacks.default" } do
      assert.is_truthy(tally.guarded[key], key)
    end
  end)

  it("client:stats has in each worker what the callers of all have got", function()
    for worker = 1, WORKERS do
      for _, name in ipairs{ "api", "guarded" } do
        assert.same(tally[name], flat(stats_of(worker, name)))
      end
    end
  end)

  it("nothing is out any more, and nobody is lost", function()
    for _, name in ipairs{ "api", "guarded" } do
      local stats = stats_of(1, name)
      assert.equal(0, stats.in_flight)
      assert.equal(0, stats.abandoned)
      assert.equal(0, stats.listener_errors)
      assert.equal(stats.attempts, stats.attempt_latency.count)
    end
    assert.equal(tally.api.calls, stats_of(1, "api").latency.count)
  end)

  it("the server has seen each attempt that reached it, by its path", function()
    local seen = s:ledger()
    local expected = tally.api.attempts + tally.guarded.attempts - tally.server.unseen
    assert.equal(expected, seen.requests)
    for path, count in pairs(tally.server) do
      if path:sub(1, 1) == "/" then
        assert.equal(count, seen.paths[path], path)
      end
    end
  end)

  it("each payment was made once, however often it was asked for", function()
    local seen = s:ledger()
    local keys, attempts = 0, 0
    for _, key in pairs(seen.keys) do
      assert.equal(1, key.payments)
      keys, attempts = keys + 1, attempts + key.attempts
    end
    assert.equal(keys, seen.payments)
    assert.equal(tally.server["/payments"], attempts)
    assert.equal(0, seen.payments_without_key)
  end)

  it("the page for Prometheus has the same figures", function()
    local text = lists[1][1]:run("return neap.prometheus()")
    local function value(metric, label, client)
      local labels = label and (',%s="%s"'):format(label[1], label[2]) or ""
      return exposition.value(text, ('%s{client="%s"%s}'):format(metric, client, labels))
    end
    local families = {
      failed = { "neap_calls_total", "result" }, errors = { "neap_calls_total", "result" },
      retries = { "neap_retries_total", "reason" }, timeouts = { "neap_timeouts_total", "phase" },
      rejections = { "neap_rejections_total", "by" },
      fallbacks = { "neap_fallbacks_total", "source" },
    }
    for _, client in ipairs{ "api", "guarded" } do
      for key, count in pairs(tally[client]) do
        local kind, name = key:match("^(%w+)%.(.*)$")
        if kind then
          local family = families[kind]
          assert.equal(count, value(family[1], { family[2], name }, client), key)
        end
      end
      assert.equal(tally[client].ok, value("neap_calls_total", { "result", "ok" }, client))
      assert.equal(tally[client].attempts, value("neap_attempts_total", nil, client))
      assert.equal(tally[client].attempts,
        value("neap_attempt_duration_seconds_count", nil, client))
      assert.equal(0, value("neap_in_flight", nil, client))
    end
  end)

  it("listeners have heard of all of it", function()
    local heard = {}
    for worker = 1, WORKERS do
      add_all(heard, (lists[worker][1]:run("return heard")))
    end
    for _, name in ipairs{ "api", "guarded" } do
      local mine, sums = tally[name], { retries = 0, rejections = 0 }
      for key, count in pairs(mine) do
        local kind = key:match("^(%w+)%.")
        if sums[kind] then
          sums[kind] = sums[kind] + count
        end
      end
      assert.same({ attempt = mine.attempts, done = mine.calls, retry = sums.retries,
        reject = sums.rejections, fallback = mine["fallbacks.default"] or 0 }, heard[name])
    end
  end)
end)
