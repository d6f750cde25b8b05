--- What the specs of calls over the network share: clients, traces as text, child interpreters.
local assert = require "luassert"
local lfs = require "lfs"
local neap = require "neap"
local server = require "spec.support.server"
local process = require "spec.support.process"

local calls = {}

local made = 0

--- True under AddressSanitizer, where the memory of a process says nothing.
calls.sanitized = (os.getenv("NEAP_LUA") or ""):find("/asan/", 1, true) ~= nil

-- A spec of the network wants to see each attempt, and none of it later than it must be.
local function defaults()
  made = made + 1
  return {
    name = "spec-" .. made,
    retry = { backoff = { kind = "fixed", base = 0.005, jitter = "none" } },
    breaker = false,
    gate = false,
    timeout = { connect = 10 }, -- the server is there: only a machine that stands still needs it
  }
end

--- A client without breaker and gate, whose retries come after 5 ms. What is given replaces the
--- defaults key by key; `retry` keeps that backoff unless it has one of its own.
---@param policy table
---@return neap.Client
function calls.client(policy)
  local whole = defaults()
  for key, value in pairs(policy) do
    if key == "retry" and value then
      value.backoff = value.backoff or whole.retry.backoff
    end
    whole[key] = value
  end
  return neap.client(whole)
end

--- The error of a call that failed.
---@return neap.Error
function calls.failed(res, err)
  assert.is_nil(res)
  assert.is_table(err)
  return err
end

--- The error of a call that failed so.
---@return neap.Error
function calls.failed_as(kind, res, err)
  assert.equal(kind, calls.failed(res, err).kind, tostring(err))
  return err
end

--- The response of a call that got one, whatever its status.
---@return neap.Response
function calls.answered(res, err)
  assert.is_nil(err, err and tostring(err))
  assert.is_table(res)
  return res
end

--- What the misbehaving server told of the request, in a response of its /echo.
function calls.echo(res, err)
  return server.decode(calls.answered(res, err).body)
end

--- The values of a header in an echo or an entry of the log, in their order.
---@return string[]
function calls.sent(request, name)
  local values = {}
  for _, header in ipairs(request.headers) do
    if header[1]:lower() == name:lower() then
      values[#values + 1] = header[2]
    end
  end
  return values
end

local function entry_text(entry)
  local words = { entry.kind }
  words[#words + 1] = entry.status and tostring(entry.status)
  if entry.error then
    words[#words + 1] = entry.phase and entry.error .. "/" .. entry.phase or entry.error
  end
  words[#words + 1] = entry.reason ~= entry.error and entry.reason or nil
  return table.concat(words, " ")
end

--- A trace as a list such as { "attempt reset", "wait backoff", "attempt 200" }. The reason of a
--- refusal is the kind of its error, and is not said twice.
---@param result neap.Response|neap.Error
---@return string[]
function calls.trace(result)
  local list = {}
  for index, entry in ipairs(result.trace) do
    list[index] = entry_text(entry)
  end
  return list
end

-- PUC's Lua 5.1 cannot tell the line of a caller who made a tail call.
local tail_calls_lose_lines = _VERSION == "Lua 5.1" and not rawget(_G, "jit")

--- What fn raises, which must name the line of the caller of the library.
---@return string message without its position
function calls.misuse(fn)
  local place = debug.getinfo(fn, "S").short_src
  local ok, raised = pcall(fn)
  assert.is_false(ok, "nothing was raised")
  if tail_calls_lose_lines and not tostring(raised):find(place, 1, true) then
    return raised
  end
  local position, message = tostring(raised):match("^(.-:%d+): (.*)$")
  assert.is_truthy(position and position:find(place, 1, true), tostring(raised))
  return message
end

--- Runs fn and says how long it took, in seconds.
---@return number seconds
---@return any ... what fn returns
function calls.timed(fn)
  local began = neap.now()
  local function timed(...)
    return neap.now() - began, ...
  end
  return timed(fn())
end

--- The least of what up to three runs of fn return, in seconds; the first below the bound will do.
--- A machine that stands still for a while is slow once, not each time.
---@param bound number
---@param fn fun(): number
---@return number seconds
function calls.best_of(bound, fn)
  local best = fn()
  for _ = 2, 3 do
    if best < bound then
      break
    end
    best = math.min(best, fn())
  end
  return best
end

--- Asks again and again until the answer is not false or nil; inside neap.run the other tasks go on
--- meanwhile.
---@param predicate fun(): any
---@return any
function calls.wait_for(predicate)
  local ends = neap.now() + 10
  local answer = predicate()
  while not answer do
    assert.is_true(neap.now() < ends, "waited in vain")
    neap.sleep(0.002)
    answer = predicate()
  end
  return answer
end

--- Waits until no connection to the server is left of clients that nobody has any more, and resets
--- its counts.
---@param s table a misbehaving server
function calls.quiet(s)
  if rawget(_G, "jit") then
    jit.flush() -- a compiled trace keeps what it has seen as constants
  end
  collectgarbage()
  collectgarbage()
  assert.is_truthy(s:settle(function(ledger)
    return ledger.open == 0
  end), "connections of earlier specs are still open")
  s:reset()
end

--- The number of descriptors that this process has open.
---@return integer
function calls.descriptors()
  collectgarbage()
  collectgarbage()
  local count = 0
  for _ in lfs.dir("/proc/self/fd") do
    count = count + 1
  end
  return count
end

local function write_file(path, content)
  local file = assert(io.open(path, "wb"))
  assert(file:write(content))
  file:close()
end

--- Writes the content to a file that is there while fn runs with its path.
---@return any ... what fn returns
function calls.with_file(content, fn)
  local directory = process.temporary_directory()
  local path = directory .. "/content"
  write_file(path, content)
  local function remove(ok, ...)
    os.execute("rm -rf " .. process.quoted(directory))
    if not ok then
      error((...), 0)
    end
    return ...
  end
  return remove(pcall(fn, path))
end

--- What the shell prints for a command.
---@return string
function calls.output(command)
  local pipe = assert(io.popen(command))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

--- Runs a program text in a fresh interpreter of the kind that runs the specs. Its arguments are in
--- `...`, and what it prints, a line of JSON, is returned as a value.
---@param environment string|nil such as "http_proxy=http://127.0.0.1:1"
---@param text string
---@param ... string|number
---@return any
function calls.child(environment, text, ...)
  local words = { environment or "", process.quoted(os.getenv("NEAP_LUA") or arg[-1]) }
  local arguments = { ... }
  return calls.with_file(text, function(path)
    words[3] = process.quoted(path)
    for _, argument in ipairs(arguments) do
      words[#words + 1] = process.quoted(tostring(argument))
    end
    local output = calls.output(table.concat(words, " ") .. " 2>&1")
    local line = output:match("({.*})%s*$")
    return server.decode(line or error("the child said: " .. output, 0))
  end)
end

return calls
