-- The client's cache in nginx: what is fresh is answered also where nothing can wait, a store on
-- disk is shared by the workers, and a stale answer is refreshed when its request has ended.
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local s, n, path

setup(function()
  s = server.start()
  path = os.tmpname()
  os.remove(path)
  n = farm.start{ upstream = s.url, init = ([[
    local sqlite = require "neap.store.sqlite"
    api = neap.client{ name = "api", base_url = upstream, retry = false, cache = {} }
    kept = neap.client{ name = "kept", base_url = upstream, retry = false,
      cache = { store = assert(sqlite.new{ path = %q }) } }
    function word_of(res, err)
      return res and res.source .. " " .. res.body or err.kind
    end
  ]]):format(path), conf = [[
    location = /set {
      set_by_lua_block $word { return word_of(api:get("/s/fresh")) }
      return 200 $word;
    }
  ]] }
end)

teardown(function()
  n:stop()
  s:stop()
  for _, suffix in ipairs{ "", "-wal", "-shm" } do os.remove(path .. suffix) end
end)

before_each(function() s:reset() end)

local FRESH = "/status/200?body=one&header=Cache-Control:max-age=60"

describe("the cache in nginx", function()
  it("answers in a phase that cannot wait", function()
    s:script("fresh", { FRESH })
    assert.equal("network one", n:run "return word_of(api:get('/s/fresh'))")
    local talk = n:talk()
    local status, body = talk:get "/set"
    talk:close()
    assert.same({ 200, "cache one" }, { status, body })
  end)

  it("waits for a store on disk without blocking the worker", function()
    s:script("disk", { FRESH })
    assert.equal("network one", n:run "return word_of(kept:get('/s/disk'))")
    assert.equal("cache one", n:run "return word_of(kept:get('/s/disk'))")
    assert.equal(1, s:ledger().requests)
  end)

  it("refreshes after the request that was answered stale", function()
    s:script("swr", { "/status/200?body=one&header=Cache-Control:"
      .. "max-age=0,stale-while-revalidate=60",
      "/status/200?body=two&gate=two&header=Cache-Control:max-age=60" })
    assert.equal("network one", n:run "return word_of(api:get('/s/swr'))")
    assert.equal("stale one", n:run "return word_of(api:get('/s/swr'))")
    assert.is_truthy(s:settle(function(ledger) return ledger.in_flight == 1 end))
    assert.equal("stale one", n:run "return word_of(api:get('/s/swr'))")
    s:release("two")
    assert.is_true(farm.wait("the refreshed answer", function()
      return n:run "return word_of(api:get('/s/swr'))" == "cache two"
    end))
    assert.equal(2, s:ledger().requests)
  end)
end)
