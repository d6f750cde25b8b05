-- Calls by socket.http of lua-socket, one at a time; with a connection for each, as it is, or with
-- one that is kept, by the way round that its users take.
-- Usage: socket_calls.lua close|keep URL BODY CALLS
local here = arg[0]:match("^(.*)/")
local measure = dofile(here .. "/measure.lua")
local http, ltn12, socket = require "socket.http", require "ltn12", require "socket"

local mode, url, body, calls = arg[1], arg[2], arg[3], tonumber(arg[4])

-- Stands for the one connection: connects once and is not closed between two requests.
local function kept_connection()
  local tcp, connected = assert(socket.tcp()), false
  local kept = {}
  function kept.connect(_, host, port)
    if connected then
      return 1
    end
    connected = true
    local answer, err = tcp:connect(host, port)
    tcp:setoption("tcp-nodelay", true) -- a request is sent in pieces: each would wait for the last
    return answer, err
  end
  function kept.close()
    return 1
  end
  return setmetatable(kept, {
    __index = function(_, name)
      return function(_, ...)
        return tcp[name](tcp, ...)
      end
    end,
  })
end

local kept = mode == "keep" and kept_connection()

local function call()
  local chunks = {}
  local request = { url = url, sink = ltn12.sink.table(chunks) }
  if kept then
    request.headers = { connection = "keep-alive" }
    request.create = function()
      return kept
    end
  end
  local _, status = http.request(request)
  measure.check(status, table.concat(chunks), body)
end

call()
local latencies, begun = {}, measure.begin(socket.gettime)
local last = begun.wall
for i = 1, calls do
  call()
  local moment = socket.gettime()
  latencies[i] = moment - last
  last = moment
end
measure.print(begun, calls, latencies)
