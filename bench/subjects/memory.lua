-- What stays in memory: bytes by which the process has grown.
-- Usage: memory.lua keys COUNT          for COUNT breakers, one for each key of a guarded function
--        memory.lua clients COUNT       for each of COUNT clients that have called nobody yet
--        memory.lua used COUNT URL      for each of COUNT clients that have made a call and rest
local here = arg[0]:match("^(.*)/")
local policy = dofile(here .. "/policy.lua")
local neap = require "neap"

local what, count, url = arg[1], tonumber(arg[2]), arg[3]

local PAGE_BYTES = 4096

local function resident_bytes()
  collectgarbage()
  collectgarbage()
  local file = assert(io.open("/proc/self/statm"))
  local pages = tonumber(file:read("*a"):match("^%d+ (%d+)"))
  file:close()
  return pages * PAGE_BYTES
end

local grown = {}

function grown.keys()
  local breaker = {
    max_keys = count,
    key = function(arguments)
      return arguments[1]
    end,
  }
  local guarded = neap.wrap({ name = "bench", retry = false, breaker = breaker }, function()
    return true
  end)
  guarded "first"
  local before = resident_bytes()
  for i = 1, count do
    assert(guarded("key " .. i))
  end
  return resident_bytes() - before
end

local kept = {} -- or they would be collected

local function clients(each)
  local function make(i)
    local options = policy.full(url or "http://127.0.0.1/", 10)
    options.name = "client " .. i
    local client = neap.client(options)
    each(client)
    kept[#kept + 1] = client
  end
  make(0)
  local before = resident_bytes()
  for i = 1, count do
    make(i)
  end
  return (resident_bytes() - before) / count
end

function grown.clients()
  return clients(function() end)
end

function grown.used()
  return clients(function(client)
    assert(client:get(url).status == 200)
  end)
end

print(("bytes=%.0f"):format(grown[what]()))
