-- Calls spread over so many breaker keys of one client, or over so many clients.
-- Usage: growth.lua keys|clients COUNT URL BODY CALLS
local here = arg[0]:match("^(.*)/")
local measure, policy = dofile(here .. "/measure.lua"), dofile(here .. "/policy.lua")
local neap = require "neap"

local what, count, url, body = arg[1], tonumber(arg[2]), arg[3], arg[4]
local calls, request = tonumber(arg[5]), { method = "GET", url = url }

local makers = {}

function makers.keys()
  local options, current = policy.full(url, 1), 0
  options.breaker = {
    max_keys = count,
    key = function()
      return "key " .. current
    end,
  }
  local api = neap.client(options)
  return function(i)
    current = i
    return assert(api:request(request))
  end
end

-- Each client has a connection of its own.
function makers.clients()
  local clients = {}
  for i = 0, count - 1 do
    local options = policy.full(url, 1)
    options.name = "client " .. i
    clients[i] = neap.client(options)
  end
  return function(i)
    return assert(clients[i]:request(request))
  end
end

local call = makers[what]()

local function checked(i)
  local res = call(i)
  measure.check(res.status, res.body, body)
end

-- All breakers and connections are there before the first call is counted.
for i = 0, count - 1 do
  checked(i)
end
collectgarbage()
local begun = measure.begin(neap.now)
for i = 1, calls do
  checked(i * 7919 % count)
end
measure.print(begun, calls)
