--- `neap drop`: throws dead letters away.
local arguments = require "neap.program.arguments"
local letters = require "neap.program.letters"
local outbox_file = require "neap.program.outbox_file"

local drop = {
  usage = "drop FILE ID... [--name NAME]",
  summary = "throw dead letters away",
  operands = math.huge,
  options = { name = arguments.text },
  help = [[
FILE is the SQLite file of the outbox, an ID is what `neap dead` lists.

  --name NAME       one of the outboxes in the file (outbox)

Status 1 where one of the ids is not there; the others are dropped nevertheless.
]],
}

function drop.run(given, operands)
  local ids = letters.ids(operands)
  local outbox = outbox_file.look_at(operands[1], given.name)
  return letters.for_each(ids, function(id) return outbox:drop(id) end, "dropped")
end

return drop
