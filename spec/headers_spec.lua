--- The table of a response's headers.
local testing = require "neap.testing"

describe("the headers of a response", function()
  local kit, client

  before_each(function()
    kit = testing.new{ seed = 1 }
    client = kit:client{ name = "api", base_url = "http://api.example/" }
  end)

  local function headers_of(headers)
    kit:script{ { status = 200, headers = headers } }
    return kit:run(function() return client:get("x").headers end)
  end

  it("are listed by pairs with names in lower case", function()
    local listed = {}
    for name, value in pairs(headers_of{ ["Content-Type"] = "text/plain", ETag = '"1"' }) do
      listed[name] = value
    end
    assert.same({ ["content-type"] = "text/plain", etag = '"1"' }, listed)
  end)

  it("join in a list what is repeated in another letter case", function()
    local headers = headers_of{ ["X-Name"] = { "1", "2" }, ["x-name"] = "3", ["X-NAME"] = "4" }
    local found = headers["X-name"]
    table.sort(found)
    assert.same({ "1", "2", "3", "4" }, found)
  end)

  it("join in a list what is repeated under a long name", function()
    local long = ("X-Very-Long-Name"):rep(5)
    assert.same({ "1", "2" }, headers_of{ [long] = { "1", "2" } }[long:lower()])
  end)

  it("are told apart, however many there are", function()
    for round = 1, 3 do
      local given = {}
      for i = 1, 600 do
        given[("X-%d-Name"):format(i)] = ("%d of %d"):format(i, round)
      end
      local headers = headers_of(given)
      for i = 1, 600 do
        assert.equal(("%d of %d"):format(i, round), headers[("x-%d-name"):format(i)])
      end
    end
  end)

  it("keep what one response had from the next one", function()
    assert.equal("1", headers_of{ ["X-Ab-Cd"] = "1" }["x-ab-cd"])
    -- as long, with the same first, middle and last letter
    local headers = headers_of{ ["X-Zb-Zd"] = "2" }
    assert.is_nil(headers["x-ab-cd"])
    assert.equal("2", headers["x-zb-zd"])
  end)

  it("outlive the call and its client", function()
    local headers, res
    kit:script{ { status = 200, headers = { Server = "a" } } }
    kit:run(function() res = client:get("x") end)
    client:close()
    collectgarbage()
    headers = res.headers
    assert.equal("a", headers.server)
    assert.equal("attempt", res.trace[1].kind)
  end)
end)
