--- Scripts of the testing kit: reads entries, checks each key, and hands out one entry an attempt.
local core = require "neap.core"

local Script = {}
Script.__index = Script

local KEYS = {
  status = "number", headers = "table", body = "string", after = "number", error = "string",
  phase = "string", sent = "boolean", certificate = "boolean", answer = "function",
  times = "number", ["repeat"] = "boolean",
}

local PHASES = { connect = true, write = true, read = true, attempt = true, total = true }

-- Errors before a connection can be used: nothing was sent unless the script says so.
local UNSENT = { resolve = true, connect = true, tls = true }

local function expect(condition, path, text)
  if not condition then
    error({ script = ("%s: %s"):format(path, text) }, 0)
  end
end

local function check_keys(entry, path)
  for key, value in pairs(entry) do
    local expected = KEYS[key]
    expect(expected, ("%s.%s"):format(path, core.shown_key(key)), "unknown key")
    expect(type(value) == expected, ("%s.%s"):format(path, key),
      ("expected a %s, got a %s"):format(expected, type(value)))
  end
end

local function check_times(entry, path)
  local times = entry.times
  expect(times == nil or (times >= 1 and times % 1 == 0), path .. ".times",
    "expected an integer >= 1")
  local after = entry.after
  expect(after == nil or (after >= 0 and after == after), path .. ".after",
    "expected a number >= 0 (seconds)")
end

local function text_of(value, path)
  expect(type(value) == "string" or type(value) == "number", path,
    ("expected a string or a number, got a %s"):format(type(value)))
  return tostring(value)
end

-- Header values as the core wants them: strings, or lists of strings.
local function read_headers(headers, path)
  local read = {}
  for name, value in pairs(headers or {}) do
    expect(type(name) == "string", path, "expected names as keys")
    local at = ("%s[%q]"):format(path, name)
    if type(value) == "table" then
      local list = {}
      for index, one in ipairs(value) do
        list[index] = text_of(one, ("%s[%d]"):format(at, index))
      end
      read[name] = list
    else
      read[name] = text_of(value, at)
    end
  end
  return read
end

local function check_error(entry, path)
  expect(core.kinds[entry.error], path .. ".error",
    ("expected a kind of error, got %q"):format(entry.error))
  expect(entry.status == nil, path, "give one of status and error")
  expect(entry.phase == nil or PHASES[entry.phase], path .. ".phase",
    "expected connect, write, read, attempt or total")
  expect(entry.error ~= "timeout" or entry.phase, path .. ".phase", "required for a timeout")
end

local function check_response(entry, path)
  local status = entry.status
  expect(status, path, "expected status, error or answer")
  expect(status >= 100 and status <= 599 and status % 1 == 0, path .. ".status",
    ("expected an integer from 100 to 599, got %s"):format(tostring(status)))
end

-- One entry with everything filled in.
local function read_entry(entry, path)
  expect(type(entry) == "table", path,
    ("expected a table or a function, got a %s"):format(type(entry)))
  check_keys(entry, path)
  check_times(entry, path)
  if entry.answer then
    return { answer = entry.answer }
  end
  if entry.error then
    check_error(entry, path)
    local sent = entry.sent
    if sent == nil then
      sent = not UNSENT[entry.error] and entry.phase ~= "connect"
    end
    return {
      error = entry.error, phase = entry.phase, after = entry.after, unsent = not sent,
      certificate = entry.certificate or false,
    }
  end
  check_response(entry, path)
  return {
    status = entry.status, after = entry.after or 0, body = entry.body or "",
    headers = read_headers(entry.headers, path .. ".headers"),
  }
end

-- A function's answer ends the matter: it is not one more function.
local function read_answer(answer)
  local path = "script: what the function returned"
  local entry = read_entry(answer, path)
  expect(not entry.answer, path, "expected status or error")
  return entry
end

local function read_list(entries)
  local list = {}
  expect(type(entries) == "table", "script",
    ("expected a list of entries, got a %s"):format(type(entries)))
  for index, entry in ipairs(entries) do
    local path = ("script[%d]"):format(index)
    local item = { left = 1 }
    if type(entry) == "function" then
      item.entry = { answer = entry }
    else
      item.entry = read_entry(entry, path)
      item.left = entry["repeat"] and math.huge or entry.times or 1
      expect(not entry["repeat"] or index == #entries, path .. ".repeat",
        "only the last entry can be used for ever")
    end
    list[index] = item
  end
  return list
end

local function protect(fn, ...)
  local done, result = pcall(fn, ...)
  if done then
    return result
  end
  if type(result) == "table" and result.script then
    return nil, result.script
  end
  error(result, 0)
end

--- A script of these entries, or nil and what is wrong with them.
function Script.new(entries)
  local list, message = protect(read_list, entries)
  if not list then
    return nil, message
  end
  return setmetatable({ list = list, position = 1 }, Script)
end

--- The entry for this request, or nil where the script has come to its end; nil and a message
--- where a function of the script answered what is no entry.
function Script:next(request)
  local item = self.list[self.position]
  if not item then
    return nil
  end
  item.left = item.left - 1
  if item.left <= 0 then
    self.position = self.position + 1
  end
  if not item.entry.answer then
    return item.entry
  end
  return protect(read_answer, item.entry.answer(request))
end

return Script
