--- Runs a Lua file that returns a policy table. Nothing of neap goes over the network by that.
local arguments = require "neap.program.arguments"
local ending = require "neap.program.ending"

local policy_file = {}

-- A text has the place in front of it.
local function what_was_raised(path, value)
  return type(value) == "string" and value or ("%s: raised a %s"):format(path, type(value))
end

--- What the file returns: a table, and whatever comes second.
---@param path string
---@param noun? string what it should return ("a policy table")
---@return table policy
---@return any second
function policy_file.load(path, noun)
  if path:find("://", 1, true) then
    ending.give_up(ending.FAILED, "%s is a URL, expected a file", arguments.quoted(path))
  end
  local chunk, message = loadfile(path)
  if not chunk then
    ending.give_up(ending.FAILED, "%s", message)
  end
  local done, policy, second = pcall(chunk)
  if not done then
    ending.give_up(ending.FAILED, "%s", what_was_raised(path, policy))
  end
  if type(policy) ~= "table" then
    ending.give_up(ending.FAILED, "%s: expected %s to be returned, got %s", path,
      noun or "a policy table", policy == nil and "nothing" or "a " .. type(policy))
  end
  return policy, second
end

-- A policy has a name; a list or a map of policies has none, but its values do.
local function holds_policies(loaded)
  if rawget(loaded, "name") ~= nil then
    return false
  end
  for _, value in pairs(loaded) do
    if type(value) == "table" and rawget(value, "name") ~= nil then
      return true
    end
  end
  return false
end

local function by_key(left, right)
  local kind = type(left.key)
  if kind ~= type(right.key) then
    return kind < type(right.key)
  end
  if kind == "number" or kind == "string" then
    return left.key < right.key
  end
  return tostring(left.key) < tostring(right.key)
end

--- The policies of a file that returns one, or a list or map of them: { key =, policy = } each, by
--- their keys; `key` is nil where the file has one alone.
---@param path string
---@return { key: any, policy: any }[]
function policy_file.load_all(path)
  local loaded = policy_file.load(path)
  if not holds_policies(loaded) then
    return { { policy = loaded } }
  end
  local policies = {}
  for key, policy in pairs(loaded) do
    policies[#policies + 1] = { key = key, policy = policy }
  end
  table.sort(policies, by_key)
  return policies
end

return policy_file
