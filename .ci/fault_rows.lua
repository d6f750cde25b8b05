-- The tables of docs/faults.md, made of what the fault matrix is played by.
local faults = require "spec.support.faults"

local fault_rows = {}

-- Where no connection comes about that another call could use.
local CARRIES = { plain = true, flaky = true, good = true, h2 = true, ["good, as http"] = true }

local function outcome_text(outcome)
  if type(outcome) == "number" then
    return tostring(outcome)
  end
  local kind, phase = outcome:match("^(%S+) (%S+)$")
  return kind and ("`%s` (`%s`)"):format(kind, phase) or ("`%s`"):format(outcome)
end

local function what_comes(fault)
  local text = outcome_text(fault.is)
  if fault.may_be then
    text = text .. " or " .. outcome_text(fault.may_be)
  end
  if fault.no_content then
    text = text .. "; without a body " .. outcome_text(fault.no_content)
  end
  return fault.head and text .. "; HEAD: " .. outcome_text(fault.head) or text
end

local function repeated(fault, method)
  if type(fault.is) == "number" then
    return "–"
  elseif not faults.is_repeated(fault, method, fault.is) then
    local too = fault.may_be and faults.is_repeated(fault, method, fault.may_be)
    return too and "not after " .. outcome_text(fault.is) or "no"
  end
  return "yes"
end

local function connection(fault)
  if not CARRIES[fault.at] then
    return "–"
  end
  local by_head = fault.kept_by_head and fault.connection == "closed"
  return fault.connection .. (by_head and "; HEAD: kept" or "")
end

local function row(fault)
  return ("| %s | %s | %s | %s | %s |"):format(fault.name, what_comes(fault),
    repeated(fault, "GET"), repeated(fault, "POST"), connection(fault))
end

--- The table of one group of faults.
---@param name string
---@return string
function fault_rows.of(name)
  local lines = {
    "| fault | an attempt comes to | GET and its like repeated | POST, PATCH repeated "
      .. "| connection |",
    "|---|---|---|---|---|",
  }
  for _, fault in ipairs(faults.list) do
    if fault.group == name then
      lines[#lines + 1] = row(fault)
    end
  end
  assert(#lines > 2, "no group of faults is called " .. name)
  return table.concat(lines, "\n")
end

return fault_rows
