--- The program `neap`: finds the command on the command line and runs it.
---
--- A command is a module of lua/neap/program/ that returns { usage, summary, help, options, short =
--- letters for options, operands = the most it takes, run = function(given, operands) -> exit
--- status }; it is loaded when it is asked for. It ends early by `ending.give_up`.
local arguments = require "neap.program.arguments"
local ending = require "neap.program.ending"

local program = {}

-- In the order of the help.
local COMMANDS = {
  "get", "post", "explain", "check", "options", "simulate", "drain", "dead", "revive", "drop",
  "status", "version",
}

local EXIT_STATUSES = [[
Status 0: done; 1: it cannot work, or not all of it; 2: wrong usage.
]]

local function find_command(name)
  for _, known in ipairs(COMMANDS) do
    if known == name then
      return require("neap.program." .. name)
    end
  end
  return ending.give_up(ending.MISUSED, name and "there is no command %s; neap --help tells more"
    or "which command? neap --help tells more", name and arguments.quoted(name))
end

local function print_overview()
  io.stdout:write("usage: neap COMMAND [options]\n\n")
  for _, name in ipairs(COMMANDS) do
    local command = find_command(name)
    io.stdout:write(("  neap %s\n      %s\n"):format(command.usage, command.summary))
  end
  io.stdout:write("\nneap COMMAND --help tells more about one.\n", EXIT_STATUSES)
end

local function print_help(name)
  if not name then
    return print_overview()
  end
  local command = find_command(name)
  io.stdout:write(("usage: neap %s\n\n%s\n%s"):format(command.usage, command.help,
    command.statuses or EXIT_STATUSES))
end

-- The command whose help is asked for, or true for all of them.
local function asks_for_help(words)
  if words[1] == "help" then
    return words[2] or true
  end
  for index, word in ipairs(words) do
    if word == "--help" or word == "-h" then
      return index > 1 and words[1] or true
    end
  end
end

local function run_command(words)
  local wanted = asks_for_help(words)
  if wanted then
    print_help(wanted ~= true and wanted or nil)
    return ending.OK
  end
  local name = words[1] == "--version" and "version" or words[1]
  local command = find_command(name)
  local given, operands = arguments.read(name, command.options, words, command.short)
  local surplus = operands[command.operands + 1]
  if surplus then
    ending.give_up(ending.MISUSED, "%s is one argument too many", arguments.quoted(surplus))
  end
  return command.run(given, operands)
end

-- Who prints half of it to a full disk has not done what was asked for.
local function run(words)
  local status = run_command(words)
  ending.flush()
  return status
end

--- Runs the program with these arguments.
---@param words string[]
---@return integer status for os.exit
function program.run(words)
  local done, result = pcall(run, words)
  if done then
    return result
  end
  if type(result) ~= "table" or not result.status then
    ending.say("%s", tostring(result))
    return ending.FAILED
  end
  ending.say("%s", result.text)
  return result.status
end

return program
