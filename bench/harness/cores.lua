--- The cores that this process may run on, and where other processes are to run.

local cores = {}

--- "pid 7's current affinity list: 0,2-4" as { 0, 2, 3, 4 }.
---@param text string
---@return integer[]
function cores.parsed(text)
  local list = {}
  for first, last in (text:match(":%s*([%d,%-]+)") or ""):gmatch("(%d+)%-?(%d*)") do
    for core = tonumber(first), tonumber(last) or tonumber(first) do
      list[#list + 1] = core
    end
  end
  return list
end

--- The cores that are ours; none where taskset is missing.
---@return integer[]
function cores.available()
  local pipe = assert(io.popen("taskset -c -p $PPID 2>/dev/null"))
  local text = pipe:read("*a")
  pipe:close()
  return cores.parsed(text)
end

--- Has a process, and all of its threads, run on one core from now on.
---@param pid integer
---@param core integer|nil nil: does nothing
function cores.pin(pid, core)
  if core then
    os.execute(("taskset -a -p -c %d %d >/dev/null"):format(core, pid))
  end
end

--- How client and upstream are placed: both on one core, which shows what the library costs, and
--- each on its own, as far as there are any.
---@return { name: string, client: integer|nil, upstream: integer|nil }[]
function cores.pinnings()
  local available = cores.available()
  if #available == 0 then
    return { { name = "not pinned, taskset is missing" } }
  end
  local list = { { name = "one core", client = available[1], upstream = available[1] } }
  if #available > 1 then
    list[2] = { name = "two cores", client = available[1], upstream = available[2] }
  end
  return list
end

return cores
