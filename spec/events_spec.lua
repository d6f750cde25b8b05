-- What listeners are told of a call, field by field: enough to make a span of each attempt, and
-- nothing that must not be logged.
local kit = require "spec.support.kit"
local neap = require "neap"
local testing = require "neap.testing"

local EPOCH = 1767225600
local EVENTS = { "attempt", "retry", "reject", "breaker", "fallback", "done" }

-- A client in a kit, and a list of all that its listeners are told.
local function watched(part)
  local t, client = kit.client(part)
  local told = {}
  for _, event in ipairs(EVENTS) do
    client:on(event, function(given) told[#told + 1] = given end)
  end
  return t, client, told
end

-- What was told under that name, in order.
local function of(told, event)
  local found = {}
  for _, given in ipairs(told) do
    if given.event == event then
      found[#found + 1] = given
    end
  end
  return found
end

describe("the events of a call", function()
  it("have one number, which no other call has", function()
    local t, client, told = watched { retry = { backoff = kit.waits_of(1) } }
    t:script { { status = 503 }, { status = 200 }, { status = 200 } }
    t:run(function()
      client:get("/")
      client:get("/")
    end)
    assert.equal(6, #told)
    for index = 2, 4 do
      assert.equal(told[1].call, told[index].call)
    end
    assert.equal("number", type(told[1].call))
    assert.equal(told[5].call, told[6].call)
    assert.not_equal(told[1].call, told[5].call)
  end)

  it("stay apart where calls run side by side", function()
    local t, client, told = watched { retry = { backoff = kit.waits_of(1) } }
    t:script { { status = 503, after = 1 }, { status = 503, after = 1 }, kit.OK }
    t:run(function()
      neap.all {
        function() return client:get("/a") end,
        function() return client:get("/b") end,
      }
    end)
    local path_of = {}
    for _, event in ipairs(told) do
      path_of[event.call] = path_of[event.call] or event.path
      assert.equal(path_of[event.call], event.path)
    end
    local calls = 0
    for _ in pairs(path_of) do
      calls = calls + 1
    end
    assert.equal(2, calls)
  end)

  it("tell when an attempt began and ended, by both clocks", function()
    local t, client, told = watched { retry = { backoff = kit.waits_of(5) } }
    t:advance(100)
    kit.get(t, client, { { status = 503, after = 2 }, { error = "reset", after = 1 }, kit.OK })
    local attempts = of(told, "attempt")
    local moments = { { 100, 102 }, { 107, 108 }, { 113, 113 } }
    for index, moment in ipairs(moments) do
      local event = attempts[index]
      assert.equal(index, event.attempt)
      assert.equal(moment[1], event.began)
      assert.equal(moment[2], event.at)
      assert.equal(EPOCH + moment[1], event.began_time)
      assert.equal(EPOCH + moment[2], event.time)
      assert.equal(event.at - event.began, event.elapsed)
    end
    local done = of(told, "done")[1]
    assert.same({ 100, 113, EPOCH + 100, EPOCH + 113 },
      { done.began, done.at, done.began_time, done.time })
  end)

  it("tell the method, the URL without its query, and the server", function()
    local t, client, told = watched()
    kit.get(t, client, { kit.OK }, { query = { token = "s3cret" } })
    t:run(function() client:request { method = "post", path = "/x?token=s3cret", body = "" } end)
    for _, event in ipairs(told) do
      local text = tostring(event.url)
      assert.is_nil(text:find("s3cret", 1, true))
      assert.equal("api.example", event.host)
      assert.equal(443, event.port)
      assert.equal("api", event.client)
    end
    assert.equal("GET", told[1].method)
    assert.equal("https://api.example/", told[1].url)
    assert.equal("POST", told[3].method)
    assert.equal("https://api.example/x", told[3].url)
    assert.equal("/x", told[3].path)
  end)

  it("name an IPv6 server without its brackets", function()
    local t = testing.new { seed = 1 }
    local client = t:client { name = "six", base_url = "http://[::1]:8080/" }
    local event
    client:on("done", function(given) event = given end)
    kit.get(t, client, { kit.OK })
    assert.equal("::1", event.host)
    assert.equal(8080, event.port)
    assert.equal("http://[::1]:8080/", event.url)
  end)

  it("tell why there is a retry and how long it waits", function()
    local t, client, told = watched { retry = { backoff = kit.waits_of(5) } }
    kit.get(t, client, { { status = 503, headers = { ["Retry-After"] = "2" } },
      { error = "reset" }, kit.OK })
    local retries = of(told, "retry")
    assert.equal("retry_after", retries[1].reason)
    assert.is_true(retries[1].delay >= 2)
    assert.equal(503, retries[1].status)
    assert.equal("backoff", retries[2].reason)
    assert.equal("reset", retries[2].error)
    assert.is_nil(retries[1].began)
  end)

  it("tell tags, and a table of the call's own", function()
    local t, client, told = watched { retry = { backoff = kit.waits_of(1) } }
    client:on("attempt", function(event)
      event.context.seen = (event.context.seen or 0) + 1
    end)
    t:script { { status = 503 }, { status = 200 }, { status = 200 } }
    local tags = { op = "list" }
    t:run(function()
      client:get("/", { tags = tags })
      client:get("/", { tags = tags })
    end)
    local done = of(told, "done")
    assert.equal(2, done[1].context.seen)
    assert.equal(1, done[2].context.seen)
    assert.equal(tags, done[1].tags)
    assert.is_nil(tags.seen)
  end)

  it("tell at the end the whole trace, and whether another call has served it", function()
    local t, client, told = watched { retry = { backoff = kit.waits_of(1) }, coalesce = true }
    t:script { { status = 503, after = 1 }, { status = 200, after = 1 } }
    t:run(function()
      neap.all {
        function() return client:get("/") end,
        function() return client:get("/") end,
      }
    end)
    local words = {}
    for _, event in ipairs(of(told, "done")) do
      words[event.coalesced] = kit.words(event.trace)
    end
    assert.same({ "attempt 503", "wait backoff", "attempt 200" }, words[false])
    assert.same({ "wait coalesced" }, words[true])
  end)

  it("tell the traceparent that a request has, and nothing else of its headers", function()
    local t, client, told = watched { headers = { Authorization = "Bearer s3cret" } }
    local parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    kit.get(t, client, { kit.OK }, { headers = { TraceParent = parent } })
    for _, event in ipairs(told) do
      assert.equal(parent, event.traceparent)
      assert.is_nil(event.headers)
    end
  end)
end)
