--- A subject that is a program: run on a core, for a bounded time, its line of results read.

local process = require "spec.support.process"

local subject = {}

-- A program that takes longer has gone wrong.
local SECONDS = 60

--- "rate=12.5 cpu=3" as { rate = 12.5, cpu = 3 }; nil where there is none.
---@param line string|nil
---@return table<string, number>|nil
function subject.parsed(line)
  local values
  for name, value in (line or ""):gmatch("([%w_]+)=(%-?[%d.]+)") do
    values = values or {}
    values[name] = tonumber(value)
  end
  return values
end

--- The words as a line for the shell.
---@param words (string|number)[]
---@param core integer|nil where to run it
---@return string
function subject.command(words, core)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = process.quoted(tostring(word))
  end
  local pinned = core and ("taskset -c %d "):format(core) or ""
  return ("%stimeout -k 2 %d %s"):format(pinned, SECONDS, table.concat(quoted, " "))
end

--- Runs it once. Raises with what it wrote, where it fails.
---@param words (string|number)[]
---@param core integer|nil
---@return table<string, number>
function subject.run(words, core)
  local pipe = assert(io.popen(subject.command(words, core) .. " 2>&1"))
  local output = pipe:read("*a")
  local ended_well = pipe:close()
  local values = subject.parsed(output:match("[^\n]*\n?$"))
  if not ended_well or not values then
    error(("%s failed:\n%s"):format(table.concat(words, " "), output), 0)
  end
  return values
end

--- A subject of rounds.run.
---@param name string
---@param words (string|number)[]
---@param core integer|nil
function subject.program(name, words, core)
  return {
    name = name,
    measure = function()
      return subject.run(words, core)
    end,
  }
end

--- One that cannot be measured here, and why.
function subject.skipped(name, why)
  return { name = name, skip = why }
end

return subject
