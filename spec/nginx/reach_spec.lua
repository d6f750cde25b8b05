-- allow_hosts and deny_private on the helper's thread.
local farm = require "spec.support.farm"
local server = require "spec.support.server"

local s, n

setup(function()
  s = server.start()
  n = farm.start{ upstream = s.url, workers = 1, init = [[
    inner = neap.client{ name = "inner", base_url = upstream, deny_private = true }
    named = neap.client{ name = "named", base_url = upstream, allow_hosts = { "127.0.0.1" } }
  ]] }
end)

teardown(function()
  n:stop()
  s:stop()
end)

describe("the reach of a client in nginx", function()
  it("ends at inner addresses with deny_private", function()
    assert.equal("connect", n:run "local _, err = inner:get('/echo') return err.kind")
  end)

  it("ends at the hosts of allow_hosts", function()
    assert.equal(200, n:run "return assert(named:get('/echo')).status")
    assert.equal("redirect", n:run [[
      local there = upstream:gsub("127.0.0.1", "localhost")
      local _, err = named:get("/redirect?n=1&to=" .. there .. "/echo")
      return err.kind
    ]])
  end)
end)
