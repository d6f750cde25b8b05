-- Every fault of the misbehaving server, for each method, in a plain program and in neap.run: the
-- kind of error, within its time, repeated where it may be, nothing left behind, and no answer
-- given to another call. The table is spec/support/faults.lua; nginx's part is in
-- spec/nginx/fault_matrix_spec.lua, and docs/faults.md is made of it.
local lfs = require "lfs"
local neap = require "neap"

local calls = require "spec.support.calls"
local fault_calls = require "spec.support.fault_calls"
local fault_matrix = require "spec.support.fault_matrix"
local faults = require "spec.support.faults"
local server = require "spec.support.server"

local s, plain, run


teardown(function()
  s:stop()
end)

-- Without a look of the collector: a client that was closed keeps nothing.
local function descriptors()
  local count = 0
  for _ in lfs.dir("/proc/self/fd") do
    count = count + 1
  end
  return count
end

plain = {
  open = fault_calls.open, fail = fault_calls.fail, follow = fault_calls.follow,
  close = fault_calls.close, descriptors = descriptors, one_by_one = true,
  seconds = { silence = 0.01, attempt = 0.05, total = 0.05 },
}

local function within_run(fn)
  return function(...)
    return neap.run(fn, ...)
  end
end

run = {
  open = within_run(fault_calls.open), fail = within_run(fault_calls.fail),
  follow = within_run(fault_calls.follow), close = fault_calls.close,
  overtake = within_run(fault_calls.overtake),
  descriptors = descriptors,
  seconds = { silence = 0.05, attempt = 0.15, total = 0.15 },
}

setup(function()
  s = server.start()
  calls.client({ base_url = s.refused }):get("/") -- the engine is there from now on
  plain.most = descriptors()
  run.most = plain.most
end)

-- The older versions of Lua differ in the binding only: there the first row of each kind of error,
-- of a used connection and of a stream is played.
local IS_OLDER = _VERSION ~= "Lua 5.4" and not rawget(_G, "jit")
local played = {}

local function is_played(fault)
  local sort = fault.streams and "stream" or fault.first and "used" or fault.is
  local is_first = not played[sort]
  played[sort] = true
  return is_first or not IS_OLDER
end

for name, host in pairs{ ["a plain program"] = plain, ["neap.run"] = run } do
  describe("in " .. name, function()
    played = {}
    for nth, fault in ipairs(faults.list) do
      if is_played(fault) then
        it(("%s: %s"):format(fault.group, fault.name), function()
          fault_matrix.judge(s, nth, host)
        end)
      end
    end
  end)
end

describe("an answer that comes too late", function()
  it("is not that of a call which waits for the connection", function()
    fault_matrix.overtake(s, run)
  end)
end)
