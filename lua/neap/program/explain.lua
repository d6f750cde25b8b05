--- `neap explain`: a trace as a timeline, and each entry of it in a sentence.
local ending = require "neap.program.ending"
local input = require "neap.program.input"
local json = require "neap.json"
local reasons = require "neap.program.reasons"
local terminal = require "neap.program.terminal"
local timeline = require "neap.program.timeline"

local print = ending.print_line

local WIDTH = 100

local explain = {
  usage = "explain TRACE.json",
  summary = "draw the trace of a call, and say why it went as it did",
  operands = 1,
  options = {},
  help = [[
TRACE.json, or - for stdin, is JSON: the `trace` of a response or an error, or an object that has
`trace` in it: an error, an event `done`, a line of a log. neap get --trace FILE writes one. It
needs the Lua library cjson or dkjson.
]],
}

-- The trace is the value itself, or in it.
local function trace_in(value)
  return type(value) == "table" and type(value.trace) == "table" and value.trace or value
end

local SCALARS = { string = true, number = true, boolean = true }

-- An entry says nothing by a null, which each library has a value of its own for, nor by a list.
local function scalars_of(entry)
  local kept = {}
  for key, value in pairs(type(entry) == "table" and entry or {}) do
    if SCALARS[type(value)] then
      kept[key] = value
    end
  end
  return kept
end

local function entries_of(trace)
  if type(trace) ~= "table" then
    return nil
  end
  local entries = {}
  for index, entry in ipairs(trace) do
    entries[index] = scalars_of(entry)
  end
  return entries
end

local function load_trace(path)
  local value, message = json.decode(input(path))
  if value == nil then
    ending.give_up(ending.FAILED, "%s: %s", path, message or "is no JSON")
  end
  local entries = entries_of(trace_in(value))
  local flaw = timeline.flaw(entries)
  if flaw then
    ending.give_up(ending.FAILED, "%s: %s", path, flaw)
  end
  return entries
end

local function sentence_of_attempt(entry)
  local text
  if entry.error == "timeout" then
    text = reasons.phases[entry.phase]
  elseif entry.error then
    text = reasons.errors[entry.error]
  end
  text = text or ("the server answered with %s"):format(timeline.outcome(entry))
  if entry.chaos == true then
    text = text .. "; policy.chaos has made this attempt so"
  end
  local stop = reasons.stops[entry.reason]
  return stop and ("%s. Then it was given up: %s"):format(text, stop) or text
end

local sentences = {
  attempt = sentence_of_attempt,
  wait = function(entry)
    return "waited for " .. (reasons.waits[entry.reason] or "something")
  end,
  reject = function(entry)
    local text = reasons.rejections[entry.reason] or "a policy refused"
    if entry.enforced == false then
      return text .. "; in shadow mode, so the attempt was made all the same"
    end
    return text
  end,
  fallback = function(entry)
    local source = timeline.outcome{ reason = entry.reason }
    if entry.error then
      return ("the fallback %q failed: %s"):format(source, timeline.outcome(entry))
    end
    return entry.status and ("the fallback %q answered with %s"):format(source,
      timeline.outcome(entry)) or ("the fallback %q was asked"):format(source)
  end,
}

local function print_sentence(label, entry)
  local say = sentences[entry.kind]
  local text = say and say(entry) or "nothing is known of such entries"
  print(terminal.coloured("bold", label))
  print(terminal.wrapped(text .. ".", "    ", WIDTH))
end

function explain.run(_, operands)
  if not operands[1] then
    ending.give_up(ending.MISUSED, "explain wants a file, or - for stdin")
  end
  local trace = load_trace(operands[1])
  for _, line in ipairs(timeline.draw(trace)) do
    print(line)
  end
  print()
  for index, label in ipairs(timeline.labels(trace)) do
    print_sentence(label, trace[index])
  end
  return ending.OK
end

return explain
