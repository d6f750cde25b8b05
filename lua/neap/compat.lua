--- The differences between Lua 5.1 (LuaJIT) and 5.4 that the face meets.
local compat = {}

compat.unpack = table.unpack or unpack -- luacheck: ignore 143

--- All arguments as a table with their number in `n`.
---@return table
function compat.pack(...)
  return { n = select("#", ...), ... }
end

--- The coroutine that runs, or nil in the main one.
---@return thread?
function compat.running()
  local co, is_main = coroutine.running()
  if is_main then
    return nil
  end
  return co
end

--- Can the code that runs yield? Not across a C function such as string.gsub or table.sort.
---@return boolean
function compat.can_yield()
  return coroutine.isyieldable()
end

return compat
