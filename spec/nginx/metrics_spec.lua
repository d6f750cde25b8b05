-- The page of metrics: one for all workers, and a real Prometheus that reads it.
local http = require "socket.http"
local ltn12 = require "ltn12"

local calls = require "spec.support.calls"
local example = require "examples.support.nginx"
local exposition = require "spec.support.exposition"
local farm = require "spec.support.farm"
local prometheus = require "spec.support.prometheus"
local server = require "spec.support.server"

local s, n
local talks -- one with each worker

local WORKERS = 4

local INIT = [[
  api = neap.client{ name = "api", base_url = upstream, retry = false, gate = false,
    breaker = { key = "host" } }
  pages = require "neap.nginx"
]]

local CONF = [[
  location = /metrics { content_by_lua_block { pages.metrics() } }
  location = /early {
    access_by_lua_block { pages.metrics() }
    content_by_lua_block { ngx.print("too much") }
  }
  location = /misplaced {
    content_by_lua_block { ngx.print("ok") }
    header_filter_by_lua_block {
      ngx.header["X-Raised"] = select(2, pcall(pages.metrics))
    }
  }
]]

setup(function()
  s = server.start()
  n = farm.start{ workers = WORKERS, upstream = s.url, region = true, init = INIT, conf = CONF }
  talks = n:each_worker(1)
end)

teardown(function()
  n:stop()
  s:stop()
end)

-- Every worker makes so many calls of each of these statuses.
local function call_from_all(statuses)
  for worker = 1, WORKERS do
    for status, count in pairs(statuses) do
      for _ = 1, count do
        talks[worker][1]:run(("api:get('/status/%d') return true"):format(status))
      end
    end
  end
end

local function request(path, method)
  local parts = {}
  local _, status, headers = http.request{ url = n.url .. path, method = method,
    sink = ltn12.sink.table(parts) }
  return { status = status, headers = headers, body = table.concat(parts) }
end

-- The page as each of the workers gives it.
local function pages()
  local texts = {}
  for worker = 1, WORKERS do
    local status, text = talks[worker][1]:get("/metrics")
    assert.equal(200, status)
    exposition.read(text)
    texts[worker] = text
  end
  return texts
end

local OK = 'neap_calls_total{client="api",result="ok"}'

