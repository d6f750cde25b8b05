--- `neap get` and `neap post`: one call under a policy, its answer on stdout.
local arguments = require "neap.program.arguments"
local ending = require "neap.program.ending"
local input = require "neap.program.input"
local json_text = require "neap.program.json_text"
local neap = require "neap"
local policy_file = require "neap.program.policy_file"
local quantities = require "neap.program.quantities"
local terminal = require "neap.program.terminal"
local timeline = require "neap.program.timeline"

local print = ending.print_line

local STATUSES = [[
Status 0: answered with a status below 400; 1: answered with another one, or not answered, or it
cannot work; 2: wrong usage.
]]

local HELP = [[
URL may be a path where the policy has a base_url. The body of the answer goes to stdout.

  --policy FILE     a Lua file that returns the policy of the client; without it, the defaults
  --client NAME     which one, where the file has several policies
  --header "N: V"   a header of the request; may be repeated
  --timeout 5s      for the whole call, in place of timeout.total
  -i, --include     the head of the answer comes before its body
  -v, --verbose     the trace as a timeline, on stderr
  --trace FILE      the trace as JSON, for neap explain
]]

local HELP_OF_BODY = [[
  --data TEXT       the body; @FILE takes it from a file, @- from stdin
  --type TYPE       its Content-Type (application/json where it begins with { or [)
  --key KEY         the idempotency key
]]

-- --------------------------------------------------------------------------------- what is asked

local function header(text)
  local name, value = text:match("^([^:%s]+):%s*(.-)%s*$")
  if not name then
    return nil, 'a header such as "Accept: text/plain"', "one without name or colon"
  end
  return { name = name, value = value }
end

local function policy_named(entries, name)
  local known = {}
  for _, entry in ipairs(entries) do
    local own = type(entry.policy) == "table" and entry.policy.name
    if own == name or entry.key == name then
      return entry.policy
    end
    known[#known + 1] = tostring(own or entry.key)
  end
  return ending.give_up(ending.FAILED, "there is no policy %q; there are %s", name,
    table.concat(known, ", "))
end

local function policy_of(given)
  if not given.policy then
    return { name = "neap" }
  end
  local entries = policy_file.load_all(given.policy)
  if given.client then
    return policy_named(entries, given.client)
  end
  if #entries > 1 then
    ending.give_up(ending.MISUSED, "%s has %d policies: name one by --client", given.policy,
      #entries)
  end
  return entries[1].policy
end

local function body_of(given)
  local path = (given.data or ""):match("^@(.+)$")
  return path and input(path) or given.data
end

local function headers_of(given, body)
  local headers = {}
  for _, one in ipairs(given.header or {}) do
    local name = one.name:lower()
    headers[name] = headers[name] or {}
    table.insert(headers[name], one.value)
  end
  local kind = given.type or body and body:match("^%s*[{%[]") and "application/json"
  if kind and (given.type or not headers["content-type"]) then
    headers["content-type"] = { kind }
  end
  return headers
end

local function request_of(method, url, given)
  local body = body_of(given)
  local is_url = url:match("^%a[%w+.-]*://") ~= nil
  return {
    method = method,
    url = is_url and url or nil,
    path = not is_url and url or nil,
    headers = headers_of(given, body),
    body = body,
    idempotency_key = given.key,
    timeout = given.timeout and { total = given.timeout } or nil,
  }
end

-- -------------------------------------------------------------------------------- what comes back

-- A server must not steer the terminal.
local function print_line(text)
  print(terminal.is(1) and text:gsub("%c", "?") or text)
end

local function print_head(res)
  print_line(("HTTP/%s %d %s"):format(tostring(res.http_version or "?"), res.status,
    res.reason or ""))
  local names = {}
  for name in pairs(res.headers) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local values = res.headers[name]
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      print_line(name .. ": " .. value)
    end
  end
  print()
end

local function write_trace(path, trace)
  local file, message = io.open(path, "wb")
  if not file or not file:write(json_text{ trace = trace }, "\n") or not file:close() then
    ending.give_up(ending.FAILED, "%s", message or path .. ": cannot be written")
  end
end

local function report(given, res, err)
  local trace = (res or err).trace or {}
  if given.verbose and #trace > 0 then
    for _, line in ipairs(timeline.draw(trace, 2)) do
      io.stderr:write(line, "\n")
    end
  end
  if given.trace then
    write_trace(given.trace, trace)
  end
end

-- What a fallback answers may be anything; what people can read of it is printed.
local function print_answer(given, res)
  if given.include and res.status then
    print_head(res)
  end
  local body = res.body or (res.value ~= nil and tostring(res.value)) or ""
  ending.print(body)
  if body ~= "" and body:sub(-1) ~= "\n" and terminal.is(1) then
    ending.print("\n")
  end
end

-- A policy of the wrong type is the library's to complain about.
local function check_target(given, policy, req)
  if req.url or type(policy) ~= "table" or rawget(policy, "base_url") ~= nil then
    return
  end
  ending.give_up(ending.MISUSED, "%s wants a URL that begins with http:// or https://%s",
    req.method:lower(), given.policy and ("; %s has no base_url for a path"):format(given.policy)
      or ", or a path and --policy FILE with a base_url")
end

local function call(policy, req)
  local done, res, err = pcall(function()
    local client = neap.client(policy)
    return client:request(req)
  end)
  if not done then
    ending.give_up(ending.FAILED, "%s", (tostring(res):gsub("^.-%.lua:%d+: ", "")))
  end
  return res, err
end

local function run(method, given, operands)
  if not operands[1] then
    ending.give_up(ending.MISUSED, "%s wants a URL", method:lower())
  end
  local policy, req = policy_of(given), request_of(method, operands[1], given)
  check_target(given, policy, req)
  local res, err = call(policy, req)
  report(given, res, err)
  if not res then
    ending.say("%s", tostring(err))
    return ending.FAILED
  end
  print_answer(given, res)
  return (res.ok or res.status == nil) and ending.OK or ending.FAILED
end

--- The command for a method.
---@param method "GET"|"POST"
---@return table command
return function(method)
  local has_body = method == "POST"
  local name = method:lower()
  return {
    usage = name .. " URL [--policy FILE] [-v] [options]",
    summary = ("make one %s call under a policy, and print the answer"):format(method),
    operands = 1,
    options = {
      policy = arguments.text,
      client = arguments.text,
      header = arguments.repeated(header),
      timeout = quantities.length,
      trace = arguments.text,
      include = true,
      verbose = true,
      data = has_body and function(text) return text, "a text" end or nil,
      type = has_body and arguments.text or nil,
      key = has_body and arguments.text or nil,
    },
    short = { v = "verbose", i = "include" },
    help = HELP .. (has_body and HELP_OF_BODY or ""),
    statuses = STATUSES,
    run = function(given, operands)
      return run(method, given, operands)
    end,
  }
end
