--- What `neap revive` and `neap drop` share: dead letters named by their ids.
local arguments = require "neap.program.arguments"
local ending = require "neap.program.ending"

local letters = {}

--- The ids among the operands: all but the first, which is the file.
---@param operands string[]
---@return integer[] ids
function letters.ids(operands)
  local ids = {}
  for index = 2, #operands do
    ids[index - 1] = arguments.whole(operands[index])
      or ending.give_up(ending.MISUSED, "%q is no id of a dead letter", operands[index])
  end
  return ids
end

--- Does it to each of them; those that are not there are told at the end.
---@param ids integer[]
---@param act fun(id: integer): boolean|nil, any
---@param done_word string
---@return integer status
function letters.for_each(ids, act, done_word)
  local missing = 0
  if #ids == 0 then
    ending.give_up(ending.MISUSED, "which dead letters? give their ids")
  end
  for _, id in ipairs(ids) do
    if not ending.checked(act(id)) then
      missing = missing + 1
      ending.say("there is no dead letter %d", id)
    end
  end
  ending.say("%d %s", #ids - missing, done_word)
  return missing == 0 and ending.OK or ending.FAILED
end

return letters
