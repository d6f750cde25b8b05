--- What specs of stores do to an SQLite file from outside: somebody else's lock, a disk of its own.
local process = require "spec.support.process"

local stores = {}

local function succeeds(command)
  local done = os.execute(command)
  return done == true or done == 0
end

--- A path where nothing is, in a new folder of its own, and what removes that.
---@return string path
---@return fun() remove
function stores.scratch()
  local folder = process.temporary_directory()
  return folder .. "/store.db", function()
    os.execute("rm -rf " .. process.quoted(folder))
  end
end

--- Why there can be no SQLite file; nil where there can.
---@return string|nil
function stores.lacks_sqlite()
  if not require("neap.core").has_store("sqlite") then
    return "neap was built without SQLite"
  end
end

--- Why the file cannot be locked from outside; nil where it can.
---@return string|nil
function stores.lacks()
  if stores.lacks_sqlite() then
    return stores.lacks_sqlite()
  end
  if not succeeds("command -v sqlite3 >/dev/null") then
    return "there is no program sqlite3 (Debian: sqlite3)"
  end
end

local Lock = {}
Lock.__index = Lock

--- Another process locks the file for writing, until release(), or the end of this process. The
--- file must be there.
function stores.lock(path)
  local mark = path .. ".locked"
  local pipe = assert(io.popen("sqlite3 " .. process.quoted(path) .. " >/dev/null 2>&1", "w"))
  pipe:write(".timeout 10000\nBEGIN IMMEDIATE;\n.shell touch ", process.quoted(mark), "\n")
  pipe:flush()
  assert(process.wait_until(function()
    return process.read_file(mark) ~= nil
  end, 20), "sqlite3 did not get the lock")
  os.remove(mark)
  return setmetatable({ pipe = pipe }, Lock)
end

--- Works twice.
function Lock:release()
  if self.pipe then
    self.pipe:write("COMMIT;\n.quit\n")
    self.pipe:close()
    self.pipe = nil
  end
end

local Disk = {}
Disk.__index = Disk

--- A small disk of its own in a new folder; nil and why there can be none. Root's alone.
---@param options string of mount(8), such as "size=2m"
function stores.disk(options)
  local folder = process.temporary_directory()
  local self = setmetatable({ folder = folder }, Disk)
  if succeeds(("mount -t tmpfs -o %s neap-spec %s 2>/dev/null")
    :format(options, process.quoted(folder))) then
    return self
  end
  os.execute("rmdir " .. process.quoted(folder))
  return nil, "no disk can be mounted here (root can)"
end

--- Changes how it is mounted, such as "ro". False where somebody has it open.
function Disk:remount(options)
  return succeeds(("mount -o remount,%s %s 2>/dev/null")
    :format(options, process.quoted(self.folder)))
end

function Disk:remove()
  os.execute(("umount -l %s && rmdir %s"):format(process.quoted(self.folder),
    process.quoted(self.folder)))
end

return stores
