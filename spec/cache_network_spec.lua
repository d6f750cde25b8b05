-- The client's cache over the network: on each host, with stores, against a real server.
local calls = require "spec.support.calls"
local neap = require "neap"
local server = require "spec.support.server"

local s

setup(function() s = server.start() end)
teardown(function() s:stop() end)
before_each(function() s:reset() end)

local function client(cache, part)
  local policy = { base_url = s.url, retry = false, cache = cache }
  for key, value in pairs(part or {}) do policy[key] = value end
  return calls.client(policy)
end

local function scratch()
  local path = os.tmpname()
  os.remove(path)
  return path, function()
    for _, suffix in ipairs{ "", "-wal", "-shm" } do os.remove(path .. suffix) end
  end
end

local FRESH = { ["header"] = "Cache-Control:max-age=60" }

describe("a program that blocks", function()
  it("gets a fresh answer without a request", function()
    local api = client{}
    for index, source in ipairs{ "network", "cache", "cache" } do
      local res = calls.answered(api:get("/status/200", { query = FRESH }))
      assert.equal(source, res.source, index)
      assert.equal("200", res.body)
      assert.equal(1.1, res.http_version)
      assert.equal("OK", res.reason)
      assert.is_truthy(res.headers["content-type"] or res.headers["content-length"])
    end
    assert.equal(1, s:ledger().requests)
  end)

  it("keeps a body as it was decoded", function()
    local api = client{}
    local query = { bytes = 3000, header = "Cache-Control:max-age=60" }
    local first = calls.answered(api:get("/gzip", { query = query }))
    local second = calls.answered(api:get("/gzip", { query = query }))
    assert.equal("cache", second.source)
    assert.equal(3000, #first.body)
    assert.equal(first.body, second.body)
  end)

  it("asks whether an answer is still good", function()
    local api = client{}
    local seen = {}
    for index, tag in ipairs{ "a", "a", "b" } do
      s:script("etag", { "/etag?tag=" .. tag .. "&header=Cache-Control:max-age=0" })
      local res = calls.answered(api:get("/s/etag"))
      seen[index] = ("%s %s %s %s"):format(res.source, res.status, res.body, res.trace[1].status)
    end
    assert.same({ "network 200 a 200", "cache 200 a 304", "network 200 b 200" }, seen)
    assert.same({ '"a"' }, calls.sent(s:log()[2], "If-None-Match"))
  end)

  it("asks of no other place than the one that it was told by", function()
    local api = client{}
    s:script("moved", { "/etag?tag=a&header=Cache-Control:max-age=0",
      "/redirect?n=1&to=" .. s.url .. "/etag%3Ftag=a" })
    calls.answered(api:get("/s/moved"))
    local res = calls.answered(api:get("/s/moved"))
    assert.equal("network 200", res.source .. " " .. res.status)
    local log = s:log()
    assert.same({ '"a"' }, calls.sent(log[2], "If-None-Match"))
    assert.same({}, calls.sent(log[3], "If-None-Match"))
  end)

  it("asks each time where a redirect led, which may stand in for an error", function()
    local api = client{ stale_if_error = 60 }
    local line = "/redirect?n=1&to=" .. s.url .. "/etag%3Ftag=a%26header=Cache-Control:max-age%3D60"
    s:script("moved", { line, line, "/reset" })
    for _, source in ipairs{ "network", "network", "stale" } do
      local res = calls.answered(api:get("/s/moved"))
      assert.equal(source, res.source)
      assert.equal("a", res.body)
      assert.is_truthy(res.url:find("/etag", 1, true))
    end
    assert.same({}, calls.sent(s:log()[3], "If-None-Match"))
  end)

  it("refreshes beside what it does next", function()
    local api = client{}
    local path = s:script("swr", { "/status/200?body=one&header=Cache-Control:"
      .. "max-age=0,stale-while-revalidate=60",
      "/status/200?body=two&header=Cache-Control:max-age=60" })
    assert.equal("one", calls.answered(api:get(path)).body)
    local res = calls.answered(api:get(path))
    assert.equal("stale one", res.source .. " " .. res.body)
    calls.wait_for(function() return s:script_state("swr").consumed == 2 end)
    calls.wait_for(function() return api:get(path).body == "two" end)
    assert.equal(2, s:ledger().requests)
    assert.equal("cache", api:get(path).source)
  end)

  it("has the last answer for a server that is gone", function()
    local api = client(nil, { fallback = { { cache = true } } })
    local path = s:script("gone", { "/status/200?body=one", "/reset", "/status/503" })
    assert.equal("network", calls.answered(api:get(path)).source)
    for _ = 1, 2 do
      local res = calls.answered(api:get(path))
      assert.equal("stale one true", ("%s %s %s"):format(res.source, res.body,
        tostring(res.degraded)))
    end
  end)
end)

describe("neap.run", function()
  it("goes on beside calls whose answers come from a disk (SQLite)", function()
    local path, remove = scratch()
    local store = assert(require("neap.store.sqlite").new{ path = path })
    local api = client{ store = store }
    neap.run(function()
      local function get(index)
        return function()
          return calls.answered(api:get("/status/200", { query = { body = tostring(index),
            header = "Cache-Control:max-age=60" } }))
        end
      end
      for _, source in ipairs{ "network", "cache" } do
        local list = {}
        for index = 1, 20 do list[index] = get(index) end
        for index, result in ipairs(neap.all(list)) do
          assert.is_true(result[1], tostring(result[2]))
          assert.equal(source, result[2].source)
          assert.equal(tostring(index), result[2].body)
        end
      end
    end)
    assert.equal(20, s:ledger().requests)
    assert.same({ hits = 20, misses = 20 }, api:stats().cache)
    remove()
  end)

  it("gives many callers the stale answer, and makes one refresh", function()
    local api = client{}
    local path = s:script("swr", { "/status/200?body=one&header=Cache-Control:"
      .. "max-age=0,stale-while-revalidate=60",
      "/status/200?body=two&gate=two&header=Cache-Control:max-age=60" })
    neap.run(function()
      calls.answered(api:get(path))
      local list = {}
      for index = 1, 20 do
        list[index] = function() return api:get(path).source end
      end
      for _, result in ipairs(neap.all(list)) do
        assert.same({ true, "stale" }, result)
      end
      s:release("two")
      calls.wait_for(function() return api:get(path).source == "cache" end)
    end)
    assert.equal(2, s:ledger().requests)
  end)
end)

describe("a loop that is not neap's", function()
  local PROGRAM = [[
    local url, path = ...
    %s
    local neap = require "neap"
    local api = neap.client{ name = "api", base_url = url, retry = false, breaker = false,
      cache = { store = assert(require("neap.store.sqlite").new{ path = path }) } }
    local report = {}
    go(function()
      for index = 1, 3 do
        local res = assert(api:get("/s/swr"))
        report[index] = res.source .. " " .. res.body
      end
      repeat
        neap.sleep(0.01)
        local res = assert(api:get("/s/swr"))
        report[4] = res.source .. " " .. res.body
      until res.source == "cache"
    end)
    run()
    print(require("cjson").encode{ seen = report })
  ]]
  local HEADS = {
    luv = [[
      require "neap.loop.luv"
      local function go(fn) coroutine.wrap(fn)() end
      local function run() require("luv").run() end
    ]],
    cqueues = [[
      require "neap.loop.cqueues"
      local loop = require("cqueues").new()
      local function go(fn) loop:wrap(fn) end
      local function run() assert(loop:loop()) end
    ]],
  }

  for library, head in pairs(HEADS) do
    it(("waits for the store and refreshes on its own loop (%s)"):format(library), function()
      local path, remove = scratch()
      s:script("swr", { "/status/200?body=one&header=Cache-Control:"
        .. "max-age=0,stale-while-revalidate=60",
        "/status/200?body=two&after=0.2&header=Cache-Control:max-age=60" })
      local report = calls.child(nil, PROGRAM:format(head), s.url, path)
      assert.same({ "network one", "stale one", "stale one", "cache two" }, report.seen)
      remove()
    end)
  end
end)
