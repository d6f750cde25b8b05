--- What can be seen of processes from outside: memory, descriptors, threads, the dead ones.
local lfs = require "lfs"

local farm = require "spec.support.farm"
local process = require "spec.support.process"
local tally = require "spec.soak.tally"

local processes = {}

local function number_in(text, pattern)
  return tonumber(text and text:match(pattern))
end

--- { pss_kb, rss_kb, descriptors, threads } of a process; nil when it is no more.
---@return table|nil
function processes.look(pid)
  local memory = process.read_file(("/proc/%d/smaps_rollup"):format(pid))
  local look = { pss_kb = number_in(memory, "Pss:%s+(%d+)"),
    rss_kb = number_in(memory, "Rss:%s+(%d+)"),
    descriptors = farm.descriptors(pid), threads = farm.threads(pid) }
  return look.pss_kb and look.descriptors > 0 and look.threads > 0 and look or nil
end

--- How many descriptors of each kind a process has: what their links say, without numbers.
---@return table<string, integer>
function processes.kinds_of_descriptors(pid)
  local kinds, folder = {}, ("/proc/%d/fd"):format(pid)
  for entry in lfs.dir(folder) do
    local target = lfs.symlinkattributes(folder .. "/" .. entry, "target")
    if target and entry:find("^%d+$") then
      tally.count(kinds, (target:gsub("%d+", "N")))
    end
  end
  return kinds
end

--- Numbers of the children of a process, and of those the ones that are dead and not buried.
---@return integer[] children
---@return integer[] zombies
function processes.children(pid)
  local text = process.read_file(("/proc/%d/task/%d/children"):format(pid, pid)) or ""
  local children, zombies = {}, {}
  for child in text:gmatch("%d+") do
    local stat = process.read_file(("/proc/%s/stat"):format(child)) or ""
    table.insert(stat:match("%) Z ") and zombies or children, tonumber(child))
  end
  return children, zombies
end

--- Starts a program in the background; what it says goes to FOLDER/NAME.said. It ends by itself.
---@return table { pid, name, result }: where it is to leave its result
function processes.start(folder, name, lua, script, ...)
  local words = { process.quoted(lua), process.quoted(script) }
  local result = folder .. "/" .. name .. ".json"
  for _, word in ipairs{ result, ... } do
    words[#words + 1] = process.quoted(tostring(word))
  end
  local pipe = assert(io.popen(("%s >%s 2>&1 & echo $!"):format(table.concat(words, " "),
    process.quoted(folder .. "/" .. name .. ".said"))))
  local pid = tonumber(pipe:read("*l"))
  pipe:close()
  return { pid = pid, name = name, result = result }
end

--- Sends a signal to one process.
function processes.signal(name, pid)
  os.execute(("kill -%s %d 2>/dev/null"):format(name, pid))
end

return processes
