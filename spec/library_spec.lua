-- The definitions for editors in library/ say what the modules export: no function is missing, none
-- is too much, and parameters have the same names.
local neap = require "neap"
local process = require "spec.support.process"
local store = require("neap.store.memory").new()
local testing = require "neap.testing"

-- PUC Lua 5.1 does not tell the names of a function's parameters.
local knows_parameters = pcall(debug.getlocal, pcall, 1)
local if_known = knows_parameters and it or pending

-- Public functions by name. What a class has besides its methods is not for programs; a method in C
-- tells no more than its name.
local function functions_of(exported, are_methods)
  local found = {}
  for name, value in pairs(exported) do
    local is_public = type(value) == "function" and not tostring(name):match("^_")
    local is_method = is_public and are_methods
      and (debug.getinfo(value, "S").what == "C" or debug.getlocal(value, 1) == "self")
    if is_public and (is_method or not are_methods) then
      found[name] = value
    end
  end
  return found
end

local function names_of(functions)
  local names = {}
  for name in pairs(functions) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function parameters_of(fn)
  local info, names = debug.getinfo(fn, "Su"), {}
  if info.what == "C" then
    return nil
  end
  for index = 1, info.nparams do
    names[index] = debug.getlocal(fn, index)
  end
  if info.isvararg then
    names[#names + 1] = "..."
  end
  return table.concat(names, ", ")
end

local function compare(defined, exported)
  assert.same(names_of(exported), names_of(defined))
  for name, fn in pairs(exported) do
    if knows_parameters and parameters_of(fn) then
      assert.equal(name .. ": " .. parameters_of(fn), name .. ": " .. parameters_of(defined[name]))
    end
  end
end

local function definition_of(name)
  return dofile("library/" .. name:gsub("%.", "/") .. ".lua")
end

describe("a definition in library/", function()
  for _, name in ipairs{
    "neap", "neap.testing", "neap.idempotency", "neap.outbox", "neap.simulate",
    "neap.store.memory",
  } do
    it("has the functions of " .. name, function()
      compare(functions_of(definition_of(name)), functions_of((require(name))))
    end)
  end

  for _, kind in ipairs{ "sqlite", "redis" } do
    it("has the function of neap.store." .. kind, function()
      assert.same({ "new" }, names_of(functions_of(definition_of("neap.store." .. kind))))
    end)
  end

  it("has the functions of neap.nginx, which only nginx can load", function()
    local exported = {}
    for name in process.read_file("lua/neap/nginx.lua"):gmatch("\nfunction nginx%.(%w[%w_]*)") do
      exported[#exported + 1] = name
    end
    table.sort(exported)
    assert.same(exported, names_of(functions_of(definition_of("neap.nginx"))))
  end)

  local kit = testing.new{ seed = 1 }
  local client = kit:client{ name = "library", base_url = "http://library.example/" }
  local classes = definition_of("neap.classes")

  if_known("has the methods of a client", function()
    compare(functions_of(classes["neap.Client"]), functions_of(getmetatable(client), true))
  end)

  it("has the functions of neap.Error", function()
    compare(functions_of(classes["neap.ErrorClass"]), functions_of(neap.Error))
  end)

  if_known("has the methods of kit, outbox and guard", function()
    local outbox = require("neap.outbox").new{ store = store }
    local guard = require("neap.idempotency").new{ store = store }
    for name, object in pairs{ testing = kit, outbox = outbox, idempotency = guard } do
      local class = ({ testing = "Kit", outbox = "Outbox", idempotency = "Guard" })[name]
      compare(functions_of(definition_of("neap." .. name)[class]),
        functions_of(getmetatable(object), true))
    end
  end)

  it("has what a task and a response are asked for", function()
    kit:script{ { status = 200, body = "1" } }
    kit:run(function()
      local task = neap.spawn(function() return client:get("x") end)
      for name in pairs(classes["neap.Task"]) do
        assert.equal("function", type(task[name]), name)
      end
      local res = task:await()
      for name in pairs(classes["neap.Response"]) do
        assert.equal("function", type(res[name]), name)
      end
    end)
  end)

  -- Their methods are C functions behind a metatable that shows itself to nobody.
  local OBJECTS = {
    ["neap.Breaker"] = { "breaker", neap.breaker{} },
    ["neap.Bulkhead"] = { "limiter_objects", neap.bulkhead{ max_concurrent = 1 } },
    ["neap.RateLimiter"] = { "limiter_objects", neap.rate_limiter{ rate = 1 } },
    ["neap.RetryBudget"] = { "limiter_objects", neap.retry_budget{} },
    ["neap.Backoff"] = { "backoff", neap.backoff{} },
  }

  for class, object in pairs(OBJECTS) do
    it("has methods that there are: " .. class, function()
      for name in pairs(classes[class]) do
        assert.equal("function", type(object[2][name]), name)
      end
    end)
  end

  it("has every method of these objects", function()
    local defined = {}
    for class in pairs(OBJECTS) do
      for name in pairs(classes[class]) do
        defined[name] = true
      end
    end
    for _, file in ipairs{ "breaker_object", "limiter_objects", "backoff_object" } do
      local source = process.read_file("src/binding/" .. file .. ".c")
      for list in source:gmatch("luaL_Reg [%w_]*methods%[%] = {(.-)\n};") do
        for name in list:gmatch('{"([%a][%w_]*)",') do
          assert.is_true(defined[name], file .. ": " .. name)
        end
      end
    end
  end)
end)

describe("the classes of options", function()
  local book = dofile(".ci/book.lua")

  it("are what the code declares (make docs)", function()
    local now, wanted = book.compare("library/neap/options.lua")
    assert.equal(wanted, now)
  end)
end)

describe("a type that a definition names", function()
  local function each_file(visit)
    local found = assert(io.popen("find library -name '*.lua'"))
    for path in found:lines() do
      visit(path, process.read_file(path))
    end
    found:close()
  end

  it("is defined, and once only", function()
    local defined = {}
    each_file(function(path, text)
      for name in text:gmatch("%-%-%-@class ([%w_.]+)") do
        assert.is_nil(defined[name], path .. ": " .. name)
        defined[name] = true
      end
      for name in text:gmatch("%-%-%-@alias ([%w_.]+)") do
        defined[name] = true
      end
    end)
    each_file(function(path, text)
      for line in text:gmatch("%-%-%-@[pfra]%w+ [^\n]*") do
        for name in line:gmatch("%f[%w_.]neap%.%u[%w_.]*") do
          assert.is_true(defined[name:gsub("%.$", "")], path .. ": " .. name)
        end
      end
    end)
  end)
end)
