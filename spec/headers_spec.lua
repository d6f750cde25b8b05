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

  it("are set and removed in any letter case", function()
    local headers = headers_of{ ["Content-Type"] = "text/plain", ["X-Name"] = { "1", "2" } }
    headers["CONTENT-Type"] = nil
    headers["x-NAME"] = "3"
    headers["X-New"] = "4"
    headers[1] = "5"
    assert.is_nil(headers["content-type"])
    local listed = {}
    for name, value in pairs(headers) do
      listed[name] = value
    end
    assert.same({ ["x-name"] = "3", ["x-new"] = "4", [1] = "5" }, listed)
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

-- Few and many are read in different ways.
describe("pairs of a request", function()
  local kit, client

  before_each(function()
    kit = testing.new{ seed = 1 }
    client = kit:client{ name = "api", base_url = "http://api.example/" }
    kit:script{ { status = 200, ["repeat"] = true } }
  end)

  -- So many of them, every third one in a list of two and some numbers.
  local function pairs_of(count)
    local given, expected, left = {}, {}, count
    while left > 0 do
      local name = ("x-%02d"):format(left)
      if left % 3 == 0 and left > 1 then
        given[name], expected[name] = { "a" .. left, left }, { "a" .. left, tostring(left) }
        left = left - 2
      else
        given[name], expected[name] = left % 2 == 0 and left or "b" .. left,
          left % 2 == 0 and tostring(left) or "b" .. left
        left = left - 1
      end
    end
    return given, expected
  end

  local COUNTS = { 1, 2, 3, 14, 15, 16, 17, 18, 40 }

  it("are sent as headers, however many there are", function()
    for _, count in ipairs(COUNTS) do
      local given, expected = pairs_of(count)
      kit:run(function()
        assert(client:post("x", { headers = given, json = {} }))
      end)
      local sent = kit.requests[#kit.requests].headers
      for name, value in pairs(expected) do
        assert.same(value, sent[name])
      end
      assert.equal("application/json", sent["Content-Type"])
    end
  end)

  it("are sent as a query, in the order of their names", function()
    for _, count in ipairs(COUNTS) do
      local given, expected = pairs_of(count)
      kit:run(function()
        assert(client:get("x", { query = given }))
      end)
      local names, texts = {}, {}
      for name in pairs(expected) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do
        local value = expected[name]
        for _, one in ipairs(type(value) == "table" and value or { value }) do
          texts[#texts + 1] = name .. "=" .. one
        end
      end
      assert.equal(table.concat(texts, "&"), kit.requests[#kit.requests].query)
    end
  end)

  it("are refused by their name, few or many", function()
    for _, count in ipairs(COUNTS) do
      local given = pairs_of(count)
      given["x-wrong"] = function() end
      local done, message = pcall(client.get, client, "x", { headers = given })
      assert.is_false(done)
      assert.truthy(message:find('request.headers["x-wrong"]: expected a string', 1, true))
    end
  end)
end)
