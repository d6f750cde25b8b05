--- The same protection around a function that has nothing to do with HTTP: reading a report that
--- another program writes, and that may not be there yet.
local neap = require "neap"

local reads = 0

-- A function fails when it raises or returns nil and an error; then it may be tried again.
local read_report = neap.wrap({
  name = "report",
  retry = { max_attempts = 5, backoff = { kind = "fixed", base = 0.05 } },
  breaker = { consecutive_failures = 5, open_for = 30 },
}, function(path)
  reads = reads + 1
  local file, message = io.open(path, "r")
  if not file then
    return nil, message
  end
  local text = file:read("*a")
  file:close()
  return text
end)

-- From here on: a writer that is a little late, and one that never comes.
local path = os.tmpname()
os.remove(path)

local function write_late()
  neap.sleep(0.1)
  local file = assert(io.open(path, "w"))
  file:write("42 orders")
  file:close()
end

local text = neap.run(function()
  neap.spawn(write_late)
  return assert(read_report(path))
end)
os.remove(path)
print(("the report came at read %d: %s"):format(reads, text))
assert(text == "42 orders" and reads > 1, "no retry was needed")

reads = 0
local _, err = read_report(path)
print(("no report: %s, after %d reads"):format(err.kind, reads))
assert(err.kind == "error" and err.cause:find(path, 1, true) and reads == 5, "expected five reads")

_, err = read_report(path)
print(("asked again: %s, still %d reads: the function was spared"):format(err.kind, reads))
assert(err.kind == "breaker_open" and reads == 5, "the breaker should have refused")
