-- The client's cache on the virtual clock: what is answered without an attempt, what is asked
-- about, what stands in for an error, and what is never stored.
local neap = require "neap"
local kit = require "spec.support.kit"
local policy = require "spec.support.policy"
local testing = require "neap.testing"

local EPOCH = 1767225600 -- 2026-01-01T00:00:00Z, the kit's default

local function http_date(epoch)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", epoch)
end

-- An answer with that Cache-Control.
local function answer(control, more)
  local entry = { status = 200, body = "one", headers = { ["Cache-Control"] = control } }
  for key, value in pairs(more or {}) do
    if key == "headers" then
      for name, text in pairs(value) do entry.headers[name] = text end
    else
      entry[key] = value
    end
  end
  return entry
end

-- A kit with a client that has a cache and makes one attempt a call.
local function caching(cache, part)
  local parts = { retry = false, breaker = false, cache = cache or {} }
  for key, value in pairs(part or {}) do
    parts[key] = value
  end
  return kit.client(parts)
end

-- "source age attempts body" of what a call came to; the kind of its error.
local function words(res, err)
  if not res then
    return err.kind
  end
  return ("%s %s %s %s"):format(res.source, res.age and ("%.3f"):format(res.age) or "-",
    res.attempts, res.body)
end

-- Each step of the timeline is { moment, request?, expected }; all GETs of "/".
local function timeline(t, client, script, steps)
  t:script(script)
  t:run(function()
    for index, step in ipairs(steps) do
      neap.sleep(step[1] - t:now())
      local request = { method = "GET", path = "/" }
      for key, value in pairs(type(step[2]) == "table" and step[2] or {}) do
        request[key] = value
      end
      assert.equal(("step %d: %s"):format(index, step[#step]),
        ("step %d: %s"):format(index, words(client:request(request))))
    end
  end)
  return t
end

local TWO = { status = 200, body = "two" }

describe("a fresh answer", function()
  it("is given without an attempt while age < lifetime", function()
    local t, client = caching()
    timeline(t, client, { answer("max-age=10"), TWO }, {
      { 0, "network - 1 one" },
      { 0, "cache 0.000 0 one" },
      { 9, "cache 9.000 0 one" },
      { 9.999, "cache 9.999 0 one" },
      { 10, "network - 1 two" },
    })
    assert.equal(2, #t.requests)
  end)

  it("is not degraded, and keeps status, body and headers in their order",
    function()
      local t, client = caching()
      t:script{ answer("max-age=10", { status = 404, body = "a\0\r\n\255",
        headers = { ["Set-Cookie"] = { "a=1", "b=2" }, ["X-Empty"] = "" } }) }
      t:run(function()
        client:get("/")
        local res = client:get("/")
        assert.equal("cache", res.source)
        assert.is_false(res.degraded)
        assert.is_false(res.ok)
        assert.equal(404, res.status)
        assert.equal("a\0\r\n\255", res.body)
        assert.same({ "a=1", "b=2" }, res.headers["set-cookie"])
        assert.equal("", res.headers["X-Empty"])
        assert.equal(kit.ORIGIN .. "/", res.url)
        assert.same({}, res.trace)
      end)
    end)

  it("may have an empty body", function()
    local t, client = caching()
    timeline(t, client, { answer("max-age=10", { status = 204, body = "" }) },
      { { 0, "network - 1 " }, { 1, "cache 1.000 0 " } })
  end)

  it("counts the time on the way, Age, and an old Date", function()
    local t, client = caching()
    timeline(t, client, { answer("max-age=10", { after = 2 }), TWO },
      { { 0, "network - 1 one" }, { 9.999, "cache 9.999 0 one" }, { 10, "network - 1 two" } })
    t, client = caching()
    timeline(t, client, { answer("max-age=10", { headers = { Age = "4" } }), TWO },
      { { 0, "network - 1 one" }, { 5.999, "cache 9.999 0 one" }, { 6, "network - 1 two" } })
    t, client = caching()
    local old = { headers = { Date = http_date(EPOCH - 3) } }
    timeline(t, client, { answer("max-age=10", old), TWO },
      { { 0, "network - 1 one" }, { 6.999, "cache 9.999 0 one" }, { 7, "network - 1 two" } })
  end)

  it("may be so by Expires, and by the policy's ttl where the server is silent", function()
    local t, client = caching()
    local expires = { headers = { Expires = http_date(EPOCH + 10), Date = http_date(EPOCH) } }
    timeline(t, client, { answer("private", expires), TWO },
      { { 0, "network - 1 one" }, { 9.999, "cache 9.999 0 one" }, { 10, "network - 1 two" } })
    t, client = caching{ ttl = 5 }
    timeline(t, client, { { status = 200, body = "one" }, answer("max-age=0") },
      { { 0, "network - 1 one" }, { 4.999, "cache 4.999 0 one" }, { 5, "network - 1 one" } })
  end)

  it("is counted as a call and a success", function()
    local t, client = caching()
    local seen = {}
    client:on("done", function(event) seen[#seen + 1] = event.source .. " " .. event.status end)
    timeline(t, client, { answer("max-age=10"), TWO },
      { { 0, "network - 1 one" }, { 1, "cache 1.000 0 one" }, { 10, "network - 1 two" } })
    local stats = client:stats()
    assert.same({ 3, 3, 2, 0 }, { stats.calls, stats.ok, stats.attempts, stats.in_flight })
    assert.same({ hits = 1, misses = 2 }, stats.cache)
    assert.same({}, stats.fallbacks)
    assert.same({ "network 200", "cache 200", "network 200" }, seen)
  end)

  it("asks neither breaker nor limits", function()
    local t, client = caching({}, { breaker = {}, rate_limit = { rate = 1 } })
    timeline(t, client, { answer("max-age=10") },
      { { 0, "network - 1 one" }, { 0, "cache 0.000 0 one" } })
    client.breaker:force_open()
    timeline(t, client, {}, { { 1, "cache 1.000 0 one" } })
  end)

  it("is not there without a lifetime, and no call is made slower by guessing one", function()
    local t, client = caching()
    timeline(t, client, { { status = 200, body = "one",
      headers = { ["Last-Modified"] = http_date(EPOCH - 1000) } }, TWO },
      { { 0, "network - 1 one" }, { 0, "network - 1 two" } })
  end)
end)

describe("what may be fresh for one call", function()
  local function both(control, script, requests)
    local t, client = caching()
    t:script(script)
    local seen = t:run(function()
      local list = {}
      for index, request in ipairs(requests) do
        list[index] = words(client:request(request))
      end
      return list
    end)
    return seen, t, control
  end

  it("is not for another method, URL, or Authorization", function()
    local fresh = answer("max-age=60")
    local seen = both(nil, { fresh, fresh, fresh, fresh, fresh, fresh }, {
      { path = "/" },
      { method = "HEAD", path = "/" },
      { path = "/", query = { a = "1" } },
      { path = "/", headers = { Authorization = "Bearer a" } },
      { path = "/", headers = { Authorization = "Bearer b" } },
      { path = "/", headers = { Cookie = "s=1" } },
      { path = "/" }, { method = "HEAD", path = "/" }, { path = "/?a=1" },
      { path = "/", headers = { authorization = "Bearer a" } },
      { path = "/", headers = { Accept = "text/plain" } },
    })
    assert.same({ "network - 1 one", "network - 1 one", "network - 1 one", "network - 1 one",
      "network - 1 one", "network - 1 one", "cache 0.000 0 one", "cache 0.000 0 one",
      "cache 0.000 0 one", "cache 0.000 0 one", "cache 0.000 0 one" }, seen)
  end)

  it("depends on what Vary names", function()
    local function in_language(language, body)
      return answer("max-age=60", { body = body, headers = { Vary = "Accept-Language",
        ["Content-Language"] = language } })
    end
    local seen = both(nil, { in_language("de", "eins"), in_language("en", "one"),
      in_language("fr", "un") }, {
      { path = "/", headers = { ["Accept-Language"] = "de" } },
      { path = "/", headers = { ["Accept-Language"] = "en" } },
      { path = "/", headers = { ["accept-language"] = "de" } },
      { path = "/", headers = { ["Accept-Language"] = "en", Accept = "x" } },
      { path = "/" },
      { path = "/" },
    })
    assert.same({ "network - 1 eins", "network - 1 one", "cache 0.000 0 eins",
      "cache 0.000 0 one", "network - 1 un", "cache 0.000 0 un" }, seen)
  end)

  it("depends on every name that a Vary of that URL has had", function()
    local seen = both(nil, {
      answer("max-age=60", { body = "a", headers = { Vary = "X-A" } }),
      answer("max-age=60", { body = "b", headers = { Vary = { "X-B", "x-c" } } }),
      answer("max-age=60", { body = "c", headers = { Vary = "X-A" } }),
    }, {
      { path = "/", headers = { ["X-A"] = "1" } },
      { path = "/", headers = { ["X-A"] = "2" } },
      { path = "/", headers = { ["X-A"] = "2", ["X-B"] = "1" } },
      { path = "/", headers = { ["X-A"] = "2" } },
      { path = "/", headers = { ["X-A"] = "2", ["X-B"] = "1" } },
    })
    assert.same({ "network - 1 a", "network - 1 b", "network - 1 c", "cache 0.000 0 b",
      "cache 0.000 0 c" }, seen)
  end)

  it("depends on the names of the policy", function()
    local t, client = caching{ vary = { "X-Tenant" } }
    timeline(t, client, { answer("max-age=60"), TWO }, {
      { 0, { headers = { ["X-Tenant"] = "a" } }, "network - 1 one" },
      { 0, { headers = { ["x-tenant"] = "a" } }, "cache 0.000 0 one" },
      { 0, { headers = { ["X-Tenant"] = "b" } }, "network - 1 two" },
    })
  end)

  it("is never there where Vary is *", function()
    local t, client = caching({}, { fallback = { { cache = true } } })
    timeline(t, client, { answer("max-age=60", { headers = { Vary = "*" }, times = 2 }),
      { error = "reset" } },
      { { 0, "network - 1 one" }, { 0, "network - 1 one" }, { 0, "reset" } })
  end)

  it("is not what another client of the same store has got", function()
    local t = testing.new()
    local store = require("neap.store.memory").new()
    local function client_of(name)
      return t:client{ name = name, base_url = kit.ORIGIN, retry = false,
        cache = { store = store } }
    end
    local one, two, again = client_of("one"), client_of("two"), client_of("one")
    t:script{ answer("max-age=60"), TWO }
    t:run(function()
      assert.equal("network - 1 one", words(one:get("/")))
      assert.equal("network - 1 two", words(two:get("/")))
      assert.equal("cache 0.000 0 one", words(again:get("/")))
    end)
  end)
end)

describe("what is not stored", function()
  local function twice(first, request, part)
    local t, client = caching({ ttl = 60, stale_if_error = 60 }, part)
    t:script{ first, { status = 200, body = "two" }, { error = "reset" } }
    return t:run(function()
      local seen = {}
      for index = 1, 2 do
        local full = { method = "GET", path = "/" }
        for key, value in pairs(request or {}) do full[key] = value end
        seen[index] = words(client:request(full))
      end
      return seen
    end)
  end

  local NEVER = { "network - 1 one", "network - 1 two" }

  it("is no-store, from either side", function()
    assert.same(NEVER, twice(answer("max-age=60, no-store")))
    assert.same(NEVER, twice(answer("max-age=60"),
      { headers = { ["Cache-Control"] = "no-store" } }))
  end)

  it("is a status that nobody wants twice", function()
    for _, status in ipairs{ 201, 202, 206, 302, 400, 401, 403, 418 } do
      assert.same(NEVER, twice(answer("max-age=60", { status = status })), status)
    end
    for _, status in ipairs{ 203, 204, 300, 301, 404, 410 } do
      assert.same({ "network - 1 one", "cache 0.000 0 one" },
        twice(answer("max-age=60", { status = status })), status)
    end
  end)

  it("is the answer to another method", function()
    for _, method in ipairs{ "POST", "PUT", "PATCH", "DELETE", "OPTIONS" } do
      assert.same(NEVER, twice(answer("max-age=60"), { method = method }), method)
    end
  end)

  it("is the answer to a range, to a condition of the caller's own, or to a body", function()
    assert.same(NEVER, twice(answer("max-age=60"), { headers = { Range = "bytes=0-1" } }))
    assert.same(NEVER, twice(answer("max-age=60"), { headers = { ["If-None-Match"] = '"x"' } }))
    assert.same(NEVER, twice(answer("max-age=60"), { headers = { ["if-modified-since"] = "x" } }))
    assert.same(NEVER, twice(answer("max-age=60"), { body = "question" }))
  end)

  it("is what a failure or a fallback has given", function()
    local t, client = caching({ ttl = 60 }, { fallback = { { default = { body = "default" } } } })
    timeline(t, client, { { status = 503 }, { status = 200, body = "one" } },
      { { 0, "default - 1 default" }, { 0, "network - 1 one" }, { 0, "cache 0.000 0 one" } })
  end)

  it("goes where the server says no-store later", function()
    local t, client = caching{ stale_if_error = 100 }
    timeline(t, client, { answer("max-age=1"), answer("no-store", { body = "two" }),
      { error = "reset" } },
      { { 0, "network - 1 one" }, { 1, "network - 1 two" }, { 2, "reset" } })
  end)

  it("makes room for newer answers", function()
    local t, client = caching{ max_entries = 2 }
    t:script{ answer("max-age=60"), answer("max-age=60"), answer("max-age=60"), TWO }
    t:run(function()
      client:get("/1")
      client:get("/2")
      assert.equal("cache 0.000 0 one", words(client:get("/1")))
      client:get("/3")
      assert.equal("cache 0.000 0 one", words(client:get("/1")))
      assert.equal("network - 1 two", words(client:get("/2")))
    end)
  end)

  it("is an answer larger than the memory", function()
    local t, client = caching{ max_bytes = 4096 }
    timeline(t, client, { answer("max-age=60", { body = ("x"):rep(5000) }), TWO },
      { { 0, "network - 1 " .. ("x"):rep(5000) }, { 0, "network - 1 two" } })
    assert.equal(1, client:stats().cache.errors)
  end)
end)

describe("a request's own Cache-Control", function()
  local function after(seconds, control, expected, part)
    local t, client = caching(part)
    timeline(t, client, { answer("max-age=10", { headers = { ETag = '"a"' } }), TWO }, {
      { 0, "network - 1 one" },
      { seconds, { headers = { ["Cache-Control"] = control } }, expected },
    })
    return t
  end

  it("no-cache asks the server, and keeps what it says", function()
    local t = after(1, "no-cache", "network - 1 two")
    assert.equal('"a"', t.requests[2].headers["If-None-Match"])
  end)

  it("max-age and min-fresh want it fresher", function()
    after(5, "max-age=5", "cache 5.000 0 one")
    after(5.001, "max-age=5", "network - 1 two")
    after(6, "min-fresh=4", "cache 6.000 0 one")
    after(6.001, "min-fresh=4", "network - 1 two")
  end)

  it("max-stale takes what is stale", function()
    after(15, "max-stale=5", "stale 15.000 0 one")
    after(15.001, "max-stale=5", "network - 1 two")
  end)

  it("no-store goes round the cache, which stays as it is", function()
    local t, client = caching{ stale_if_error = 60 }
    timeline(t, client, { answer("max-age=10"), TWO, { error = "reset" } }, {
      { 0, "network - 1 one" },
      { 0, { headers = { ["Cache-Control"] = "no-store" } }, "network - 1 two" },
      { 0, { headers = { ["Cache-Control"] = "no-store" } }, "reset" },
      { 0, "cache 0.000 0 one" },
    })
  end)
end)

describe("a stored answer with validators", function()
  local TAGGED = answer("max-age=10", { headers = { ETag = '"a"',
    ["Last-Modified"] = http_date(EPOCH - 60) } })

  it("is asked about, and a 304 refreshes it", function()
    local t, client = caching()
    timeline(t, client, { TAGGED, { status = 304, headers = { ["Cache-Control"] = "max-age=20",
      ["X-New"] = "n" } }, TWO }, {
      { 0, "network - 1 one" },
      { 10, "cache 0.000 1 one" },
      { 29.999, "cache 19.999 0 one" },
      { 30, "network - 1 two" },
    })
    assert.equal('"a"', t.requests[2].headers["If-None-Match"])
    assert.equal(http_date(EPOCH - 60), t.requests[2].headers["If-Modified-Since"])
    assert.is_nil(t.requests[1].headers["If-None-Match"])
    assert.same({ hits = 1, misses = 3, revalidated = 1 }, client:stats().cache)
  end)

  it("gives its own status and the new headers", function()
    local t, client = caching()
    t:script{ answer("max-age=10", { status = 404, headers = { ETag = '"a"', ["X-Old"] = "o" } }),
      { status = 304, headers = { ["X-New"] = "n", ["Content-Length"] = "0" } } }
    t:run(function()
      client:get("/")
      neap.sleep(10)
      local res = client:get("/")
      assert.equal(404, res.status)
      assert.is_false(res.ok)
      assert.is_false(res.degraded)
      assert.equal("n", res.headers["x-new"])
      assert.equal("o", res.headers["x-old"])
      assert.is_nil(res.headers["content-length"])
      assert.same({ "attempt 304" }, kit.words(res.trace))
    end)
    assert.equal(0, client:stats().ok)
  end)

  it("is replaced where it is no longer good", function()
    local t, client = caching()
    timeline(t, client, { TAGGED, answer("max-age=10", { body = "two" }) }, {
      { 0, "network - 1 one" }, { 10, "network - 1 two" }, { 11, "cache 1.000 0 two" } })
  end)

  it("is asked about after a retry too", function()
    local t, client = caching({}, { retry = { backoff = kit.waits_of(1) } })
    timeline(t, client, { TAGGED, { status = 503 }, { status = 304 } },
      { { 0, "network - 1 one" }, { 10, "cache 0.000 2 one" } })
    assert.equal('"a"', t.requests[3].headers["If-None-Match"])
  end)

  it("is kept for a day beyond its freshness", function()
    local t, client = caching()
    timeline(t, client, { TAGGED, { status = 304 }, TWO },
      { { 0, "network - 1 one" }, { 86410, "cache 0.000 1 one" },
        { 2 * 86420 + 1, "network - 1 two" } })
    assert.is_nil(t.requests[3].headers["If-None-Match"])
  end)

  it("is always asked about with no-cache, and with must-revalidate when it is stale", function()
    local t, client = caching{ stale_while_revalidate = 60, stale_if_error = 60 }
    timeline(t, client, { answer("no-cache, max-age=60", { headers = { ETag = '"a"' } }),
      { status = 304 }, { error = "reset" } },
      { { 0, "network - 1 one" }, { 0, "cache 0.000 1 one" }, { 0, "reset" } })
    t, client = caching{ stale_while_revalidate = 60, stale_if_error = 60 }
    timeline(t, client, { answer("must-revalidate, max-age=5", { headers = { ETag = '"a"' } }),
      { status = 304 }, { error = "reset" } },
      { { 0, "network - 1 one" }, { 4.999, "cache 4.999 0 one" }, { 5, "cache 0.000 1 one" },
        { 10, "reset" } })
  end)

  it("of which a 304 speaks that means another one is forgotten", function()
    local t, client = caching()
    timeline(t, client, { TAGGED, { status = 304, headers = { ETag = '"b"' } }, TWO },
      { { 0, "network - 1 one" }, { 10, "cache 10.000 1 one" }, { 10, "network - 1 two" } })
    assert.is_nil(t.requests[3].headers["If-None-Match"])
  end)

  it("leaves a 304 alone that the caller asked for", function()
    local t, client = caching()
    t:script{ TAGGED, { status = 304 } }
    t:run(function()
      client:get("/")
      local res = client:get("/", { headers = { ["If-None-Match"] = '"mine"' } })
      assert.equal(304, res.status)
      assert.equal("network", res.source)
      assert.equal('"mine"', t.requests[2].headers["If-None-Match"])
    end)
  end)

  it("is not asked about in words that cannot be sent", function()
    local t, client = caching()
    timeline(t, client, { answer("max-age=1", { headers = { ETag = '"a\1"' } }), TWO },
      { { 0, "network - 1 one" }, { 1, "network - 1 two" } })
    assert.is_nil(t.requests[2].headers["If-None-Match"])
  end)
end)

describe("an unsafe request", function()
  it("that succeeds removes all that is stored for its URL", function()
    local t, client = caching()
    t:script{ answer("max-age=60"), answer("max-age=60"), answer("max-age=60"), { status = 204 },
      TWO, TWO }
    t:run(function()
      client:get("/")
      client:get("/", { headers = { Authorization = "x" } })
      client:get("/other")
      client:put("/", { body = "new" })
      assert.equal("network - 1 two", words(client:get("/")))
      assert.equal("network - 1 two", words(client:get("/", { headers = { Authorization = "x" } })))
      assert.equal("cache 0.000 0 one", words(client:get("/other")))
    end)
  end)

  it("that fails removes nothing", function()
    local t, client = caching()
    t:script{ answer("max-age=60"), { status = 400 }, { error = "connect" } }
    t:run(function()
      client:get("/")
      client:post("/", { body = "x" })
      client:delete("/")
      assert.equal("cache 0.000 0 one", words(client:get("/")))
    end)
  end)

  it("keeps an answer from being stored whose request began before it", function()
    local t, client = caching()
    t:script{ answer("max-age=60", { after = 5, body = "old" }), { status = 200, after = 1 }, TWO }
    t:run(function()
      neap.all{
        function() assert.equal("network - 1 old", words(client:get("/"))) end,
        function()
          neap.sleep(1)
          client:put("/", { body = "new" })
        end,
      }
      assert.equal(5, t:now())
      assert.equal("network - 1 two", words(client:get("/")))
    end)
  end)

  it("removes it also where the cache is a fallback only", function()
    local t, client = kit.client{ retry = false, fallback = { { cache = true } } }
    t:script{ TWO, { status = 200 }, { error = "reset" } }
    t:run(function()
      client:get("/")
      client:delete("/")
      assert.equal("reset", words(client:get("/")))
    end)
  end)
end)

describe("stale-while-revalidate", function()
  local SWR = answer("max-age=10, stale-while-revalidate=5", { headers = { ETag = '"a"' } })

  it("answers at once while lifetime <= age < lifetime + s", function()
    local t, client = caching()
    timeline(t, client, { SWR, { error = "reset" } }, {
      { 0, "network - 1 one" },
      { 9.999, "cache 9.999 0 one" },
      { 10, "stale 10.000 0 one" },
    })
    for _, moment in ipairs{ 14, 14.999 } do
      t, client = caching()
      timeline(t, client, { SWR, { error = "reset" } },
        { { 0, "network - 1 one" }, { moment, ("stale %.3f 0 one"):format(moment) } })
    end
    t, client = caching()
    timeline(t, client, { SWR, TWO }, { { 0, "network - 1 one" }, { 15, "network - 1 two" } })
  end)

  it("refreshes beside the caller, by a call of its own", function()
    local t, client = caching()
    timeline(t, client, { SWR, { status = 304, after = 2,
      headers = { ["Cache-Control"] = "max-age=20" } } }, {
      { 0, "network - 1 one" },
      { 11, "stale 11.000 0 one" },
      { 12, "stale 12.000 0 one" },
      { 13.001, "cache 2.001 0 one" },
      { 30.999, "cache 19.999 0 one" },
    })
    assert.equal(2, #t.requests)
    assert.same({ 11, '"a"' }, { t.requests[2].at, t.requests[2].headers["If-None-Match"] })
    assert.same({ hits = 2, misses = 1, revalidated = 1, stale = 2 }, client:stats().cache)
  end)

  it("tells that the answer is degraded", function()
    local t, client = caching()
    t:script{ SWR, { status = 304 } }
    t:run(function()
      client:get("/")
      neap.sleep(10)
      local res = client:get("/")
      assert.is_true(res.degraded)
      assert.is_true(res.ok)
      assert.equal(10, res.age)
    end)
  end)

  it("takes the policy's window where the server is silent, and the server's where not", function()
    local t, client = caching{ stale_while_revalidate = 100 }
    timeline(t, client, { answer("max-age=10"), { error = "reset" } },
      { { 0, "network - 1 one" }, { 109.999, "stale 109.999 0 one" } })
    t, client = caching{ stale_while_revalidate = 100 }
    timeline(t, client, { answer("max-age=10, stale-while-revalidate=5"), TWO },
      { { 0, "network - 1 one" }, { 15, "network - 1 two" } })
  end)

  it("does not try a refresh that failed again for a second", function()
    local t, client = caching()
    timeline(t, client, { SWR, { error = "reset" }, { status = 503 }, TWO, TWO }, {
      { 0, "network - 1 one" },
      { 10, "stale 10.000 0 one" },
      { 10.999, "stale 10.999 0 one" },
      { 11, "stale 11.000 0 one" },
      { 11.999, "stale 11.999 0 one" },
      { 12, "stale 12.000 0 one" },
      { 12.001, "network - 1 two" },
    })
    local moments = {}
    for index, request in ipairs(t.requests) do moments[index] = request.at end
    assert.same({ 0, 10, 11, 12, 12.001 }, moments)
  end)

  it("makes one refresh for many callers, and takes nothing of its caller's tables later",
    function()
      local t, client = caching()
      t:script{ SWR, { status = 304, after = 1 }, }
      t:run(function()
        local request = { headers = { ["X-Id"] = "1" } }
        client:get("/", request)
        neap.sleep(10)
        client:get("/", request)
        request.headers["X-Id"] = "2"
        client:get("/")
        client:get("/")
        neap.sleep(1)
      end)
      assert.equal(2, #t.requests)
      assert.equal("1", t.requests[2].headers["X-Id"])
    end)

  it("lets no fallback run for a refresh", function()
    local ran = 0
    local t, client = caching({}, { fallback = { function() ran = ran + 1 return {} end } })
    timeline(t, client, { SWR, { error = "reset" } },
      { { 0, "network - 1 one" }, { 10, "stale 10.000 0 one" }, { 10.5, "stale 10.500 0 one" } })
    assert.equal(0, ran)
    assert.same({ reset = 1 }, client:stats().errors)
  end)

  it("leaves alone a refresh that a function of the policy does not let happen", function()
    local calls = 0
    local t, client = caching({}, { breaker = { key = function()
      calls = calls + 1
      return calls < 3 and "key" or error("no key")
    end } })
    timeline(t, client, { SWR }, { { 0, "network - 1 one" }, { 10, "stale 10.000 0 one" } })
    assert.equal(1, #t.requests)
  end)
end)

describe("stale-if-error", function()
  local SIE = answer("max-age=10, stale-if-error=5")

  it("answers an error while age - lifetime <= e", function()
    local t, client = caching()
    timeline(t, client, { SIE, { ["repeat"] = true, error = "reset" } }, {
      { 0, "network - 1 one" },
      { 9.999, "cache 9.999 0 one" },
      { 10, "stale 10.000 1 one" },
      { 14.999, "stale 14.999 1 one" },
      { 15, "stale 15.000 1 one" },
      { 15.001, "reset" },
    })
    assert.same({ stale = 3 }, client:stats().fallbacks)
  end)

  it("is measured when the error has come", function()
    local t, client = caching()
    timeline(t, client, { SIE, { error = "reset", after = 1 }, { error = "reset", after = 1.001 } },
      { { 0, "network - 1 one" }, { 14, "stale 15.000 1 one" } })
    t, client = caching()
    timeline(t, client, { SIE, { error = "reset", after = 1.001 } },
      { { 0, "network - 1 one" }, { 14, "reset" } })
  end)

  it("is for transport errors, timeouts, and 500, 502, 503, 504", function()
    local function after_error(entry)
      local t, client = caching()
      t:script{ SIE, entry }
      return t:run(function()
        client:get("/")
        neap.sleep(12)
        local res, err = client:get("/")
        return res and res.source or err.kind, res and res.status
      end)
    end
    for _, kind in ipairs{ "resolve", "connect", "tls", "reset", "protocol", "too_large" } do
      assert.equal("stale", (after_error{ error = kind }), kind)
    end
    assert.equal("stale", (after_error{ error = "timeout", phase = "connect" }))
    for _, status in ipairs{ 500, 502, 503, 504 } do
      assert.same({ "stale", 200 }, { after_error{ status = status } }, status)
    end
    for _, status in ipairs{ 400, 404, 408, 429, 501, 505 } do
      assert.same({ "network", status }, { after_error{ status = status } }, status)
    end
  end)

  it("is for neap's own refusals", function()
    local t, client = caching({}, { breaker = {} })
    t:script{ SIE }
    t:run(function()
      client:get("/")
      neap.sleep(10)
      client.breaker:force_open()
      local res = client:get("/")
      assert.equal("stale 10.000 0 one", words(res))
      assert.is_true(res.degraded)
      assert.same({ "reject breaker_open", "fallback stale 200" }, kit.words(res.trace))
    end)
  end)

  it("comes after the retries, and before the fallbacks", function()
    local t, client = caching({}, { retry = { backoff = kit.waits_of(1), max_attempts = 2 },
      fallback = { { default = { body = "default" } } } })
    t:script{ SIE, { ["repeat"] = true, status = 503 } }
    t:run(function()
      client:get("/")
      neap.sleep(12)
      local res = client:get("/")
      assert.equal("stale 13.000 2 one", words(res))
      assert.same({ "attempt 503", "wait backoff", "attempt 503: attempts", "fallback stale 200" },
        kit.words(res.trace))
      neap.sleep(3)
      res = client:get("/")
      assert.equal("default - 2 default", words(res))
      assert.same({ "attempt 503", "wait backoff", "attempt 503: attempts",
        "fallback default" }, kit.words(res.trace))
    end)
  end)

  it("takes the policy's window where the server is silent, and the server's where not", function()
    local t, client = caching{ stale_if_error = 100 }
    timeline(t, client, { answer("max-age=10"), { ["repeat"] = true, error = "reset" } },
      { { 0, "network - 1 one" }, { 110, "stale 110.000 1 one" }, { 110.001, "reset" } })
    t, client = caching{ stale_if_error = 100 }
    timeline(t, client, { SIE, { error = "reset" } }, { { 0, "network - 1 one" }, { 16, "reset" } })
    t, client = caching{ stale_if_error = 5 }
    timeline(t, client, { { status = 200, body = "one" }, { ["repeat"] = true, error = "reset" } },
      { { 0, "network - 1 one" }, { 5, "stale 5.000 1 one" }, { 5.001, "reset" } })
  end)

  it("answers for a fresh answer that the request found too old", function()
    local t, client = caching()
    timeline(t, client, { SIE, { error = "reset" } }, { { 0, "network - 1 one" },
      { 5, { headers = { ["Cache-Control"] = "max-age=1" } }, "cache 5.000 1 one" } })
  end)

  it("does not answer where the request wants to ask, or the server forbids it", function()
    local t, client = caching()
    timeline(t, client, { SIE, { error = "reset" } }, { { 0, "network - 1 one" },
      { 12, { headers = { ["Cache-Control"] = "no-cache" } }, "reset" } })
    for _, word in ipairs{ "must-revalidate", "no-cache" } do
      t, client = caching()
      timeline(t, client, { answer("max-age=10, stale-if-error=50, " .. word),
        { error = "reset" } }, { { 0, "network - 1 one" }, { 12, "reset" } })
    end
  end)
end)

describe("the fallback to the cache", function()
  local function falling_back(entry, part)
    local parts = { retry = false, breaker = false, fallback = { entry } }
    for key, value in pairs(part or {}) do parts[key] = value end
    return kit.client(parts)
  end

  it("answers while age - lifetime <= max_stale, without a cache in the policy", function()
    local t, client = falling_back{ cache = true, max_stale = 60 }
    timeline(t, client, { answer("max-age=10"), { ["repeat"] = true, error = "reset" } }, {
      { 0, "network - 1 one" },
      { 5, "cache 5.000 1 one" },
      { 10, "stale 10.000 1 one" },
      { 70, "stale 70.000 1 one" },
      { 70.001, "reset" },
    })
    assert.same({ cache = 1, stale = 2 }, client:stats().fallbacks)
    assert.same({}, client:stats().cache)
  end)

  it("answers with what the server said nothing about; for an hour by default", function()
    local t, client = falling_back{ cache = true }
    timeline(t, client, { { status = 200, body = "one", headers = { ETag = '"a"' } },
      { ["repeat"] = true, status = 503 } },
      { { 0, "network - 1 one" }, { 0, "stale 0.000 1 one" }, { 3600, "stale 3600.000 1 one" },
        { 3600.001, "network - 1 " } })
    assert.is_nil(t.requests[2].headers["If-None-Match"])
  end)

  it("answers with the last answer, each time by the network first", function()
    local t, client = falling_back{ cache = true }
    timeline(t, client, { answer("max-age=10"), TWO, { error = "reset" } },
      { { 0, "network - 1 one" }, { 1, "network - 1 two" }, { 2, "stale 1.000 1 two" } })
  end)

  it("is one of several, in its place and for its kinds of error", function()
    local t, client = kit.client{ retry = false, fallback = {
      { cache = true, when = { "timeout" } }, { default = { body = "default" } } } }
    timeline(t, client, { { status = 200, body = "one" }, { error = "reset" },
      { error = "timeout", phase = "read", after = 0 } },
      { { 0, "network - 1 one" }, { 0, "default - 1 default" }, { 0, "stale 0.000 1 one" } })
  end)

  it("leaves its entry in the trace where it has nothing", function()
    local t, client = kit.client{ retry = false, fallback = {
      { cache = true }, function() error("raised", 0) end, { default = {} } } }
    t:script{ { error = "reset" } }
    local res = t:run(function() return client:get("/") end)
    assert.same({ "attempt reset", "fallback stale", "fallback function error",
      "fallback default" }, kit.words(res.trace))
    assert.equal("raised", res.trace[3].message)
    assert.is_nil(res.trace[2].message)
  end)

  it("does not answer against must-revalidate, no-cache or no-store", function()
    for _, word in ipairs{ "must-revalidate", "no-cache", "no-store" } do
      local t, client = falling_back{ cache = true }
      timeline(t, client, { answer("max-age=10, " .. word), { error = "reset" } },
        { { 0, "network - 1 one" }, { 10, "reset" } })
    end
  end)

  it("goes on where stale-if-error ends", function()
    local t, client = falling_back({ cache = true, max_stale = 60 }, { cache = {} })
    timeline(t, client, { answer("max-age=10, stale-if-error=5"),
      { ["repeat"] = true, error = "reset" } },
      { { 0, "network - 1 one" }, { 15, "stale 15.000 1 one" }, { 70, "stale 70.000 1 one" },
        { 70.001, "reset" } })
  end)

  it("answers nothing to another user", function()
    local t, client = falling_back{ cache = true }
    timeline(t, client, { answer("max-age=10"), { error = "reset" } }, {
      { 0, { headers = { Authorization = "a" } }, "network - 1 one" },
      { 0, { headers = { Authorization = "b" } }, "reset" },
    })
  end)

  it("has nothing for a wrapped function", function()
    local fn = neap.wrap({ name = "f", retry = false, cache = {}, fallback = { { cache = true } } },
      function() error("no", 0) end)
    local value, err = fn()
    assert.is_nil(value)
    assert.equal("no", err.cause)
  end)
end)

describe("a cache beside coalescing", function()
  local function both(script, fns)
    local t, client = caching({}, { coalesce = true })
    t:script(script)
    local seen = {}
    t:run(function()
      client:get("/")
      neap.sleep(10)
      local tasks = {}
      for index, request in ipairs(fns) do
        tasks[index] = function() seen[index] = { client:get("/", request) } end
      end
      for _, result in ipairs(neap.all(tasks)) do assert.is_true(result[1], result[2]) end
      seen.later = words(client:get("/"))
    end)
    return seen, t, client
  end

  local TAGGED = answer("max-age=10", { headers = { ETag = '"a"' } })
  local MINE = { headers = { ["If-None-Match"] = '"a"' } }

  it("asks once for many whether an answer is still good", function()
    local seen, t, client = both({ TAGGED, { status = 304, after = 1 } }, { {}, {}, {} })
    for index = 1, 3 do
      assert.equal("cache one", seen[index][1].source .. " " .. seen[index][1].body)
    end
    assert.equal("cache 1.000 0 one", seen.later)
    assert.equal(2, #t.requests)
    assert.equal(2, client:stats().coalesced)
  end)

  it("fetches once for many", function()
    local seen, t = both({ { status = 200 }, answer("max-age=10", { after = 1, body = "two" }) },
      { {}, {} })
    assert.equal("network two", seen[1][1].source .. " " .. seen[1][1].body)
    assert.equal("network two", seen[2][1].source .. " " .. seen[2][1].body)
    assert.equal("cache 1.000 0 two", seen.later)
    assert.equal(2, #t.requests)
  end)

  it("does not take a caller's condition for its own, nor the other way round", function()
    local two = { TAGGED, { status = 304, after = 1 }, { status = 304, after = 1 } }
    for _, order in ipairs{ { {}, MINE }, { MINE, {} } } do
      local seen, t = both(two, order)
      local own, cached = seen[1][1], seen[2][1]
      if order[1] ~= MINE then own, cached = cached, own end
      assert.equal("network 304", own.source .. " " .. own.status)
      assert.equal("cache 200 one", ("%s %s %s"):format(cached.source, cached.status, cached.body))
      assert.equal(3, #t.requests)
    end
  end)
end)

describe("a store of the caller's choice", function()
  -- A store whose steps fail.
  local function broken()
    return require("neap.store.sqlite").new{ path = "/nonexistent/folder/cache.db" }
  end

  it("that is down is no error of the call", function()
    local store, err = broken()
    if not store then
      assert.equal("store", err.kind)
      return
    end
    local t, client = caching{ store = store }
    timeline(t, client, { answer("max-age=10"), TWO, { status = 204, body = "" } },
      { { 0, "network - 1 one" }, { 0, "network - 1 two" },
        { 0, { method = "DELETE" }, "network - 1 " } })
    assert.same({ errors = 3 }, client:stats().cache)
  end)

  it("serves several clients of one name, and outlives them (SQLite)", function()
    local path = os.tmpname()
    os.remove(path)
    local sqlite = require("neap.store.sqlite")
    local t = testing.new()
    local function client_of()
      return t:client{ name = "api", base_url = kit.ORIGIN, retry = false,
        cache = { store = assert(sqlite.new{ path = path }) } }
    end
    t:script{ answer("max-age=60", { body = "a\0b", headers = { Vary = "Accept",
      ["Set-Cookie"] = { "a=1", "b=2" } } }), { status = 204 }, TWO }
    t:run(function()
      assert.equal("network", client_of():get("/").source)
      local res = client_of():get("/")
      assert.equal("cache", res.source)
      assert.equal("a\0b", res.body)
      assert.same({ "a=1", "b=2" }, res.headers["set-cookie"])
      client_of():delete("/")
      assert.equal("network", client_of():get("/").source)
    end)
    for _, suffix in ipairs{ "", "-wal", "-shm" } do os.remove(path .. suffix) end
  end)
end)

describe("a policy's cache", function()
  local t = testing.new()

  local function refuses(message, part)
    it("refuses " .. message, function()
      part.name = "a"
      policy.misuse("policy." .. message, function() t:client(part) end)
    end)
  end

  refuses("cache: expected a table, true or false, got 5", { cache = 5 })
  refuses('cache.tll: unknown key, did you mean "ttl"?', { cache = { tll = 1 } })
  refuses("cache.ttl: expected a number >= 0 (seconds), got -1", { cache = { ttl = -1 } })
  refuses("cache.max_entries: expected an integer from 1 to 1000000000, got 0",
    { cache = { max_entries = 0 } })
  refuses("cache.max_bytes: expected an integer >= 1024 (bytes), got 5",
    { cache = { max_bytes = 5 } })
  refuses("cache.store: expected a store, got 5", { cache = { store = 5 } })
  refuses("cache.store: expected a store", { cache = { store = {} } })
  refuses("cache.vary[2]: expected a header name, got a string (\"a b\")",
    { cache = { vary = { "a", "a b" } } })
  refuses("fallback[1].cache: expected true, got false", { fallback = { { cache = false } } })
  refuses("fallback[1].max_stale: expected a number >= 0 (seconds), got -1",
    { fallback = { { cache = true, max_stale = -1 } } })
  refuses("fallback[1]: expected max_stale only together with cache",
    { fallback = { { default = {}, max_stale = 1 } } })

  it("is off where it is false, and on where it is true", function()
    local kit_of, client = kit.client{ cache = false }
    timeline(kit_of, client, { answer("max-age=10"), TWO },
      { { 0, "network - 1 one" }, { 0, "network - 1 two" } })
    kit_of, client = kit.client{ cache = true }
    timeline(kit_of, client, { answer("max-age=10") },
      { { 0, "network - 1 one" }, { 0, "cache 0.000 0 one" } })
  end)

  it("is gone where the client is closed", function()
    local kit_of, client = caching()
    timeline(kit_of, client, { answer("max-age=10") }, { { 0, "network - 1 one" } })
    client:close()
    timeline(kit_of, client, {}, { { 0, "cancelled" } })
  end)
end)
