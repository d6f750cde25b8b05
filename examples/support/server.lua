--- A small API on loopback for the examples and the demo: it answers as a script says, one line a
--- request, and keeps a ledger of what reached it. It ends with this process.
--
--     local api = require("examples.support.server").start()
--     local base_url = api:script("rates", { api.answer(503), api.answer(200, "hello") })
--
-- spec/server/README.md tells what a line of a script may be.
local neap = require "neap"

local Server = {}
Server.__index = Server

local BINARY = os.getenv("MISBEHAVE") or "build/spec/misbehave"
local START_SECONDS = 20
local LIFE_SECONDS = 60

local function quoted(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end

-- The server writes its ports once it can be called.
local function wait_for_port(path)
  local give_up = neap.now() + START_SECONDS
  repeat
    local port = read_file(path):match('"plain":%s*(%d+)')
    if port then
      return port
    end
    neap.sleep(0.01)
  until neap.now() > give_up
  error("the server of the examples did not start", 0)
end

-- The server ends when its stdin does, at the latest after its life, and the shell then removes its
-- directory. Ctrl-C is not for them: they follow this process.
local COMMAND = [[trap '' INT; d=$(mktemp -d) && %s --tls-dir "$d" --ready %s; rm -rf "$d"]]

local function start_process(ready, life)
  local program = ("timeout --kill-after=1 %d %s"):format(life, quoted(BINARY))
  return assert(io.popen(COMMAND:format(program, quoted(ready)), "w"))
end

--- Starts a server.
---@param life? integer seconds after which it ends even if this process hangs; 60
local function start(life)
  local binary = io.open(BINARY, "rb")
  if not binary then
    error(("%s is missing: run `make examples`, or `make %s`"):format(BINARY, BINARY), 0)
  end
  binary:close()
  local ready = os.tmpname()
  local pipe = start_process(ready, life or LIFE_SECONDS)
  local started, port = pcall(wait_for_port, ready)
  os.remove(ready)
  if not started then
    error(port, 0)
  end
  local url = "http://127.0.0.1:" .. port
  local controls = neap.client{
    name = "control",
    base_url = url,
    timeout = { total = 5 },
    gate = false, -- a gate belongs to the origin: the example's 429 is none of ours
  }
  return setmetatable({ url = url, pipe = pipe, controls = controls }, Server)
end

local function ask(server, method, path, body)
  local res = assert(server.controls:request{ method = method, path = path, body = body })
  assert(res.status == 200, res.body)
  return res
end

--- Each request below the returned URL consumes the next of these lines.
---@param name string
---@param lines string[]
---@return string base_url ends with a slash: paths are relative to it
function Server:script(name, lines)
  ask(self, "PUT", "/_script/" .. name, table.concat(lines, "\n"))
  return ("%s/s/%s/"):format(self.url, name)
end

--- A line of a script: an answer with this status and body.
function Server.answer(status, body)
  local escaped = (body or ""):gsub("[^%w]", function(byte)
    return ("%%%02X"):format(byte:byte())
  end)
  return ("/status/%d?body=%s"):format(status, escaped)
end

--- What reached the server: requests, payments, max_in_flight, keys = { KEY = { attempts, … } }, …
function Server:ledger()
  return assert(ask(self, "GET", "/_ledger"):json())
end

--- What reached the server, oldest first: { { method, target, headers }, … }, the names of the
--- headers in lower case.
function Server:requests()
  local log = assert(ask(self, "GET", "/_log"):json())
  for _, request in ipairs(log) do
    local headers = {}
    for _, header in ipairs(request.headers) do
      headers[header[1]:lower()] = header[2]
    end
    request.headers = headers
  end
  return log
end

--- Ends the server and waits for its end.
function Server:stop()
  self.controls:close()
  self.pipe:close()
end

return { start = start }
