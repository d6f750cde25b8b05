--- Prints what neap did in one call, from the trace of its response or error.
local show = {}

local function outcome(entry)
  if entry.error then
    return entry.phase and ("%s (%s)"):format(entry.error, entry.phase) or entry.error
  end
  return entry.status or ""
end

--- One line an attempt, wait, refusal or fallback.
---@param trace table[]
function show.trace(trace)
  local attempts = 0
  for _, entry in ipairs(trace) do
    if entry.kind == "attempt" then
      attempts = attempts + 1
      print(("  attempt %d  %s"):format(attempts, outcome(entry)))
    elseif entry.kind == "wait" then
      print(("  wait       %.2f s (%s)"):format(entry.elapsed, entry.reason))
    else
      print(("  %-9s  %s"):format(entry.kind, entry.reason or outcome(entry)))
    end
  end
end

return show
