-- Calls by lua-http, each coroutine with a connection that it holds.
-- Usage: http_calls.lua URL BODY CALLS SIDE_BY_SIDE
-- Debian has it for Lua 5.1 to 5.3. It is Lua, and what it needs in C is there for 5.4 too.
for _, version in ipairs{ "5.3", "5.1" } do
  package.path = ("%s;/usr/share/lua/%s/?.lua;/usr/share/lua/%s/?/init.lua"):format(package.path,
    version, version)
end
local here = arg[0]:match("^(.*)/")
local measure = dofile(here .. "/measure.lua")
local cqueues, client = require "cqueues", require "http.client"
local new_headers = require("http.headers").new

local url, body = arg[1], arg[2]
local calls, side_by_side = tonumber(arg[3]), tonumber(arg[4])
local host, port, path = url:match("^http://([^:]+):(%d+)(/.*)$")

local function request_headers()
  local headers = new_headers()
  headers:append(":method", "GET")
  headers:append(":scheme", "http")
  headers:append(":authority", host .. ":" .. port)
  headers:append(":path", path)
  return headers
end

local function call(connection)
  local stream = assert(connection:new_stream())
  assert(stream:write_headers(request_headers(), true, 5))
  local headers = assert(stream:get_headers(5))
  local answer = assert(stream:get_body_as_string(5))
  measure.check(tonumber(headers:get ":status"), answer, body)
end

local loop, connections = cqueues.new(), {}

-- So many coroutines, which share the calls.
local function all(count, latencies)
  local left = count
  for i = 1, side_by_side do
    loop:wrap(function()
      local server = { host = host, port = tonumber(port) }
      connections[i] = connections[i] or assert(client.connect(server))
      while left > 0 do
        left = left - 1
        local begun = cqueues.monotime()
        call(connections[i])
        latencies[#latencies + 1] = cqueues.monotime() - begun
      end
    end)
  end
  assert(loop:loop())
end

all(side_by_side, {})
local latencies, begun = {}, measure.begin(cqueues.monotime)
all(calls, latencies)
measure.print(begun, calls, latencies)
