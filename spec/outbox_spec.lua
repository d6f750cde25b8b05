-- The outbox on the testing kit, in each kind of store: what is put is delivered in order,
-- under one key, or becomes a dead letter with its reason.
local kit = require "spec.support.kit"
local neap = require "neap"
local calls = require "spec.support.calls"
local outbox_module = require "neap.outbox"
local redis = require "spec.support.redis"
local stores = require "spec.support.stores"
local testing = require "neap.testing"

local function counts_of(counts)
  return { counts.delivered, counts.retried, counts.dead }
end

local function describe_on(kind, make_store, clean_up)
  describe("an outbox in " .. kind, function()
    local t, store

    before_each(function()
      t = testing.new{ seed = 1 }
      store = make_store()
    end)

    after_each(function()
      store = nil
      collectgarbage()
      clean_up()
    end)

    -- An outbox whose waits are 10 s and then twice as long each, and its client.
    local function new(options, part)
      options, part = options or {}, part or {}
      part.retry = part.retry or false
      part.gate = part.gate or false
      part.breaker = part.breaker or false
      local client = t:client(kit.policy(part))
      options.store, options.client, options.env = store, client, t.env
      options.backoff = options.backoff or { base = 10, jitter = "none" }
      return outbox_module.new(options), client
    end

    local function drain(outbox, options)
      return t:run(function() return assert(outbox:drain(options)) end)
    end

    local function keys()
      local list = {}
      for index, request in ipairs(t.requests) do
        list[index] = request.headers["Idempotency-Key"]
      end
      return list
    end

    local function paths()
      local list = {}
      for index, request in ipairs(t.requests) do
        list[index] = request.path
      end
      return list
    end

    local function letters(outbox)
      local list = {}
      for letter, err in outbox:dead() do
        list[#list + 1] = assert(letter, err)
      end
      return list
    end

    describe("putting", function()
      it("answers with an id that grows, and sends nothing", function()
        local outbox = new()
        local first = assert(outbox:put{ method = "POST", path = "/a" })
        local second = assert(outbox:put{ method = "POST", path = "/b" })
        assert.is_true(second > first)
        assert.equal(2, outbox:size())
        assert.same({ waiting = 2, taken = 0, dead = 0 }, outbox:counts())
        assert.equal(0, #t.requests)
      end)

      it("keeps all that is sent, as the client would send it", function()
        local outbox, client = new(nil, {
          base_url = kit.ORIGIN .. "/v1/",
          headers = { ["X-Policy"] = "p" },
        })
        local req = {
          method = "PATCH",
          path = "users/7?notify=1",
          query = { who = { "a b", "\195\188" } },
          headers = { Accept = "text/plain", ["X-Part"] = { "1", "", "2" } },
          body = "a\0b\255",
          idempotency_key = "k-1",
          timeout = { read = 7.5 },
        }
        t:script{ kit.OK }
        t:run(function() client:request(req) end)
        assert(outbox:put(req))
        drain(outbox)
        local direct, delivered = t.requests[1], t.requests[2]
        for _, field in ipairs{ "method", "url", "path", "query", "body" } do
          assert.equal(direct[field], delivered[field], field)
        end
        for _, name in ipairs{ "Accept", "X-Policy", "Idempotency-Key", "Content-Type" } do
          assert.equal(direct.headers[name], delivered.headers[name], name)
        end
        assert.same({ "1", "", "2" }, delivered.headers["X-Part"])
        assert.equal("k-1", delivered.headers["Idempotency-Key"])
      end)

      it("encodes json and form at once", function()
        local outbox = new()
        local form, json = { a = "1 2" }, { b = 1 }
        assert(outbox:put{ method = "POST", path = "/", form = form })
        assert(outbox:put{ method = "POST", path = "/", json = json })
        form.a, json.b = "other", "other"
        t:script{ kit.OK }
        drain(outbox)
        assert.equal("a=1+2", t.requests[1].body)
        assert.equal("application/x-www-form-urlencoded", t.requests[1].headers["Content-Type"])
        assert.equal('{"b":1}', t.requests[2].body)
        assert.equal("application/json", t.requests[2].headers["Content-Type"])
      end)

      it("keeps a query apart from the one of base_url", function()
        local outbox = new(nil, { base_url = kit.ORIGIN .. "/v1?site=7" })
        assert(outbox:put{ method = "POST", query = { a = 1 } })
        assert(outbox:put{ method = "POST", path = "#top", query = { a = 1 } })
        assert(outbox:put{ method = "POST", path = "?b=2", query = { a = 1 } })
        t:script{ kit.OK }
        drain(outbox)
        assert.equal(kit.ORIGIN .. "/v1?site=7&a=1", t.requests[1].url)
        assert.equal(kit.ORIGIN .. "/v1?site=7&a=1", t.requests[2].url)
        assert.equal(kit.ORIGIN .. "/v1?b=2&a=1", t.requests[3].url)
      end)

      it("delivers an absolute URL as it is", function()
        local outbox = new()
        assert(outbox:put{ method = "POST", url = "https://other.example:8443/x",
          query = { a = 1 } })
        t:script{ kit.OK }
        drain(outbox)
        assert.equal("https://other.example:8443/x?a=1", t.requests[1].url)
      end)

      it("does not keep what the policy adds: the client of the delivery does", function()
        local old = t:client(kit.policy{ headers = { Authorization = "old" } })
        local outbox = outbox_module.new{ store = store, client = old }
        assert(outbox:put{ method = "POST", path = "/a" })
        local again = new(nil, {
          base_url = "https://moved.example",
          headers = { Authorization = "new" },
        })
        t:script{ kit.OK }
        drain(again)
        assert.equal("https://moved.example/a", t.requests[1].url)
        assert.equal("new", t.requests[1].headers.Authorization)
      end)

      it("gives functions of the policy the tags", function()
        local seen
        local outbox = new(nil, {
          breaker = { key = function(req)
            seen = req.tags
            return "k"
          end },
        })
        assert(outbox:put{ method = "POST", path = "/",
          tags = { a = "x", b = true, c = 3, d = 0.5, e = -math.huge } })
        assert.is_nil(seen)
        t:script{ kit.OK }
        drain(outbox)
        assert.same({ a = "x", b = true, c = 3, d = 0.5, e = -math.huge }, seen)
      end)

      it("raises at the caller's line for a request that could not be sent", function()
        local outbox = new(nil, { max_request_bytes = 3 })
        local function complaint(...)
          local done, message = pcall(function(...) return (outbox:put(...)) end, ...)
          assert.is_false(done)
          return message
        end
        assert.matches("outbox_spec%.lua:%d+: request%.pth: unknown key", complaint{ pth = "x" })
        assert.matches("request: expected a table, got a nil", complaint())
        assert.matches("request%.url: ", complaint{ url = "ftp://x" })
        assert.matches("request%.body: longer", complaint{ path = "/", body = "abcd" })
        assert.matches("request%.idempotency_key: ", complaint{ path = "/", idempotency_key = "" })
        assert.matches("request%.tags: an outbox keeps .*, got a = a table$",
          complaint{ path = "/", tags = { a = {} } })
        assert.matches("options%.order: unknown key, expected ordering_key$",
          complaint({ path = "/" }, { order = "x" }))
        assert.matches("options%.ordering_key: expected a string or nil, got 7$",
          complaint({ path = "/" }, { ordering_key = 7 }))
        assert.equal(0, outbox:size())
      end)

      it("tells when the key is too long for the store, and has nothing then", function()
        local outbox = new()
        local id, err = outbox:put({ path = "/" }, { ordering_key = ("k"):rep(5000) })
        assert.is_nil(id)
        assert.equal("store", err.kind)
        assert.equal(0, outbox:size())
      end)
    end)

    describe("the key", function()
      it("is a UUID where nobody gives one, whatever the method", function()
        local outbox = new{ backoff = { base = 0 } }
        assert(outbox:put{ method = "POST", path = "/" })
        assert(outbox:put{ method = "GET", path = "/" })
        t:script{ { status = 503, times = 2 }, kit.OK }
        drain(outbox)
        local sent = keys()
        assert.equal(4, #sent)
        for _, key in ipairs(sent) do
          assert.matches("^%x+%-%x+%-4%x+%-%x+%-%x+$", key)
        end
        assert.equal(sent[1], sent[3])
        assert.are_not.equal(sent[1], sent[4])
      end)

      it("is the policy's where it makes one", function()
        local outbox, client = new(nil, {
          idempotency = { from = { "id" }, prefix = "shop-", header = "X-Key", quoted = true },
        })
        local req = { method = "POST", path = "/", json = { id = 7 } }
        assert(outbox:put(req))
        t:script{ kit.OK }
        t:run(function() client:request(req) end)
        drain(outbox)
        assert.matches('^"shop%-%x+"$', t.requests[1].headers["X-Key"])
        assert.equal(t.requests[1].headers["X-Key"], t.requests[2].headers["X-Key"])
      end)

      it("is what a function of the policy says, which is asked once", function()
        local asked = 0
        local outbox = new(nil, {
          idempotency = { from = function(req)
            asked = asked + 1
            return "f-" .. req.json.id
          end },
        })
        assert(outbox:put{ method = "POST", path = "/", json = { id = "7" } })
        t:script{ kit.OK }
        drain(outbox)
        assert.equal("f-7", keys()[1])
        assert.equal(1, asked)
      end)

      it("may stand among the caller's own headers", function()
        local outbox = new()
        assert(outbox:put{ path = "/", headers = { ["idempotency-key"] = "own" } })
        t:script{ kit.OK }
        drain(outbox)
        assert.equal("own", keys()[1])
      end)

      it("is the same on every delivery, in the client's own retries too", function()
        local outbox = new(nil, { retry = { max_attempts = 2, backoff = kit.waits_of(1) } })
        assert(outbox:put{ method = "POST", path = "/", body = "x" })
        t:script{ { status = 503, times = 3 }, { error = "reset" }, kit.OK }
        t:run(function()
          assert(outbox:drain())
          neap.sleep(10)
          assert(outbox:drain())
          neap.sleep(20)
          assert(outbox:drain())
        end)
        local sent = keys()
        assert.equal(5, #sent)
        for _, key in ipairs(sent) do
          assert.equal(sent[1], key)
        end
        assert.equal(0, outbox:size())
      end)
    end)

    describe("draining", function()
      it("delivers oldest first, and empties the outbox", function()
        local outbox = new()
        for index = 1, 5 do
          assert(outbox:put{ method = "POST", path = "/" .. index })
        end
        t:script{ kit.OK }
        local counts = drain(outbox)
        assert.same({ 5, 0, 0 }, counts_of(counts))
        assert.is_nil(counts.next)
        assert.same({ "/1", "/2", "/3", "/4", "/5" }, paths())
        assert.equal(0, outbox:size())
      end)

      it("counts 200 to 399 as delivered", function()
        local outbox = new()
        for _ = 1, 4 do
          assert(outbox:put{ method = "POST", path = "/" })
        end
        t:script{ { status = 200 }, { status = 204 }, { status = 304 }, { status = 399 } }
        assert.same({ 4, 0, 0 }, counts_of(drain(outbox)))
      end)

      it("puts off what fails, for longer each time", function()
        local outbox = new()
        assert(outbox:put{ method = "POST", path = "/" })
        t:script{ { status = 503 }, { error = "connect" }, { error = "timeout", phase = "read",
          after = 0 }, { status = 200 } }
        t:run(function()
          for _, wait in ipairs{ 10, 20, 40 } do
            local counts = assert(outbox:drain())
            assert.same({ 0, 1, 0 }, counts_of(counts))
            assert.near(wait, counts.next, 1e-3)
            neap.sleep(wait - 0.001)
            assert.same({ 0, 0, 0 }, counts_of(assert(outbox:drain())))
            neap.sleep(0.002)
          end
          assert.same({ 1, 0, 0 }, counts_of(assert(outbox:drain())))
        end)
        assert.equal(4, #t.requests)
      end)

      it("waits as long as the server asked for, where that is longer", function()
        local outbox = new()
        assert(outbox:put{ method = "POST", path = "/" })
        t:script{ { status = 429, headers = { ["Retry-After"] = "100" } } }
        local counts = drain(outbox)
        assert.is_true(counts.next >= 100 and counts.next <= 110, counts.next)
      end)

      it("stops after `limit` entries", function()
        local outbox = new()
        for index = 1, 5 do
          assert(outbox:put{ method = "POST", path = "/" .. index })
        end
        t:script{ kit.OK }
        assert.same({ 2, 0, 0 }, counts_of(drain(outbox, { limit = 2 })))
        assert.equal(3, outbox:size())
        assert.same({ 3, 0, 0 }, counts_of(drain(outbox, { limit = 4, concurrency = 3 })))
      end)

      it("delivers side by side with `concurrency`", function()
        local outbox = new()
        for index = 1, 6 do
          assert(outbox:put{ method = "POST", path = "/" .. index })
        end
        t:script{ { status = 200, after = 1, ["repeat"] = true } }
        local seconds = t:run(function()
          local began = neap.now()
          assert.same({ 6, 0, 0 }, counts_of(assert(outbox:drain{ concurrency = 3 })))
          return neap.now() - began
        end)
        assert.near(2, seconds, 1e-6)
      end)

      it("has no more lanes than entries, however many are allowed", function()
        local outbox = new()
        assert(outbox:put{ method = "POST", path = "/1" })
        t:script{ kit.OK }
        collectgarbage()
        collectgarbage("stop")
        local before = collectgarbage("count")
        local counts = counts_of(drain(outbox, { concurrency = 20000 }))
        local grown = collectgarbage("count") - before
        collectgarbage("restart")
        assert.same({ 1, 0, 0 }, counts)
        assert.is_true(grown < 2000, grown .. " KiB")
      end)

      it("delivers one at a time, oldest first, for each ordering key", function()
        local outbox = new{ ordering_key = function(req) return req.tags and req.tags.to end }
        for _, path in ipairs{ "/a1", "/a2", "/b1", "/a3", "/b2" } do
          assert(outbox:put{ method = "POST", path = path, tags = { to = path:sub(2, 2) } })
        end
        t:script{ { status = 200, after = 1, ["repeat"] = true } }
        local at_most, now_out = {}, {}
        t:run(function() assert(outbox:drain{ concurrency = 5 }) end)
        for _, request in ipairs(t.requests) do
          local key = request.path:sub(2, 2)
          assert.is_true(not now_out[key] or request.at >= now_out[key] + 1)
          now_out[key] = request.at
          at_most[#at_most + 1] = key == "a" and request.path or nil
        end
        assert.same({ "/a1", "/a2", "/a3" }, at_most)
      end)

      it("holds the later ones of an ordering key back while the first one waits", function()
        local outbox = new()
        for _, path in ipairs{ "/a1", "/a2", "/c" } do
          assert(outbox:put({ method = "POST", path = path },
            { ordering_key = path ~= "/c" and "a" or nil }))
        end
        t:script{ function(request)
          return { status = request.path == "/a1" and 503 or 200 }
        end, kit.OK }
        t:run(function()
          assert.same({ 1, 1, 0 }, counts_of(assert(outbox:drain())))
          neap.sleep(11)
          assert.same({ 2, 0, 0 }, counts_of(assert(outbox:drain())))
        end)
        assert.same({ "/a1", "/c", "/a1", "/a2" }, paths())
      end)

      it("gives an entry to one of several drainers", function()
        local outbox = new()
        local beside = new()
        for index = 1, 10 do
          assert(outbox:put{ method = "POST", path = "/" .. index })
        end
        t:script{ { status = 200, after = 0.1, ["repeat"] = true } }
        local delivered = t:run(function()
          local sum = 0
          for _, result in ipairs(neap.all{
            function() return assert(outbox:drain{ concurrency = 2 }).delivered end,
            function() return assert(beside:drain{ concurrency = 2 }).delivered end,
          }) do
            assert(result[1], result[2])
            sum = sum + result[2]
          end
          return sum
        end)
        assert.equal(10, delivered)
        assert.equal(10, #t.requests)
      end)

      it("takes over what another drainer left behind, once its lease has ended", function()
        local outbox = new(nil, { timeout = { total = 30 } })
        assert(outbox:put{ method = "POST", path = "/" })
        local abandoned = outbox:_perform("outbox_take", { key = "outbox", lease = 45 })
        assert.is_truthy(abandoned)
        t:script{ kit.OK }
        t:run(function()
          local counts = assert(outbox:drain())
          assert.same({ 0, 0, 0 }, counts_of(counts))
          assert.near(45, counts.next, 1e-3)
          neap.sleep(46)
          assert.same({ 1, 0, 0 }, counts_of(assert(outbox:drain())))
        end)
        assert.is_false(outbox:_perform("outbox_done",
          { id = abandoned.id, token = abandoned.token }))
      end)

      it("keeps an entry for as long as its own total time allows", function()
        local outbox = new(nil, { timeout = { total = 1, read = 1000 } })
        local beside = new(nil, { timeout = { total = 1, read = 1000 } })
        assert(outbox:put{ method = "POST", path = "/", timeout = { total = 500 } })
        t:script{ { status = 200, after = 300 } }
        t:run(function()
          neap.all{
            function() assert(outbox:drain()) end,
            function()
              neap.sleep(299)
              assert.same({ 0, 0, 0 }, counts_of(assert(beside:drain())))
            end,
          }
        end)
        assert.equal(1, #t.requests)
        assert.equal(0, outbox:size())
      end)

      it("goes through the pipeline without the fallbacks", function()
        local outbox, client = new(nil, { fallback = { { default = { status = 200 } } } })
        t:script{ { status = 503, ["repeat"] = true } }
        assert.equal("default", t:run(function() return client:get("/") end).source)
        assert(outbox:put{ method = "POST", path = "/" })
        assert.same({ 0, 1, 0 }, counts_of(drain(outbox)))
        assert.equal(1, outbox:size())
      end)

      it("is not answered by the cache, nor by another call", function()
        local outbox, client = new(nil, { cache = { ttl = 1000 }, coalesce = true })
        t:script{ { status = 200, after = 1, ["repeat"] = true } }
        t:run(function()
          client:get("/page")
          assert.equal("cache", client:get("/page").source)
          assert(outbox:put{ path = "/page" })
          assert(outbox:put{ path = "/page" })
          assert.same({ 2, 0, 0 }, counts_of(assert(outbox:drain{ concurrency = 2 })))
        end)
        assert.equal(3, #t.requests)
      end)

      it("ends between two entries when `stop` says so", function()
        local outbox, said = new(), 0
        for index = 1, 5 do
          assert(outbox:put{ method = "POST", path = "/" .. index })
        end
        t:script{ kit.OK }
        local counts = drain(outbox, { progress = function(so_far) said = so_far.delivered end,
          stop = function() return said >= 2 end })
        assert.same({ 2, 0, 0 }, counts_of(counts))
      end)

      it("treats a function of the policy that raises as a failure that may pass", function()
        local broken = true
        local outbox = new(nil, {
          breaker = { key = function()
            if broken then error("no such tenant") end
            return "k"
          end },
        })
        assert(outbox:put{ method = "POST", path = "/" })
        t:script{ kit.OK }
        t:run(function()
          assert.same({ 0, 1, 0 }, counts_of(assert(outbox:drain())))
          broken = false
          neap.sleep(11)
          assert.same({ 1, 0, 0 }, counts_of(assert(outbox:drain())))
        end)
      end)

      it("raises at the caller's line for wrong options", function()
        local outbox = new()
        local done, message = pcall(function() return (outbox:drain{ concurency = 1 }) end)
        assert.is_false(done)
        assert.matches("outbox_spec%.lua:%d+: options%.concurency: unknown key, expected "
          .. "concurrency, limit, progress or stop$", message)
        assert.has_error(function() outbox:drain{ limit = 0 } end)
        assert.has_error(function() outbox:drain(7) end)
        assert.has_error(function() outbox:work{ stop = true } end)
        assert.has_error(function() outbox.drain({}) end)
      end)
    end)

    describe("a refusal of the client's own", function()
      it("costs no attempt, and ends the round where every call would be refused", function()
        local outbox = new({ max_attempts = 2 }, { breaker = kit.touchy_breaker(30) })
        for index = 1, 3 do
          assert(outbox:put{ method = "POST", path = "/" .. index })
        end
        t:script{ { status = 503 }, kit.OK }
        t:run(function()
          local counts = assert(outbox:drain())
          assert.same({ 0, 2, 0 }, counts_of(counts)) -- one failed, one was refused
          assert.is_true(counts.next >= 30 and counts.next <= 33.1, counts.next)
          for _ = 1, 3 do -- as often as it is refused: only the round that failed counts
            neap.sleep(5)
            assert(outbox:drain())
          end
          assert.equal(1, #t.requests)
          neap.sleep(60)
          assert.same({ 3, 0, 0 }, counts_of(assert(outbox:drain())))
        end)
      end)

      it("puts off one entry alone where breakers are many", function()
        local outbox = new(nil, { breaker = {
          window = { count = 1 }, min_calls = 1, open_for = 30,
          key = function(req) return req.tags.to end,
        } })
        for _, to in ipairs{ "a", "a", "b" } do
          assert(outbox:put{ method = "POST", path = "/" .. to, tags = { to = to } })
        end
        t:script{ { status = 503 }, kit.OK }
        assert.same({ 1, 2, 0 }, counts_of(drain(outbox)))
        assert.same({ "/a", "/b" }, paths())
      end)

      it("may be over by the time that the entry is held", function()
        local _, client = new(nil, { rate_limit = { rate = 1000, per = 1, burst = 1 } })
        local now = t.env.time()
        local outbox = outbox_module.new{ store = store, client = client, env = {
          time = function() -- time passes between any two looks at the clock
            now = now + 0.01
            return now
          end,
          random = t.env.random,
        } }
        for index = 1, 2 do
          assert(outbox:put{ method = "POST", path = "/" .. index })
        end
        t:script{ kit.OK }
        assert.same({ 1, 1, 0 }, counts_of(drain(outbox)))
      end)

      it("is waited for by a worker, so that a rate limit sets the pace", function()
        local outbox = new(nil, { rate_limit = { rate = 1, per = 1, burst = 1, max_wait = 0 } })
        for index = 1, 4 do
          assert(outbox:put{ method = "POST", path = "/" .. index })
        end
        t:script{ kit.OK }
        t:run(function()
          assert(outbox:work{ stop = function() return outbox:size() == 0 end })
        end)
        assert.equal(4, #t.requests)
        assert.is_true(t.requests[4].at >= 3 and t.requests[4].at < 6, t.requests[4].at)
      end)
    end)

    describe("a dead letter", function()
      it("is what can never pass, with the reason and the request", function()
        local outbox = new()
        local id = assert(outbox:put{ method = "POST", path = "/a", json = { n = 1 },
          headers = { ["X-A"] = "1" }, idempotency_key = "k", tags = { t = 1 } })
        t:script{ { status = 422, body = "no such user" } }
        assert.same({ 0, 0, 1 }, counts_of(drain(outbox)))
        assert.equal(0, outbox:size())
        local letter = letters(outbox)[1]
        assert.equal(id, letter.id)
        assert.equal("rejected: status 422: no such user", letter.reason)
        assert.equal(1, letter.attempts)
        assert.equal(t:time(), letter.put_at)
        assert.equal(t:time(), letter.died_at)
        assert.same({ method = "POST", path = "/a", body = '{"n":1}', idempotency_key = "k",
          headers = { ["X-A"] = "1", ["Content-Type"] = "application/json" }, tags = { t = 1 } },
          letter.request)
      end)

      it("is what has used up its attempts", function()
        local outbox = new{ max_attempts = 3, backoff = { base = 0 } }
        assert(outbox:put{ method = "POST", path = "/" })
        t:script{ { status = 503, ["repeat"] = true } }
        assert.same({ 0, 2, 1 }, counts_of(drain(outbox)))
        local letter = letters(outbox)[1]
        assert.equal("attempts: status 503", letter.reason)
        assert.equal(3, letter.attempts)
      end)

      it("is what would wait past max_age, in wall time since it was put", function()
        local outbox = new{ max_age = 25 }
        assert(outbox:put{ method = "POST", path = "/" })
        t:script{ { error = "connect", ["repeat"] = true } }
        t:run(function()
          assert.same({ 0, 1, 0 }, counts_of(assert(outbox:drain())))
          neap.sleep(10)
          assert.same({ 0, 0, 1 }, counts_of(assert(outbox:drain()))) -- 20 s more are too long
        end)
        assert.matches("^max_age: connect: ", letters(outbox)[1].reason)
      end)

      it("is tried once, however old it was when somebody came to drain", function()
        local outbox = new{ max_age = 25 }
        assert(outbox:put{ method = "POST", path = "/" })
        t:script{ kit.OK }
        t:advance(1000)
        assert.same({ 1, 0, 0 }, counts_of(drain(outbox)))
      end)

      it("is not made by refusals alone", function()
        local outbox = new({ max_age = 25 }, { breaker = kit.touchy_breaker(30) })
        for index = 1, 4 do
          assert(outbox:put{ method = "POST", path = "/" .. index })
        end
        t:script{ { status = 503 }, kit.OK }
        t:advance(1000)
        t:run(function()
          assert.same({ 0, 1, 1 }, counts_of(assert(outbox:drain())))
          neap.sleep(40)
          assert.same({ 3, 0, 0 }, counts_of(assert(outbox:drain())))
        end)
      end)

      it("lets the next one of its ordering key go", function()
        local outbox = new()
        for index = 1, 2 do
          assert(outbox:put({ method = "POST", path = "/" .. index }, { ordering_key = "a" }))
        end
        t:script{ { status = 400 }, kit.OK }
        assert.same({ 1, 0, 1 }, counts_of(drain(outbox)))
      end)

      it("is delivered after it was revived, with all its attempts and the same key", function()
        local outbox = new{ max_attempts = 2, backoff = { base = 0 } }
        local id = assert(outbox:put{ method = "POST", path = "/" })
        t:script{ { status = 503, times = 3 }, kit.OK }
        drain(outbox)
        assert.is_false(outbox:revive(id + 1))
        assert.is_true(outbox:revive(id))
        assert.is_false(outbox:revive(id))
        assert.equal(1, outbox:size())
        assert.same({ 1, 1, 0 }, counts_of(drain(outbox)))
        local sent = keys()
        assert.equal(4, #sent)
        assert.equal(sent[1], sent[4])
      end)

      it("is revived with all others by revive_all", function()
        local outbox = new()
        for index = 1, 5 do
          assert(outbox:put{ method = "POST", path = "/" .. index })
        end
        t:script{ { status = 400, times = 5 }, kit.OK }
        drain(outbox)
        assert.equal(5, #letters(outbox))
        assert.equal(5, outbox:revive_all())
        assert.equal(0, outbox:revive_all())
        assert.same({ 5, 0, 0 }, counts_of(drain(outbox)))
      end)

      it("can be thrown away", function()
        local outbox = new()
        local id = assert(outbox:put{ method = "POST", path = "/" })
        t:script{ { status = 400 } }
        assert.is_false(outbox:drop(id))
        drain(outbox)
        assert.is_true(outbox:drop(id))
        assert.is_false(outbox:drop(id))
        assert.same({}, letters(outbox))
        assert.has_error(function() outbox:drop("1") end)
        assert.has_error(function() outbox:revive(0) end)
      end)

      it("is what cannot be read any more", function()
        local outbox = new()
        assert(outbox:_perform("outbox_put", { key = "outbox", value = "not one of ours" }))
        assert.same({ 0, 0, 1 }, counts_of(drain(outbox)))
        local letter = letters(outbox)[1]
        assert.equal("damaged: the stored request was not written by neap", letter.reason)
        assert.is_nil(letter.request)
        assert.equal(0, letter.attempts)
      end)
    end)

    describe("names", function()
      it("keep outboxes of one store apart", function()
        local one, two = new{ name = "one" }, new{ name = "two" }
        assert(one:put{ method = "POST", path = "/1" })
        assert(two:put{ method = "POST", path = "/2" })
        t:script{ kit.OK }
        assert.same({ 1, 0, 0 }, counts_of(drain(two)))
        assert.same({ "/2" }, paths())
        assert.equal(1, one:size())
      end)

      it("keep dead letters apart too, whose ids are the store's", function()
        local one, two = new{ name = "one" }, new{ name = "two" }
        local id = assert(one:put{ method = "POST", path = "/1" })
        t:script{ { status = 400 } }
        drain(one)
        assert.is_false(two:revive(id))
        assert.is_false(two:drop(id))
        assert.equal(1, #letters(one))
        assert.is_true(one:revive(id))
        assert.is_false(one:drop(id))
      end)
    end)

    describe("working", function()
      it("goes on until it is stopped, and tells how it goes", function()
        local outbox, said = new(), nil
        t:script{ { status = 503 }, kit.OK }
        local totals = t:run(function()
          local tasks = {
            neap.spawn(function()
              return outbox:work{
                interval = 2,
                stop = function() return neap.now() >= 60 end,
                progress = function(totals) said = totals end,
              }
            end),
            neap.spawn(function()
              for index = 1, 4 do
                assert(outbox:put{ method = "POST", path = "/" .. index })
                neap.sleep(7)
              end
            end),
          }
          return assert(tasks[1]:await())
        end)
        assert.same({ delivered = 4, retried = 1, dead = 0 }, totals)
        assert.same(totals, said)
        assert.is_true(t.requests[2].at <= 9.1)
      end)

      it("rests in the caller's own way", function()
        local outbox, rests = new(), {}
        t:script{ { status = 503 } }
        assert(outbox:put{ method = "POST", path = "/" })
        t:run(function()
          assert(outbox:work{
            interval = 100,
            stop = function() return #rests == 1 end,
            rest = function(seconds) rests[#rests + 1] = seconds end,
          })
        end)
        assert.near(10, rests[1], 1e-3)
      end)
    end)

    describe("in the list of fallbacks", function()
      local outbox, client

      local function queue_with(entry, part)
        part = part or {}
        outbox = outbox_module.new{ store = store, env = t.env,
          backoff = { base = 10, jitter = "none" } }
        entry.queue = outbox
        part.retry, part.breaker, part.gate = part.retry or false, false, false
        part.fallback = { entry, part.after }
        part.after = nil
        client = t:client(kit.policy(part))
      end

      it("accepts the request, to be delivered under the key of the first tries", function()
        queue_with({}, { idempotency = true, retry = { backoff = kit.waits_of(1) } })
        t:script{ { status = 503, times = 3 }, kit.OK }
        local res = t:run(function() return client:post("/pay", { json = { n = 1 } }) end)
        assert.equal(202, res.status)
        assert.equal("queue", res.source)
        assert.is_true(res.ok)
        assert.is_true(res.degraded)
        assert.equal(3, res.attempts)
        assert.is_true(res.value >= 1)
        assert.equal("fallback queue 202", kit.words(res.trace)[#res.trace])
        assert.equal(1, outbox:size())
        assert.same({ 1, 0, 0 }, counts_of(drain(outbox)))
        local sent = keys()
        assert.equal(4, #sent)
        for _, key in ipairs(sent) do
          assert.equal(sent[1], key)
        end
        assert.equal('{"n":1}', t.requests[4].body)
        assert.equal("/pay", t.requests[4].path)
      end)

      it("queues only for the kinds of `when`", function()
        queue_with{ when = { "connect" } }
        t:script{ { status = 503 }, { error = "connect" } }
        t:run(function()
          assert.equal(503, client:post("/").status)
          assert.equal(202, client:post("/").status)
        end)
        assert.equal(1, outbox:size())
      end)

      it("leaves the next fallback its turn where the store fails", function()
        queue_with({}, { after = { default = { status = 200, body = "later" } } })
        t:script{ { error = "connect" } }
        -- Longer than any store takes.
        outbox._ordering_key = function() return ("k"):rep(5000) end
        local res = t:run(function() return client:post("/") end)
        assert.equal("later", res.body)
        local entry = kit.entries(res.trace, "fallback")[1]
        assert.equal("queue", entry.reason)
        assert.equal("store", entry.error)
        assert.matches("out of the store's bounds", entry.message)
        assert.equal(0, outbox:size())
      end)

      it("leaves the next fallback its turn where the request cannot be kept", function()
        queue_with({}, { after = { default = { status = 200, body = "later" } } })
        t:script{ { error = "connect" } }
        local res = t:run(function() return client:post("/", { tags = { t = {} } }) end)
        assert.equal("later", res.body)
        assert.matches("request%.tags", kit.entries(res.trace, "fallback")[1].message)
      end)

      it("does not queue a delivery that fails once more", function()
        queue_with{}
        t:script{ { status = 503, ["repeat"] = true } }
        t:run(function()
          assert.equal(202, client:post("/").status)
          assert.same({ 0, 1, 0 }, counts_of(assert(outbox:drain())))
        end)
        assert.equal(1, outbox:size())
      end)
    end)
  end)
end

describe_on("memory", function() return require("neap.store.memory").new() end, function() end)

local remove
describe_on("a SQLite file", function()
  local path
  path, remove = stores.scratch()
  return assert(require("neap.store.sqlite").new{ path = path })
end, function() remove() end)

local lacks_redis, server = redis.lacks(), nil
if lacks_redis then
  pending("an outbox in Redis: " .. lacks_redis)
else
  describe("with a Redis", function()
    teardown(function() server:stop() end)

    describe_on("Redis", function()
      server = server or redis.start()
      server:say("FLUSHALL")
      return assert(require("neap.store.redis").new{ host = server.path })
    end, function() end)
  end)
end

describe("an outbox whose store fails", function()
  it("acknowledges nothing on a full disk, and has what it acknowledged before", function()
    local path, remove_file = stores.scratch()
    local report = calls.child("ulimit -f 512; trap '' XFSZ;", [[
      local client = require("neap").client{ name = "c", base_url = "http://127.0.0.1:1" }
      local outbox = require("neap.outbox").new{ client = client,
        store = assert(require("neap.store.sqlite").new{ path = ... }) }
      for i = 1, 1000 do
        local id, err = outbox:put{ method = "POST", path = "/" .. i, body = ("b"):rep(10000) }
        if not id then
          print(require("cjson").encode{ accepted = i - 1, kind = err.kind })
          os.exit(0)
        end
      end
    ]], path)
    assert.equal("store", report.kind)
    assert.is_true(report.accepted > 5)
    local t = testing.new()
    local outbox = outbox_module.new{
      store = assert(require("neap.store.sqlite").new{ path = path }),
      client = t:client(kit.policy()),
    }
    assert.equal(report.accepted, outbox:size())
    remove_file()
  end)

  it("says so where the file cannot be written", function()
    local disk, why = stores.disk("size=8m")
    if not disk then
      pending(why)
      return
    end
    local t = testing.new()
    local client = t:client(kit.policy())
    local function open()
      return outbox_module.new{ client = client,
        store = assert(require("neap.store.sqlite").new{ path = disk.folder .. "/store.db" }) }
    end
    local outbox = open()
    assert(outbox:put{ method = "POST", path = "/" })
    outbox = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_true(disk:remount("ro"))
    outbox = open()
    for _, fn in ipairs{
      function() return outbox:put{ method = "POST", path = "/" } end,
      function() return outbox:drain() end,
      function() return outbox:revive_all() end,
      function() return outbox:size() end,
    } do
      local value, err = t:run(fn)
      assert.is_nil(value)
      assert.equal("store", err.kind)
    end
    for letter, err in outbox:dead() do
      assert.is_false(letter)
      assert.equal("store", err.kind)
    end
    outbox = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    disk:remove()
  end)

  it("is told by a worker, which goes on", function()
    local t = testing.new()
    local lost = require("neap.store.redis").new{ port = 1 }
    local outbox = outbox_module.new{ client = t:client(kit.policy()), store = lost }
    local errs = {}
    t:run(function()
      assert(outbox:work{
        stop = function() return #errs == 3 end,
        progress = function(_, err) errs[#errs + 1] = err end,
      })
      assert.is_true(neap.now() >= 2)
    end)
    assert.equal("store", errs[3].kind)
  end)
end)

describe("an outbox", function()
  local store

  before_each(function()
    store = require("neap.store.memory").new()
  end)

  it("raises at the caller's line for wrong options", function()
    local client = testing.new():client(kit.policy())
    local function complaint(options)
      local done, message = pcall(function() return (outbox_module.new(options)) end)
      assert.is_false(done)
      return message
    end
    assert.matches("outbox_spec%.lua:%d+: options%.store: ", complaint{ client = client })
    assert.matches("options%.store: expected a store", complaint{ store = {} })
    assert.matches("options%.client: expected a client", complaint{ store = store, client = {} })
    assert.matches("options%.max_attempts: expected an integer >= 1, got 0",
      complaint{ store = store, max_attempts = 0 })
    assert.matches('options%.max_atempts: unknown key, did you mean "max_attempts"',
      complaint{ store = store, max_atempts = 3 })
    assert.matches("options%.backoff%.factor: ",
      complaint{ store = store, backoff = { factor = 0 } })
    assert.matches("options%.name: ", complaint{ store = store, name = "" })
    assert.matches("options%.env%.time: ", complaint{ store = store, env = { time = 7 } })
    assert.matches("options: expected a table", complaint(nil))
  end)

  it("raises for a clock of the program's own that tells no time", function()
    for _, told in ipairs{ 0 / 0, math.huge, "noon" } do
      local box = outbox_module.new{
        store = store,
        client = testing.new():client{ name = "c", base_url = "https://c.example" },
        env = { time = function() return told end },
      }
      local done, message = pcall(box.put, box, { method = "POST", path = "/" })
      assert.is_false(done)
      assert.matches("env%.time: expected a number of seconds", message)
    end
  end)

  it("needs a client before it is used", function()
    local outbox = outbox_module.new{ store = store }
    assert.has_error(function() outbox:size() end,
      "outbox: has no client yet; give it one, or name it in a client's fallback list")
    assert.has_error(function() outbox:put{} end)
    assert.has_error(function() outbox:drain() end)
  end)

  it("is what a fallback to a queue takes, and only a client's", function()
    local t = testing.new()
    local function complaint(fn)
      local done, message = pcall(fn)
      assert.is_false(done)
      return message
    end
    assert.matches("policy%.fallback%[1%]%.queue: expected an outbox", complaint(function()
      t:client(kit.policy{ fallback = { { queue = {} } } })
    end))
    local outbox = outbox_module.new{ store = store }
    assert.matches("policy%.fallback%[1%]: expected exactly one of", complaint(function()
      t:client(kit.policy{ fallback = { { queue = outbox, default = 1 } } })
    end))
    assert.matches("policy%.fallback%[1%]%.queue: calls of a function", complaint(function()
      neap.wrap({ name = "f", fallback = { { queue = outbox } } }, function() end)
    end))
  end)

  it("waits between rounds as its defaults say", function()
    local t = testing.new{ seed = 3 }
    local client = t:client(kit.policy{ retry = false, breaker = false })
    local outbox = outbox_module.new{ store = store, client = client, max_age = 1e9 }
    assert(outbox:put{ method = "POST", path = "/" })
    t:script{ { status = 500, ["repeat"] = true } }
    t:run(function()
      for round = 1, 19 do
        local middle = math.min(5 * 2 ^ (round - 1), 3600)
        local wait = assert(outbox:drain()).next
        assert.is_true(wait >= middle / 2 - 1e-3 and wait <= math.min(middle * 1.5, 3600) + 1e-3,
          ("round %d waits %s"):format(round, wait))
        neap.sleep(wait + 0.001)
      end
      assert.equal(1, assert(outbox:drain()).dead)
    end)
  end)
end)
