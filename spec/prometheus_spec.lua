-- neap.prometheus: what clients have counted, as Prometheus reads it.
local calls = require "spec.support.calls"
local exposition = require "spec.support.exposition"
local kit = require "spec.support.kit"
local neap = require "neap"
local policy = require "spec.support.policy"

-- What stands in the text of this family, one line a sample.
local function lines_of(text, name)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    if line:match("^[%w_]+") == name then
      lines[#lines + 1] = line
    end
  end
  return lines
end

local function run(t, client, count)
  t:run(function()
    for _ = 1, count or 1 do
      client:get("/")
    end
  end)
end

-- A call goes well, two fail as the API goes down, one is refused, and one is the probe that finds
-- it well again.
local function outage()
  local t, client = kit.client {
    retry = { max_attempts = 2, backoff = kit.waits_of(1) },
    breaker = { window = { count = 4 }, min_calls = 4, half_open = { permits = 1 },
      open_for = 10 },
    fallback = { { default = { body = "" } } },
  }
  t:script { { status = 200, after = 0.2 }, { status = 503, after = 0.5 },
    { error = "timeout", phase = "read" }, { error = "connect" },
    { status = 200, after = 0.001 } }
  run(t, client, 4)
  t:advance(10)
  run(t, client)
  return client
end

local OUTAGE = [[
# HELP neap_build_info The version of neap; always 1.
# TYPE neap_build_info gauge
neap_build_info{version="VERSION"} 1
# HELP neap_calls_total Calls that have ended, by what they came to.
# TYPE neap_calls_total counter
neap_calls_total{client="api",result="ok"} 5
neap_calls_total{client="api",result="4xx"} 0
neap_calls_total{client="api",result="5xx"} 0
neap_calls_total{client="api",result="resolve"} 0
neap_calls_total{client="api",result="connect"} 0
neap_calls_total{client="api",result="tls"} 0
neap_calls_total{client="api",result="timeout"} 0
neap_calls_total{client="api",result="reset"} 0
neap_calls_total{client="api",result="protocol"} 0
neap_calls_total{client="api",result="too_large"} 0
neap_calls_total{client="api",result="breaker_open"} 0
neap_calls_total{client="api",result="gate"} 0
neap_calls_total{client="api",result="deadline"} 0
neap_calls_total{client="api",result="cancelled"} 0
neap_calls_total{client="api",result="redirect"} 0
neap_calls_total{client="api",result="phase"} 0
neap_calls_total{client="api",result="abandoned"} 0
# HELP neap_call_duration_seconds How long calls took that made an attempt, from begin to end.
# TYPE neap_call_duration_seconds histogram
neap_call_duration_seconds_bucket{client="api",le="0.000256"} 1
neap_call_duration_seconds_bucket{client="api",le="0.000512"} 1
neap_call_duration_seconds_bucket{client="api",le="0.001024"} 2
neap_call_duration_seconds_bucket{client="api",le="0.002048"} 2
neap_call_duration_seconds_bucket{client="api",le="0.004096"} 2
neap_call_duration_seconds_bucket{client="api",le="0.008192"} 2
neap_call_duration_seconds_bucket{client="api",le="0.016384"} 2
neap_call_duration_seconds_bucket{client="api",le="0.032768"} 2
neap_call_duration_seconds_bucket{client="api",le="0.065536"} 2
neap_call_duration_seconds_bucket{client="api",le="0.131072"} 2
neap_call_duration_seconds_bucket{client="api",le="0.262144"} 3
neap_call_duration_seconds_bucket{client="api",le="0.524288"} 3
neap_call_duration_seconds_bucket{client="api",le="1.048576"} 3
neap_call_duration_seconds_bucket{client="api",le="2.097152"} 3
neap_call_duration_seconds_bucket{client="api",le="4.194304"} 3
neap_call_duration_seconds_bucket{client="api",le="8.388608"} 4
neap_call_duration_seconds_bucket{client="api",le="16.777216"} 4
neap_call_duration_seconds_bucket{client="api",le="33.554432"} 4
neap_call_duration_seconds_bucket{client="api",le="67.108864"} 4
neap_call_duration_seconds_bucket{client="api",le="134.217728"} 4
neap_call_duration_seconds_bucket{client="api",le="268.435456"} 4
neap_call_duration_seconds_bucket{client="api",le="+Inf"} 4
neap_call_duration_seconds_sum{client="api"} 6.701
neap_call_duration_seconds_count{client="api"} 4
]]

describe("neap.prometheus of a played outage", function()
  it("has calls and their durations to the letter", function()
    local text = neap.prometheus { outage() }
    local expected = OUTAGE:gsub("VERSION", neap._VERSION)
    assert.equal(expected, text:sub(1, #expected))
  end)

  it("has attempts, retries, timeouts, refusals and fallbacks", function()
    local text = neap.prometheus { outage() }
    for sample, value in pairs {
      ['neap_attempts_total{client="api"}'] = 5,
      ['neap_attempt_duration_seconds_count{client="api"}'] = 5,
      ['neap_attempt_duration_seconds_sum{client="api"}'] = 5.701,
      ['neap_retries_total{client="api",reason="503"}'] = 1,
      ['neap_retries_total{client="api",reason="connect"}'] = 0,
      ['neap_timeouts_total{client="api",phase="read"}'] = 1,
      ['neap_timeouts_total{client="api",phase="total"}'] = 0,
      ['neap_rejections_total{client="api",by="breaker_open"}'] = 1,
      ['neap_fallbacks_total{client="api",source="default"}'] = 3,
      ['neap_in_flight{client="api"}'] = 0,
      ['neap_listener_errors_total{client="api"}'] = 0,
    } do
      assert.equal(value, exposition.value(text, sample), sample)
    end
  end)

  it("has the breaker's state, ratio and changes", function()
    local client = outage()
    assert.same({
      'neap_breaker_state{client="api",state="closed"} 1',
      'neap_breaker_state{client="api",state="open"} 0',
      'neap_breaker_state{client="api",state="half_open"} 0',
      'neap_breaker_state{client="api",state="forced_open"} 0',
      'neap_breaker_state{client="api",state="disabled"} 0',
      'neap_breaker_state{client="api",state="metrics_only"} 0',
    }, lines_of(neap.prometheus { client }, "neap_breaker_state"))
    assert.same({
      'neap_breaker_transitions_total{client="api",to="closed"} 1',
      'neap_breaker_transitions_total{client="api",to="open"} 1',
      'neap_breaker_transitions_total{client="api",to="half_open"} 1',
    }, lines_of(neap.prometheus { client }, "neap_breaker_transitions_total"))
  end)

  it("says the share of failures once there are enough calls", function()
    local t, client = kit.client { retry = false, breaker = { min_calls = 3, failure_rate = 0.5 } }
    t:script { { status = 200 }, { status = 200 }, { status = 503 } }
    run(t, client, 2)
    assert.same({}, lines_of(neap.prometheus { client }, "neap_breaker_failure_ratio"))
    run(t, client)
    assert.same({ 'neap_breaker_failure_ratio{client="api"} 0.333333' },
      lines_of(neap.prometheus { client }, "neap_breaker_failure_ratio"))
  end)
end)

describe("neap.prometheus of a client with alerts", function()
  it("says which of them fire, judged now", function()
    local told = {}
    local t, client = kit.client { retry = false, breaker = false, alerts = { window = 60,
      error_rate = 0.5, min_calls = 1, p99 = 1,
      notify = function(alert) told[#told + 1] = alert.alert end } }
    t:script { { status = 503 }, { status = 503 } }
    run(t, client, 2)
    local firing = 'neap_alert_firing{client="api",alert="error_rate"}'
    assert.equal(0, exposition.value(neap.prometheus { client }, firing))
    t:run(function()
      neap.sleep(61)
      local text = neap.prometheus { client }
      assert.equal(1, exposition.value(text, firing))
      assert.equal(0, exposition.value(text, 'neap_alert_firing{client="api",alert="p99"}'))
    end)
    assert.same({ "error_rate" }, told)
  end)
end)

describe("neap.prometheus agrees with client:stats", function()
  local NAMES = {
    errors = { "neap_calls_total", "result" },
    failed = { "neap_calls_total", "result" },
    retries = { "neap_retries_total", "reason" },
    timeouts = { "neap_timeouts_total", "phase" },
    rejections = { "neap_rejections_total", "by" },
    fallbacks = { "neap_fallbacks_total", "source" },
    transitions = { "neap_breaker_transitions_total", "to" },
  }

  it("in all that was counted", function()
    local client = outage()
    local text, stats = neap.prometheus { client }, client:stats()
    for field, name in pairs(NAMES) do
      for word, count in pairs(stats[field]) do
        assert.equal(count, exposition.value(text, ('%s{client="api",%s="%s"}'):format(name[1],
          name[2], word)))
      end
    end
    assert.equal(stats.attempts, exposition.value(text, 'neap_attempts_total{client="api"}'))
    assert.equal(stats.latency.count,
      exposition.value(text, 'neap_call_duration_seconds_count{client="api"}'))
  end)

  it("in the number of calls that have ended", function()
    local client = outage()
    local sum = 0
    for _, sample in ipairs(exposition.read(neap.prometheus { client }).neap_calls_total.samples) do
      sum = sum + sample.value
    end
    assert.equal(client:stats().calls, sum)
  end)
end)

describe("neap.prometheus keeps to the format", function()
  local function keyed(keys)
    local t, client = kit.client { retry = false,
      breaker = { consecutive_failures = 1, key = function(req) return req.tags.key end } }
    t:script { { status = 503, ["repeat"] = true } }
    t:run(function()
      for _, key in ipairs(keys) do
        client:get("/", { tags = { key = key } })
      end
    end)
    return client
  end

  local function keys_in(text)
    local seen, list = {}, {}
    for _, sample in ipairs(exposition.read(text).neap_breaker_state.samples) do
      local key = sample.labels.key
      if key and not seen[key] then
        seen[key] = true
        list[#list + 1] = key
      end
    end
    return list
  end

  it("with clients of all kinds side by side", function()
    local t = require("neap.testing").new { seed = 1 }
    local list = {
      t:client(kit.policy { name = "plain" }),
      t:client(kit.policy { name = "bare", retry = false, breaker = false, gate = false }),
      t:client(kit.policy { name = "full", cache = {}, coalesce = true, rate_limit = { rate = 1 },
        bulkhead = { max_concurrent = 1 }, fallback = { { cache = true } } }),
      t:client(kit.policy { name = "keyed", breaker = { key = "host" } }),
    }
    t:script { { status = 200, ["repeat"] = true } }
    for _, client in ipairs(list) do
      run(t, client, 3)
    end
    local families = exposition.read(neap.prometheus(list))
    assert.equal("histogram", families.neap_call_duration_seconds.type)
    assert.is_nil(families.neap_breaker_failure_ratio)
    for _, name in ipairs { "neap_cache_events_total", "neap_coalesced_calls_total" } do
      assert.equal("full", families[name].samples[1].labels.client)
    end
  end)

  it("whatever bytes are in a key", function()
    local keys = { 'a"b', "a\\b", "a\nb", "{}=,", "é", "\0", "\255", "\\n" }
    local text = neap.prometheus { keyed(keys) }
    local expected = { [6] = "\\x00", [7] = "\\xff" }
    local seen = {}
    for _, key in ipairs(keys_in(text)) do
      seen[key] = true
    end
    for index, key in ipairs(keys) do
      assert.is_true(seen[expected[index] or key], key)
    end
  end)

  it("with an empty key, which to Prometheus is none", function()
    local text = neap.prometheus { keyed { "", "a" } }
    assert.same({ "a" }, keys_in(text))
    assert.equal(1, exposition.value(text, 'neap_breaker_state{client="api",state="open"}'))
    assert.is_nil(text:find('key=""', 1, true))
  end)

  it("however many keys there are", function()
    local keys = {}
    for index = 1, 120 do
      keys[index] = "tenant-" .. index
    end
    local text = neap.prometheus { keyed(keys) }
    assert.equal(100, #keys_in(text))
    assert.equal(101 * 6, exposition.count(text, "neap_breaker_state"))
    assert.equal(20, exposition.value(text, 'neap_breaker_state{client="api",state="open"}'))
  end)

  it("whatever the locale's decimal point is", function()
    for _, name in ipairs { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8" } do
      os.setlocale(name, "numeric")
    end
    local text = neap.prometheus { outage() }
    os.setlocale("C", "numeric")
    assert.equal(6.701, exposition.value(text, 'neap_call_duration_seconds_sum{client="api"}'))
  end)

  it("as promtool sees it, without a warning", function()
    if calls.output("command -v promtool") == "" then
      return pending "promtool is not here (Debian: prometheus)"
    end
    local text = neap.prometheus { outage() }
    local said = calls.with_file(text, function(path)
      return calls.output("promtool check metrics 2>&1 < " .. path .. "; echo status $?")
    end)
    assert.equal("status 0\n", said)
  end)
end)

describe("neap.prometheus without a list", function()
  it("has every open client, in the order of their names", function()
    local second = neap.client(kit.policy { name = "second" })
    local first = neap.client(kit.policy { name = "first" })
    local guarded = neap.wrap({ name = "third" }, tostring)
    guarded(1)
    local _, of_a_kit = kit.client { name = "of a kit" }
    local names = {}
    for _, sample in ipairs(exposition.read(neap.prometheus()).neap_in_flight.samples) do
      names[#names + 1] = sample.labels.client
    end
    local all = table.concat(names, " ")
    assert.is_truthy(all:find("first.*second.*third"), all)
    assert.is_nil(all:find("of a kit"), all)
    first:close()
    assert.is_nil(neap.prometheus():find('client="first"', 1, true))
    assert.is_truthy(second and of_a_kit and guarded)
  end)

  it("is a version where there is no client", function()
    assert.same({ lines = 3, version = neap._VERSION }, calls.child(nil, [[
      local text = require("neap").prometheus()
      local _, lines = text:gsub("\n", "")
      print(('{"lines":%d,"version":"%s"}'):format(lines, text:match('version="(.-)"')))
    ]]))
  end)
end)

describe("neap.prometheus refuses at the caller's line", function()
  it("what is no list of clients", function()
    for _, given in ipairs{ { api = 1 }, { [2] = 1 } } do
      policy.misuse("clients: expected a list of clients, got a table with other keys",
        function() neap.prometheus(given) end)
      policy.misuse("clients: expected a list of clients, got a table with other keys",
        function() neap.status(given) end)
    end
    policy.misuse("clients: expected a list of clients, got a string",
      function() neap.prometheus("api") end)
    policy.misuse("clients[2]: expected a client",
      function() neap.prometheus { outage(), {} } end)
  end)

  it("two clients of one name, whose samples would be twice the same", function()
    policy.misuse('clients[2]: there is another client of the name "api"',
      function() neap.prometheus { outage(), outage() } end)
  end)
end)

describe("neap.prometheus of a closed client in a list", function()
  it("has what it had counted", function()
    local client = outage()
    client:close()
    local text = neap.prometheus { client }
    assert.equal(5, exposition.value(text, 'neap_attempts_total{client="api"}'))
  end)
end)
