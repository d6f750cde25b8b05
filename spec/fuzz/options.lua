--- Tables of options, made of the fuzzer's bytes, for every function that takes some.
--
-- Promised: whoever refuses one says where it is wrong, with the path from its beginning; whoever
-- takes it gives something that works and can be closed. neap.check and neap.client refuse the same
-- policies with the same words, and a call under any policy that is taken ends, with nothing left
-- in flight.
local core = require "neap.core"
local idempotency = require "neap.idempotency"
local memory = require "neap.store.memory"
local neap = require "neap"
local outbox = require "neap.outbox"
local testing = require "neap.testing"

-- ---- what the bytes say

local bytes, at

local function draw(count)
  local byte = bytes:byte(at) or 0
  at = at + 1
  return byte % count + 1
end

local function one_of(list)
  return list[draw(#list)]
end

local WORDS = { "", "x", "GET", "POST", "client", "host", "fixed", "linear", "exponential", "none",
  "full", "decorrelated", "resolve", "timeout", "1.3", "environment", "https://a.example/b?c#d",
  "http://[::1]:99999/", "//b", "../..", "ftp://a", "a b", "a\r\nb: c", "a\0b", "\255\254",
  "Idempotency-Key", "*.example", ("long"):rep(100), "cache", "true", "-1", "1e9" }
local NUMBERS = { 0, 1, 2, 3, 0.5, -1, -0.5, 1e-9, 1e9, 1e18, 2 ^ 53, 2 ^ 63, -2 ^ 63, 1e308,
  math.huge, -math.huge, 0 / 0, 100, 1000, 0.001, 429, 503, 599, 600, math.maxinteger,
  math.mininteger }

local value

local function some_function()
  local given = value(3)
  return function()
    return given
  end
end

local function some_table(depth)
  local made = {}
  for _ = 1, draw(4) - 1 do
    local key = draw(2) == 1 and #made + 1 or value(9)
    if key ~= nil and key == key then
      made[key] = value(depth + 1)
    end
  end
  return made
end

-- Options are read raw, but for some that Lua reads: there what a metamethod raises comes through.
local function hostile()
  return setmetatable(some_table(8), {
    __index = function() error("__index") end,
    __len = function() error("__len") end,
    __pairs = function() error("__pairs") end,
    __tostring = function() error("__tostring") end,
  })
end

local kit, service, store, box

local makers = {
  function() return one_of(NUMBERS) end,
  function() return draw(256) - 1 end,
  function() return draw(2) == 1 end,
  function() return one_of(WORDS) end,
  some_table,
  some_function,
  function() return one_of{ service, store, box, io.stdout, kit } end,
  hostile,
  function() return nil end,
}

function value(depth)
  return makers[draw(depth < 5 and #makers or 4)](depth)
end

-- A value of the kind that the row wants, more often than not.
local fitting = {
  boolean = makers[3],
  integer = function() return draw(20) - 1 end,
  number = function() return (draw(40) - 1) / 8 end,
  seconds = function() return (draw(40) - 1) / 8 end,
  bytes = function() return draw(256) * 64 end,
  text = makers[4],
  texts = function() return { one_of(WORDS), one_of(WORDS) } end,
  choice = function(row) return one_of(row.choices) end,
  ["function"] = some_function,
  table = function() return {} end,
}

local ENTRIES = {
  function() return { cache = true, max_stale = value(3) } end,
  function() return { service = service, request = value(3) } end,
  function() return { default = value(2) } end,
  function() return { queue = box } end,
  function() return { when = { value(4), one_of(WORDS) }, default = { status = 200 } } end,
  some_function,
  function() return value(2) end,
}

local custom = {
  fallback = function()
    local list = {}
    for index = 1, draw(4) do
      list[index] = one_of(ENTRIES)()
    end
    return list
  end,
  ["retry.statuses"] = function() return { [draw(600)] = one_of{ true, false, "once", 7 } } end,
  headers = function() return { [one_of(WORDS)] = value(3) } end,
  rate_limit = function() return { rate = draw(100) / 4 } end,
}

local function fill(row)
  local make = custom[row.path] or fitting[row.kind]
  if make and draw(4) > 1 then
    return make(row)
  end
  return value(1)
end

-- Puts it where the path says, through whatever is there.
local function put(options, path, given)
  local place = options
  for name in path:gmatch("([^.]+)%.") do
    if type(rawget(place, name)) ~= "table" or getmetatable(place[name]) then
      place[name] = {}
    end
    place = place[name]
  end
  place[path:match("[^.]+$")] = given
end

local rows_of = {}
for _, listed in ipairs(core.option_rows()) do
  rows_of[listed.of] = listed.rows
end

local REQUEST_ROWS = {
  { path = "method", kind = "text" }, { path = "path", kind = "text" },
  { path = "url", kind = "text" }, { path = "query" }, { path = "headers" },
  { path = "body", kind = "text" }, { path = "json" }, { path = "form" },
  { path = "timeout.read", kind = "seconds" }, { path = "timeout", kind = "table" },
  { path = "deadline", kind = "seconds" }, { path = "idempotency_key", kind = "text" },
  { path = "replayable", kind = "boolean" }, { path = "tags" }, { path = "oops" },
}

local function options_of(rows, options)
  for _ = 1, draw(10) - 1 do
    local row = rows[draw(256) % #rows + 1]
    put(options, row.path, fill(row))
  end
  if draw(16) == 1 then
    options[one_of(WORDS)] = value(2)
  end
  return options
end

-- ---- what is promised

local function promise(condition, ...)
  if not condition then
    error("broken: " .. table.concat({ ... }, " "), 0)
  end
end

local function promise_path(prefix, message)
  promise(type(message) == "string", prefix, "refused by a", type(message))
  if message:find(": __%a+$") then
    return
  end
  local rest = message:sub(1, #prefix) == prefix and message:sub(#prefix + 1)
  promise(rest and rest:find("^[%.%[:]"), prefix, "is refused without its path:", message)
end

-- What it gave, or nil where it was refused.
local function attempt(prefix, fn, ...)
  local done, given = pcall(fn, ...)
  if done then
    return given
  end
  promise_path(prefix, given)
  return nil, given
end

local STATUSES = { 200, 204, 301, 304, 401, 404, 408, 429, 500, 501, 503 }
local KINDS = { "resolve", "connect", "tls", "reset", "protocol", "timeout" }
local MOST_ATTEMPTS = 20

-- Answers as the bytes say, and well when there were enough.
local function script()
  local count = 0
  return { answer = function()
    count = count + 1
    if count > MOST_ATTEMPTS then
      return { status = 200 }
    elseif draw(3) == 1 then
      local kind = one_of(KINDS)
      return { error = kind, phase = kind == "timeout" and "read" or nil }
    end
    return { status = one_of(STATUSES), after = draw(8) / 4,
      headers = { ["Retry-After"] = one_of{ "1", "x", "999" } } }
  end, ["repeat"] = true }
end

-- What is refreshed in the background needs its time.
local function promise_at_rest(client)
  pcall(kit.advance, kit, 1e6)
  collectgarbage()
  local stats = client:stats()
  promise(stats.in_flight == 0, "a call is still in flight")
end

-- Functions of the policy may give anything, which is then raised.
local function make_calls(client)
  kit:script{ script() }
  for _ = 1, draw(3) do
    pcall(kit.run, kit, function()
      return client:get(nil, { url = "https://a.example/x" })
    end)
  end
  promise_at_rest(client)
end

local targets = {}

function targets.policy()
  local policy = options_of(rows_of.policy, { name = "fuzzed" })
  local _, refusal = attempt("policy", neap.check, policy)
  local client, message = attempt("policy", neap.client, policy)
  promise(refusal == message, "neap.check:", tostring(refusal), "neap.client:", tostring(message))
  if client then
    client:stats()
    client:close()
    client = attempt("policy", kit.client, kit, policy)
    make_calls(client)
    client:close()
  end
end

function targets.update()
  local client = kit:client{ name = "fuzzed" }
  attempt("policy", client.update, client, options_of(rows_of.policy, { name = "fuzzed" }))
  make_calls(client)
  client:close()
end

function targets.wrap()
  local policy = options_of(rows_of.policy, { name = "fuzzed" })
  kit:run(function()
    local guarded = attempt("policy", neap.wrap, policy, function()
      if draw(2) == 1 then
        error(value(3), 0)
      end
      return value(3), value(3)
    end)
    if guarded then
      pcall(guarded, value(3))
    end
  end)
end

function targets.request()
  local client = kit:client{ name = "fuzzed", base_url = "https://a.example/base/" }
  kit:script{ script() }
  local request = options_of(REQUEST_ROWS, { path = "x" })
  kit:run(function()
    attempt("request", client.request, client, request)
  end)
  promise_at_rest(client)
  client:close()
end

local function lone(name, prefix, make, use)
  targets[name] = function()
    local made = attempt(prefix, make, options_of(rows_of[name], {}))
    if made then
      use(made)
    end
  end
end

lone("breaker", "policy", neap.breaker, function(breaker)
  local permit = breaker:acquire()
  if permit then
    breaker:record(permit, "failure", 1)
  end
  promise(neap.breaker{ window = { count = 100 } }:import(breaker:export()) ~= nil
    or breaker:snapshot(), "its export is of no use")
end)
lone("bulkhead", "policy", neap.bulkhead, function(bulkhead)
  local permit = bulkhead:acquire()
  if permit then
    bulkhead:release(permit)
  end
end)
lone("rate_limiter", "policy", neap.rate_limiter, function(limiter) limiter:acquire() end)
lone("retry_budget", "policy", neap.retry_budget, function(budget) budget:withdraw() end)
lone("backoff", "policy", neap.backoff, function(backoff)
  local low, high = backoff:bounds(draw(256))
  promise(low >= 0 and low <= high and high < math.huge, "bounds", low, high)
end)

function targets.idempotency()
  local options = options_of(rows_of.idempotency, { store = store })
  local guard = attempt("options", idempotency.new, options)
  if guard then
    pcall(guard.handle, guard, options_of(REQUEST_ROWS, { method = "POST", path = "/",
      headers = { ["Idempotency-Key"] = one_of(WORDS) } }), function() return value(1) end)
  end
end

function targets.outbox()
  attempt("options", outbox.new, options_of(rows_of.outbox, { store = store, client = service }))
end

targets["store.memory"] = function()
  attempt("options", memory.new, options_of(rows_of["store.memory"], {}))
end

local names = {}
for name in pairs(targets) do
  names[#names + 1] = name
end
table.sort(names)

--- One input.
return function(input)
  bytes, at = input, 1
  kit = testing.new{ seed = 1 }
  service = kit:client{ name = "service" }
  store = memory.new{ env = kit.env }
  box = outbox.new{ store = store, client = service, env = kit.env }
  targets[names[draw(#names)]]()
  collectgarbage()
end
