--- How many instructions of a profile are neap's own.
--
-- What libc and libcurl do inside is not: it depends on their version, and libc picks its memcpy by
-- the processor. Counted are the instructions of neap's module, of the interpreter and of the code
-- that it compiled; and, with all that is below them, the calls that these make of a few functions
-- which would be the way to be slower unseen.

local callgrind = {}

-- What stands between all callers, libcurl too, and malloc.
local function is_of_memory(name)
  return name:find("^neap_blocks_") ~= nil
end

local CALLED = {
  malloc = true,
  calloc = true,
  realloc = true,
  free = true,
  neap_blocks_take = true,
  neap_blocks_resize = true,
  neap_blocks_give_back = true,
  curl_easy_setopt = true,
  curl_easy_getinfo = true,
  curl_multi_setopt = true,
}

-- Code without a file is what LuaJIT compiled.
local function is_ours(object)
  local file = object:match("[^/]*$")
  return object == "" or object == "???" or object:find("/neap/core.so", 1, true) ~= nil
    or object:find("/bench/calls.so", 1, true) ~= nil or file:find("lua", 1, true) ~= nil
end

-- "(3) name" names 3 from now on, "(3)" means that name; without a number it is the name itself.
local function resolved(names, text)
  local number, name = text:match("^(%(%d+%))%s*(.*)$")
  if not number then
    return text
  end
  if name ~= "" then
    names[number] = name
  end
  return names[number] or ""
end

--- The instructions of neap's own in the text of a profile, format of callgrind 3.
---@param text string
---@return integer
function callgrind.own(text)
  local objects, functions = {}, {}
  local in_object, ours, is_call, callee, count = false, false, false, nil, 0
  for line in text:gmatch("[^\n]+") do
    local key, value = line:match("^(%a+)=(.*)$")
    if key == "ob" then
      in_object = is_ours(resolved(objects, value))
    elseif key == "cob" then
      resolved(objects, value)
    elseif key == "fn" then
      local name = resolved(functions, value)
      ours = in_object and not is_of_memory(name)
    elseif key == "cfn" then
      callee = resolved(functions, value)
    elseif key == "calls" then
      is_call = true
    else
      local cost = line:match("^[%d%+%-%*]+ (%d+)$")
      if cost and ours and (not is_call or CALLED[callee]) then
        count = count + tonumber(cost)
      end
      is_call = is_call and not cost
    end
  end
  return count
end

return callgrind
