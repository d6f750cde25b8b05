--- `neap dead`: lists the dead letters of an outbox.
local arguments = require "neap.program.arguments"
local ending = require "neap.program.ending"
local outbox_file = require "neap.program.outbox_file"

local print = ending.print_line

local dead = {
  usage = "dead FILE [--name NAME]",
  summary = "list the dead letters of an outbox",
  operands = 1,
  options = { name = arguments.text },
  help = [[
FILE is the SQLite file of the outbox. One line a letter, with tabs: its id, when it died, its
attempts, what was asked, without the query, and the reason.

  --name NAME       one of the outboxes in the file (outbox)
]],
}

local DATE = "!%Y-%m-%dT%H:%M:%SZ"

-- A query may hold a credential.
local function asked(request)
  return ("%s %s"):format(request.method, ((request.path or request.url):gsub("[?#].*", "")))
end

function dead.run(given, operands)
  for letter, err in outbox_file.look_at(operands[1], given.name):dead() do
    ending.checked(letter or nil, err)
    local request = letter.request
    local what = request and asked(request) or "?"
    print(("%d\t%s\t%d\t%s\t%s"):format(letter.id, os.date(DATE, math.floor(letter.died_at)),
      letter.attempts, what, letter.reason))
  end
  return ending.OK
end

return dead
