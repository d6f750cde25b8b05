-- The fault matrix in nginx: what spec/fault_matrix_spec.lua asks for elsewhere, of calls that a
-- worker makes.
local cjson = require "cjson"

local farm = require "spec.support.farm"
local fault_matrix = require "spec.support.fault_matrix"
local faults = require "spec.support.faults"
local server = require "spec.support.server"

local s, n, talk, host

-- What a function of spec.support.fault_calls returns there.
local function inside(name)
  return function(nth, places)
    return talk:run(([==[
      local arguments = require("cjson").decode([=[%s]=])
      local fault_calls = require "spec.support.fault_calls"
      return fault_calls.%s(arguments.nth, arguments.places) or nil
    ]==]):format(cjson.encode{ nth = nth, places = places }, name))
  end
end

setup(function()
  s = server.start()
  n = farm.start{ upstream = s.refused, init = [[
    api = neap.client{ name = "before", base_url = upstream, retry = false }
  ]] }
  talk = n:talk()
  local pid = n:workers()[1]
  host = {
    open = inside "open", fail = inside "fail", follow = inside "follow", close = inside "close",
    overtake = inside "overtake",
    descriptors = function()
      return farm.descriptors(pid)
    end,
    seconds = { silence = 0.05, attempt = 0.3, total = 0.3 },
  }
  talk:run "api:get('/')" -- the helper is there from now on
  host.most = host.descriptors() + 2 -- the doorbell's, which is in use for a while after each call
end)

teardown(function()
  n:stop()
  s:stop()
end)

describe("in nginx", function()
  for nth, fault in ipairs(faults.list) do
    it(("%s: %s"):format(fault.group, fault.name), function()
      fault_matrix.judge(s, nth, host)
    end)
  end
end)

describe("an answer that comes too late in nginx", function()
  it("is not that of a call which waits for the connection", function()
    fault_matrix.overtake(s, host)
  end)
end)
