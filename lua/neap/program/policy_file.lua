--- Runs a Lua file that returns a policy table. Nothing of neap goes over the network by that.
local ending = require "neap.program.ending"

local policy_file = {}

--- What the file returns: a table, and whatever comes second.
---@param path string
---@return table policy
---@return any second
function policy_file.load(path)
  local chunk, message = loadfile(path)
  if not chunk then
    ending.give_up(ending.FAILED, "%s", message)
  end
  local done, policy, second = pcall(chunk)
  if not done then
    ending.give_up(ending.FAILED, "%s", tostring(policy))
  end
  if type(policy) ~= "table" then
    ending.give_up(ending.FAILED, "%s: expected a policy table to be returned, got a %s", path,
      type(policy))
  end
  return policy, second
end

return policy_file
