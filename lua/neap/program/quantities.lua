--- Reads lengths of time and rates as people write them, for options of the program: readers as
--- lua/neap/program/arguments.lua wants them.
local quantities = {}

local SECONDS = { [""] = 1, s = 1, ms = 0.001, m = 60, h = 3600 }
local PER = { [""] = 1, s = 1, sec = 1, m = 60, min = 60, h = 3600 }

local function number_and_rest(text)
  local digits, rest = text:match("^([%d.]+)(.*)$")
  return digits and tonumber(digits), rest
end

local function read_length(text)
  local number, unit = number_and_rest(text)
  local factor = number and SECONDS[unit]
  local seconds = factor and number * factor
  return seconds and seconds < 1e9 and seconds or nil
end

--- Seconds above 0: "30s", "500ms", "10m", "1h", "0.5".
function quantities.length(text)
  local seconds = read_length(text)
  return seconds and seconds > 0 and seconds or nil, "a length of time such as 30s, 500ms or 10m"
end

--- The same, or 0.
function quantities.length_or_none(text)
  return read_length(text), "a length of time such as 0, 30s, 500ms or 10m"
end

--- A number a second, above 0: "100/s", "10/m", "5/h", "2".
function quantities.rate(text)
  local number, rest = number_and_rest(text)
  local per = rest == "" and 1 or rest and rest:match("^/%a+$") and PER[rest:sub(2)]
  local rate = number and per and number / per
  return rate and rate > 0 and rate < 1e12 and rate or nil, "a rate such as 100/s, 10/m or 5/h"
end

--- A number that is not below 0.
function quantities.number(text)
  local number = tonumber(text)
  return number and number >= 0 and number < 1e15 and number or nil, "a number >= 0"
end

return quantities
