--- `neap options`: each key of a policy, or of another table of options, with type, range, default
--- and meaning.
local arguments = require "neap.program.arguments"
local ending = require "neap.program.ending"
local json_text = require "neap.program.json_text"
local option_words = require "neap.program.option_words"
local terminal = require "neap.program.terminal"

local WIDTH = 100

local options = {
  usage = "options [KEY] [--of WHAT] [--json]",
  summary = "list the keys of a policy with type, range, default and meaning",
  operands = 1,
  options = { of = arguments.text, json = true },
  help = [[
KEY is one key, such as retry.backoff: that one and those below it are listed, else all.

  --of WHAT  whose options: policy (the default), breaker, bulkhead, rate_limiter, retry_budget,
             backoff, idempotency, outbox, store.memory, store.sqlite, store.redis or shared
  --json     one line of JSON, for programs
]],
}

local function rows_of(what)
  local rows, names = option_words.rows(what)
  if not rows then
    ending.give_up(ending.MISUSED, "nothing called %q has options, but: %s", what,
      table.concat(names, ", "))
  end
  return rows
end

local function select_rows(rows, key)
  local selected = {}
  for _, row in ipairs(rows) do
    if not key or option_words.is_within(row, key) then
      selected[#selected + 1] = row
    end
  end
  if not selected[1] then
    ending.give_up(ending.FAILED, "there is no key %q; neap options lists all", key)
  end
  return selected
end

local function print_row(row)
  print(("%s  %s; %s"):format(terminal.coloured("bold", row.path), row.expected,
    row.required and "required" or "default: " .. option_words.plain(option_words.default(row))))
  print(terminal.wrapped(option_words.plain(row.about), "    ", WIDTH))
end

-- An empty table would be a list else.
local function as_object(row)
  if row.kind == "table" and row.default then
    setmetatable(row.default, { __jsontype = "object" })
  end
  return row
end

function options.run(given, operands)
  local selected = select_rows(rows_of(given.of or "policy"), operands[1])
  if given.json then
    for _, row in ipairs(selected) do
      as_object(row)
    end
    print(json_text(selected))
    return ending.OK
  end
  for _, row in ipairs(selected) do
    print_row(row)
  end
  return ending.OK
end

return options
