--- The misbehaving server of the specs: starts it, steers it, asks it what happened.
--
--     local server = require("spec.support.server")
--     local s = server.start()
--     s.url .. "/status/503?header=Retry-After:1"
--     s:stop()
--
-- spec/server/README.md is the manual of what it can do. It stops with this process, and removes
-- its temporary directory, whatever happens to this process.

local cjson = require("cjson")
local socket = require("socket")

local process = require("spec.support.process")

local server = {}

local Server = {}
Server.__index = Server

-- cjson makes floats of all numbers where Lua has integers.
local to_integer = math.tointeger or function(number)
   return number
end

local function with_integers(value)
   if type(value) == "number" then
      return to_integer(value) or value
   elseif type(value) ~= "table" then
      return value
   end
   local result = {}
   for key, inner in pairs(value) do
      result[key] = with_integers(inner)
   end
   return result
end

---@param json string
function server.decode(json)
   return with_integers(cjson.decode(json))
end

local function wait_for_file(path)
   local content = process.wait_until(function()
      return process.read_file(path)
   end, 30) -- long, for a sanitizer on a loaded machine
   return content or error("the misbehaving server did not start", 3)
end

local function read_response(connection)
   local line = assert(connection:receive("*l"))
   local status = tonumber(line:match("^HTTP/1%.1 (%d+)"))
   local length = 0
   repeat
      line = assert(connection:receive("*l"))
      length = tonumber(line:match("^Content%-Length: (%d+)")) or length
   until line == ""
   return status, length > 0 and assert(connection:receive(length)) or ""
end

--- A request to the plain port on a connection of its own.
---@return integer status
---@return string body
function Server:control(method, path, body)
   body = body or ""
   local connection = assert(socket.connect("127.0.0.1", self.ports.plain))
   connection:settimeout(30)
   assert(connection:send(("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
      .. "Content-Length: %d\r\n\r\n%s"):format(method, path, #body, body)))
   local status, answer = read_response(connection)
   connection:close()
   return status, answer
end

local function json_of(self, method, path, body)
   local status, answer = self:control(method, path, body)
   if status ~= 200 then
      error(("%s %s: %s %s"):format(method, path, tostring(status), answer), 3)
   end
   return server.decode(answer)
end

local function lines_of(lines)
   return type(lines) == "table" and table.concat(lines, "\n") or lines
end

--- Each request to the returned path (or below it) consumes the next line.
---@param name string
---@param lines string[]|string such as "/status/503?header=Retry-After:1 x2", "/echo *"
---@return string path "/s/NAME"
function Server:script(name, lines)
   json_of(self, "PUT", "/_script/" .. name, lines_of(lines))
   return "/s/" .. name
end

--- How far a script is: { consumed, remaining, exhausted, endless }.
function Server:script_state(name)
   return json_of(self, "GET", "/_script/" .. name)
end

--- What befalls the next HTTP/2 streams: lines "ACTION [COUNT] [ARGUMENT]", such as "refuse 1".
function Server:h2(lines)
   return json_of(self, "PUT", "/_h2", lines_of(lines))
end

--- What befalls the next connections to the flaky port: "reset 1", "close 2", "stall *".
function Server:accept(lines)
   return json_of(self, "PUT", "/_accept", lines_of(lines))
end

--- Lets go the requests that wait with gate=NAME, and later ones.
function Server:release(name)
   json_of(self, "POST", "/_release/" .. name)
end

function Server:ledger()
   return json_of(self, "GET", "/_ledger")
end

--- The last n (100) requests, oldest first.
function Server:log(n)
   return json_of(self, "GET", "/_log?last=" .. (n or 100))
end

--- Forgets what was counted, the scripts, the payments and the released gates.
function Server:reset()
   json_of(self, "POST", "/_reset")
end

--- Asks for the ledger until predicate(ledger) holds, for 5 seconds or `timeout`.
-- Without a predicate: until nothing is in flight. The end of an answer reaches the client before
-- the server has counted it.
---@param predicate nil|fun(ledger: table): boolean
---@param timeout number|nil seconds
---@return table|nil ledger nil if it never held
---@return table last the last ledger that was seen
function Server:settle(predicate, timeout)
   local last
   local held = process.wait_until(function()
      last = self:ledger()
      if predicate then
         return predicate(last)
      end
      return last.in_flight == 0
   end, timeout)
   return held and last or nil, last
end

--- Works twice.
function Server:stop()
   if not self.pipe then
      return
   end
   pcall(self.control, self, "POST", "/_stop")
   self.pipe:close() -- waits for its end
   self.pipe = nil
end

local function describe(ready, pipe, directory)
   local self = setmetatable({ pipe = pipe, dir = directory, ports = ready, tls = {} }, Server)
   for _, name in ipairs({ "plain", "flaky", "refused", "stall" }) do
      self[name] = "http://127.0.0.1:" .. ready[name]
   end
   self.url = self.plain
   for name, port in pairs(ready.tls) do
      self.tls[name] = "https://localhost:" .. port
   end
   for name, value in pairs(ready) do
      if name:match("_file$") or name:match("_cert$") or name:match("_key$") then
         self[name] = value
      end
   end
   return self
end

--- Starts a server of its own.
-- The environment variable MISBEHAVE names another binary (one with sanitizers, say).
function server.start()
   local binary = os.getenv("MISBEHAVE") or "build/spec/misbehave"
   assert(io.open(binary, "rb"), "run make -f spec/server/server.mk"):close()
   local directory = process.temporary_directory()
   local quoted = process.quoted(directory)
   -- The shell outlives the server to remove the directory; what is to end a terminal's programs is
   -- not for them, they end when this process does.
   local pipe = assert(io.popen(("trap '' HUP INT TERM; %s --tls-dir %s --ready %s/ready; "
      .. "rm -rf %s")
      :format(process.quoted(binary), quoted, quoted, quoted), "w"))
   return describe(server.decode(wait_for_file(directory .. "/ready")), pipe, directory)
end

return server
