--- What a subject written in Lua tells the runner; see bench/floors/result.h. It is loaded by its
--- path, so that another tree's neap can be measured with it.

local measure = {}

local function peak_kb()
  local file = io.open("/proc/self/status", "r")
  if not file then
    return 0
  end
  local text = file:read("*a")
  file:close()
  return tonumber(text:match("VmHWM:%s*(%d+)")) or 0
end

--- Begins to count calls; `clock` gives seconds.
function measure.begin(clock)
  return { clock = clock, wall = clock(), cpu = os.clock() }
end

--- Prints the line. `latencies` are in seconds, or nil.
function measure.print(begun, calls, latencies)
  local wall, cpu = begun.clock() - begun.wall, os.clock() - begun.cpu
  local line = ("rate=%.3f cpu=%.4f peak=%d"):format(calls / wall, cpu / calls * 1e6, peak_kb())
  if latencies then
    table.sort(latencies)
    line = line .. (" p99=%.2f"):format(latencies[math.ceil(#latencies * 0.99)] * 1e6)
  end
  print(line)
end

--- Ends the program with a failure where the answer is another one than it should be.
function measure.check(status, body, expected)
  if status ~= 200 or body ~= expected then
    error(("status %s, body %s"):format(tostring(status), tostring(body)), 2)
  end
end

return measure
