--- `neap revive`: has dead letters delivered again.
local arguments = require "neap.program.arguments"
local ending = require "neap.program.ending"
local letters = require "neap.program.letters"
local outbox_file = require "neap.program.outbox_file"

local revive = {
  usage = "revive FILE --all | ID... [--name NAME]",
  summary = "have dead letters delivered again",
  operands = math.huge,
  options = { name = arguments.text, all = true },
  help = [[
FILE is the SQLite file of the outbox, an ID is what `neap dead` lists.

  --all             all of them
  --name NAME       one of the outboxes in the file (outbox)

Status 1 where one of the ids is not there; the others are revived nevertheless.
]],
}

function revive.run(given, operands)
  local ids = letters.ids(operands)
  if given.all and #ids > 0 then
    ending.give_up(ending.MISUSED, "give ids or --all, not both")
  end
  local outbox = outbox_file.look_at(operands[1], given.name)
  if given.all then
    ending.say("%d revived", ending.checked(outbox:revive_all()))
    return ending.OK
  end
  return letters.for_each(ids, function(id) return outbox:revive(id) end, "revived")
end

return revive
