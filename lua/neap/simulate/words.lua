--- Numbers and settings in words, for charts and pages.
local words = {}

--- A number >= 0 with so many digits behind the point. string.format rounds what lies in the middle
--- up on one Lua and to even on another; this does not.
---@param number number
---@param digits integer 1 or more
---@return string
function words.fixed(number, digits)
  local power = 10 ^ digits
  local scaled = math.floor(number * power + 0.5)
  local whole = math.floor(scaled / power)
  return ("%d.%0" .. digits .. "d"):format(whole, scaled - whole * power)
end

--- A count with commas: 1,234,567.
---@param number number rounded to a whole one
---@return string
function words.count(number)
  local text = ("%d"):format(math.floor(number + 0.5))
  local grouped = text:reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (grouped:gsub("^,", ""))
end

--- A number without needless digits: 0.1, 2, 12.5.
---@param number number
---@return string
function words.number(number)
  return ("%.6g"):format(number)
end

--- A mark of an axis: 1,200, 0.25.
---@param number number
---@return string
function words.axis(number)
  return number >= 10 and number % 1 == 0 and words.count(number) or words.number(number)
end

--- A length: 0.153 s, 12.3 s.
---@param seconds number
---@return string
function words.seconds(seconds)
  if seconds < 10 then
    return words.fixed(seconds, 3) .. " s"
  end
  return words.fixed(seconds, 1) .. " s"
end

--- A moment of a run, as fine as the run is long: 12.5 s, 2:30, 1:02:30.
---@param seconds number
---@param duration number of the whole run
---@return string
function words.moment(seconds, duration)
  if duration <= 120 then
    return words.number(seconds) .. " s"
  end
  local whole = math.floor(seconds + 0.5)
  local minutes, rest = math.floor(whole / 60), whole % 60
  if duration <= 7200 then
    return ("%d:%02d"):format(minutes, rest)
  end
  return ("%d:%02d:%02d"):format(math.floor(minutes / 60), minutes % 60, rest)
end

--- A share of a whole: 3.1 %.
---@param part number
---@param whole number
---@return string
function words.share(part, whole)
  return words.fixed(whole > 0 and 100 * part / whole or 0, 1) .. " %"
end

local function plural(number, word)
  return ("%s %s%s"):format(words.count(number), word, number == 1 and "" or "s")
end

local ARRIVALS = {
  random = "at random",
  steady = "at equal intervals",
  together = "all at the same moments",
}

--- Who calls how often and for how long.
---@param setting neap.SimulationSetting
---@return string
function words.callers(setting)
  local each = setting.rate >= 1 and words.number(setting.rate) .. "/s"
    or ("one in %s s"):format(words.number(1 / setting.rate))
  return ("%s%s, each %s %s, %s for %s; seed %d"):format(plural(setting.clients, "client"),
    setting.shared and " that share one state" or "", each, setting.method,
    ARRIVALS[setting.arrival], words.moment(setting.duration, setting.duration), setting.seed)
end

--- What the server is like.
---@param setting neap.SimulationSetting
---@return string
function words.server(setting)
  local speed = ("answers in %s s"):format(words.number(setting.latency))
  if not setting.capacity then
    return "server: " .. speed
  end
  return ("server: %s, %s/s at most"):format(speed, words.number(setting.capacity))
end

local OUTAGES = { ["503"] = "outage", refused = "outage (refused)", silence = "outage (silence)" }

--- The incident in a few words.
---@param incident neap.SimulationIncident
---@return string
function words.incident(incident)
  if incident.outage then
    return OUTAGES[incident.answer]
  end
  if incident.brownout then
    return ("brownout %s"):format(words.number(incident.brownout))
  end
  if incident.slow then
    return ("slow %s s"):format(words.number(incident.slow))
  end
  return ("limit %s/s"):format(words.number(incident.rate_limit))
end

return words