describe("the page of metrics", function()
  it("has the sums of all workers, whichever is asked", function()
    local before = exposition.value(pages()[1], OK)
    call_from_all{ [200] = 3, [404] = 1, [503] = 2 }
    for _, text in ipairs(pages()) do
      assert.equal(before + 3 * WORKERS, exposition.value(text, OK))
      assert.equal(2 * WORKERS,
        exposition.value(text, 'neap_calls_total{client="api",result="5xx"}'))
      assert.equal(6 * WORKERS, exposition.value(text, 'neap_attempts_total{client="api"}'))
      assert.equal(6 * WORKERS,
        exposition.value(text, 'neap_attempt_duration_seconds_count{client="api"}'))
    end
  end)

  it("has the connections of all workers", function()
    call_from_all{ [200] = 2 }
    for _, text in ipairs(pages()) do
      assert.equal(WORKERS, exposition.value(text, 'neap_pool_connections{client="api"}'))
      assert.equal(WORKERS, exposition.value(text, 'neap_pool_opened_total{client="api"}'))
    end
  end)

  it("has the calls that all workers have under way", function()
    for worker = 1, WORKERS do
      talks[worker][1]:begin "api:get('/slow?gate=metrics') return true"
    end
    local other = n:talk()
    assert.is_truthy(farm.wait("calls under way", function()
      local _, text = other:get("/metrics")
      return exposition.value(text, 'neap_in_flight{client="api"}') == WORKERS
    end))
    s:release("metrics")
    for worker = 1, WORKERS do
      talks[worker][1]:finish()
    end
    assert.equal(0, exposition.value(pages()[1], 'neap_in_flight{client="api"}'))
  end)

  it("has the breakers of keys that any worker has made", function()
    local key = s.url:match("^(http://.*)$")
    call_from_all{ [200] = 1 }
    for _, text in ipairs(pages()) do
      assert.equal(1, exposition.value(text,
        ('neap_breaker_state{client="api",key="%s",state="closed"}'):format(key)), text)
    end
  end)

  it("has the shared memory's own figures", function()
    local text = pages()[1]
    local region = ('{region="%s"}'):format(n.region)
    assert.equal(1048576, exposition.value(text, "neap_shared_size_bytes" .. region))
    assert.is_true(exposition.value(text, "neap_shared_processes" .. region) >= WORKERS)
    assert.is_nil(text:find("worker=", 1, true))
  end)

  it("is what Prometheus wants, by its head", function()
    local page = request("/metrics")
    assert.equal(200, page.status)
    assert.equal("text/plain; version=0.0.4; charset=utf-8", page.headers["content-type"])
    assert.equal(#page.body, tonumber(page.headers["content-length"]))
  end)

  it("is there for GET and HEAD only", function()
    local head = request("/metrics", "HEAD")
    assert.equal(200, head.status)
    assert.equal("", head.body)
    local post = request("/metrics", "POST")
    assert.equal(405, post.status)
    assert.equal("GET, HEAD", post.headers.allow)
  end)

  it("is the whole answer in access_by_lua too", function()
    local page = request("/early")
    assert.equal(200, page.status)
    exposition.read(page.body)
    assert.is_nil(page.body:find("too much", 1, true))
  end)

  it("is refused in a phase that gives no answers", function()
    assert.equal("a request is answered in content_by_lua or access_by_lua, not in the phase "
      .. "header_filter", request("/misplaced").headers["x-raised"])
  end)

  it("passes promtool without a warning", function()
    if calls.output("command -v promtool") == "" then
      return pending "promtool is not here (Debian: prometheus)"
    end
    call_from_all{ [200] = 1 }
    calls.with_file(pages()[1], function(path)
      assert.equal("", calls.output("promtool check metrics 2>&1 < " .. path))
    end)
  end)
end)

describe("without shared memory the page of metrics", function()
  local alone

  before_each(function()
    alone = farm.start{ workers = 2, upstream = s.url, init = INIT, conf = CONF }
  end)

  after_each(function()
    alone:stop()
  end)

  it("says which worker's figures these are", function()
    local lists = alone:each_worker(1)
    local seen = {}
    for worker = 1, 2 do
      local talk = lists[worker][1]
      for _ = 1, worker do
        talk:run "api:get('/status/200') return true"
      end
      local _, text = talk:get("/metrics")
      local id, count = text:match('neap_attempts_total{client="api",worker="(%d)"} (%d+)')
      exposition.read(text)
      seen[id] = tonumber(count)
    end
    assert.equal(3, (seen["0"] or 0) + (seen["1"] or 0))
  end)
end)

describe("after a worker's death the page of metrics", function()
  it("has all that it had counted, and nothing that it had out", function()
    local mourning = farm.start{ workers = 2, upstream = s.url, region = true, init = INIT,
      conf = CONF }
    local lists, pids = mourning:each_worker(2)
    for worker = 1, 2 do
      lists[worker][1]:run "api:get('/status/200') return true"
    end
    lists[1][2]:begin "api:get('/slow?gate=death') return true"
    local function page()
      return select(2, lists[2][1]:get("/metrics"))
    end
    assert.is_truthy(farm.wait("the call that is under way", function()
      return exposition.value(page(), 'neap_in_flight{client="api"}') == 1
    end))
    os.execute("kill -KILL " .. pids[1])
    assert.is_truthy(farm.wait("what died with the worker", function()
      return exposition.value(page(), 'neap_in_flight{client="api"}') == 0
    end))
    assert.equal(1, exposition.value(page(), 'neap_pool_connections{client="api"}'))
    assert.equal(2, exposition.value(page(), OK))
    s:release("death")
    mourning:stop()
  end)
end)

describe("a real Prometheus", function()
  local gateway, p

  local function count_lines(text, part)
    return select(2, text:gsub(part, ""))
  end

  -- The first edge that all attempts lie below.
  local function longest_attempt(text)
    local family = exposition.read(text).neap_attempt_duration_seconds
    local count = exposition.value(text, 'neap_attempt_duration_seconds_count{client="api"}')
    for _, sample in ipairs(family.samples) do
      if sample.labels.le and sample.value == count then
        return tonumber(sample.labels.le)
      end
    end
  end

  setup(function()
    if not prometheus.is_here() then
      return
    end
    gateway = example.start()
    p = prometheus.start{
      farm = n.url:match("[%d.:]+$"),
      gateway = gateway.url:match("[%d.:]+$"),
    }
  end)

  teardown(function()
    if p then
      p:stop()
      gateway:stop()
    end
  end)

  local function asks(what, fn)
    it(what, function()
      if not p then
        return pending "Prometheus is not here (Debian: prometheus)"
      end
      fn()
    end)
  end

  asks("counts the calls of all workers", function()
    call_from_all{ [200] = 5, [500] = 1 }
    local expected = exposition.value(pages()[1], OK)
    assert.is_true(expected >= 5 * WORKERS)
    assert.equal(expected,
      p:value_when('sum(neap_calls_total{job="farm",client="api",result="ok"})', expected))
    assert.equal(WORKERS, p:value_when('neap_pool_connections{job="farm"}', WORKERS))
    assert.equal(1, p:value_when('neap_breaker_state{job="farm",state="closed"} == 1', 1))
  end)

  asks("takes every sample of the page, and each once", function()
    local samples = count_lines(pages()[1], "\nneap_")
    assert.equal(samples, p:value_when('scrape_samples_scraped{job="farm"}', samples))
    assert.equal(samples, p:value_when('count({__name__=~"neap_.*",job="farm"})', samples))
    assert.same({ farm = "", gateway = "" }, p:scrape_errors())
  end)

  asks("finds quantiles and rates in the histograms", function()
    talks[1][1]:run "api:get('/slow?headers=0.3') return true"
    local longest = longest_attempt(pages()[1])
    assert.is_true(longest > 0.3)
    assert.equal(longest, p:value_when('histogram_quantile(1, '
      .. 'neap_attempt_duration_seconds_bucket{job="farm",client="api"})', longest))
    assert.is_truthy(farm.wait("a rate", function()
      local rate = p:query('rate(neap_attempts_total{job="farm"}[1m])')
      return #rate == 1 and rate[1].value > 0
    end))
  end)

  asks("knows from the example's gateway what its visitors have seen", function()
    local degraded = 0
    gateway:ask("GET", "/rates/usd")
    gateway:behave("down")
    for _ = 1, 9 do
      local res = assert(gateway:ask("GET", "/rates/usd"))
      degraded = degraded + (res.headers["X-Source"] == "function" and 1 or 0)
    end
    assert.equal(9, degraded)
    assert.equal(10, p:value_when('neap_calls_total{job="gateway",client="rates",result="ok"}', 10))
    assert.equal(9,
      p:value_when('neap_fallbacks_total{job="gateway",client="rates",source="function"}', 9))
    assert.equal(1,
      p:value_when('neap_breaker_state{job="gateway",client="rates",state="open"}', 1))
    local counted = gateway:counters().requests
    assert.equal(counted,
      p:value_when('neap_attempts_total{job="gateway",client="rates"}', counted))
  end)
end)
