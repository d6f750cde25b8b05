--- The differences between Lua 5.1 (PUC's and LuaJIT), 5.2, 5.3 and 5.4 that the face meets.
local compat = {}

-- It cannot yield across pcall.
local is_puc_5_1 = _VERSION == "Lua 5.1" and not package.loaded.jit

local running = coroutine.running

compat.unpack = table.unpack or unpack -- luacheck: ignore 143

--- All arguments as a table with their number in `n`.
---@return table
function compat.pack(...)
  return { n = select("#", ...), ... }
end

-- The coroutine that called compat.pcall, by the one that was made there. Neither is held here:
-- while the one runs, the other waits for it on the stack.
local caller_of = setmetatable({}, { __mode = "kv" })

--- The coroutine that runs, or nil in the main one. What runs inside compat.pcall counts as the
--- coroutine that called it.
---@return thread?
function compat.running()
  local co, is_main = running()
  return not is_main and co or nil
end

if is_puc_5_1 then
  function compat.running()
    local co = running()
    while caller_of[co] do
      co = caller_of[co]
    end
    return co
  end
end

-- Where Lua does not say whether code can yield (5.1, 5.2, ngx_lua), the stack tells: not below a
-- C function other than pcall, nor in PUC's 5.1 below pcall or the iterator of a `for`. Metamethods
-- leave no trace there; what yields in one raises.
local function stack_lets_yield()
  if not coroutine.running() then
    return false
  end
  local level = 1
  local frame = debug.getinfo(level, "fnS")
  while frame do
    local passes_yields = not is_puc_5_1 and (frame.func == pcall or frame.func == xpcall)
    local is_iterator = is_puc_5_1 and frame.name == "(for generator)"
    if is_iterator or (frame.what == "C" and not passes_yields) then
      return false
    end
    level = level + 1
    frame = debug.getinfo(level, "fnS")
  end
  return true
end

--- Can the code that runs yield? Not across a C function such as string.gsub or table.sort.
---@return boolean
function compat.can_yield()
  return coroutine.isyieldable()
end

if not coroutine.isyieldable then
  compat.can_yield = stack_lets_yield
end

--- A coroutine that calls fn, which may be a C function.
---@type fun(fn: function): thread
compat.coroutine = coroutine.create

if _VERSION == "Lua 5.1" then
  function compat.coroutine(fn)
    if type(fn) == "function" and debug.getinfo(fn, "S").what ~= "C" then
      return coroutine.create(fn)
    end
    return coroutine.create(function(...)
      return fn(...)
    end)
  end
end

local function hand_yields_on(co, done, ...)
  if coroutine.status(co) == "dead" then
    return done, ...
  end
  return hand_yields_on(co, coroutine.resume(co, coroutine.yield(...)))
end

-- pcall in a coroutine of its own, whose yields become the caller's.
local function yielding_pcall(fn, ...)
  if not compat.can_yield() then
    return pcall(fn, ...)
  end
  local co = compat.coroutine(fn)
  caller_of[co] = coroutine.running()
  return hand_yields_on(co, coroutine.resume(co, ...))
end

--- pcall that fn may yield across: for functions of the program, and for what may wait.
---@type fun(fn: function, ...: any): boolean, ...: any
compat.pcall = is_puc_5_1 and yielding_pcall or pcall

return compat
