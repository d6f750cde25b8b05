--- Row 11: does a call cost more where there are many breakers, or many clients?

local subject = require "bench.harness.subject"

local ONE_KEY, MANY_KEYS = "1 breaker key", "100,000 breaker keys"
local ONE_CLIENT, MANY_CLIENTS = "1 client", "100 clients"
local ONE_HANDLE, MANY_HANDLES = "1 easy handle", "100 easy handles"

return function(world)
  local pinning = world.pinnings[1]
  local core, calls = pinning.client, world:calls(20000, 5000)
  local function row(name, what, count)
    return world:script(name, "lua5.4", core, "growth.lua", what, count,
      world:upstream(pinning.upstream), world.body, calls)
  end
  local function handles(name, count)
    return subject.program(name, { world:floor "easy", "preset", world:upstream(), world.body,
      calls, count }, core)
  end
  return {
    {
      title = ("a call among many breakers, %d calls"):format(calls),
      subjects = {
        row(ONE_KEY, "keys", 1),
        row(ONE_KEY .. ", again", "keys", 1),
        row(MANY_KEYS, "keys", 100000),
      },
      targets = {
        {
          row = 11, what = "CPU a call, 100,000 breaker keys / 1", subject = MANY_KEYS,
          against = ONE_KEY, measure = "cpu", at_most = 1.1,
        },
      },
    },
    {
      title = ("a call among many clients, %d calls"):format(calls),
      subjects = {
        row(ONE_CLIENT, "clients", 1),
        row(ONE_CLIENT .. ", again", "clients", 1),
        row(MANY_CLIENTS, "clients", 100),
        handles(ONE_HANDLE, 1),
        handles(MANY_HANDLES, 100),
      },
      targets = {
        {
          row = 11, what = "CPU a call, 100 clients / 1", subject = MANY_CLIENTS,
          against = ONE_CLIENT, measure = "cpu", at_most = 1.1,
        },
        {
          row = 11, what = "the same, beside 100 easy handles / 1", subject = MANY_CLIENTS,
          against = ONE_CLIENT, measure = "cpu", at_most = 1.1,
          beside = { subject = MANY_HANDLES, against = ONE_HANDLE },
        },
      },
    },
  }
end
