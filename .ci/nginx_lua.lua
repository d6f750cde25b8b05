-- The inside of nginx_lua.sh: runs the program that the file of arguments names in a timer, where
-- ngx_lua lets code wait, and ends nginx with its status.

-- What is loaded before the program is loaded once: busted loads modules anew for each file of
-- specs, and those of ngx_lua are not made for that.
require "neap"

-- ngx_lua's own goes to the error log.
local function print_line(...)
  local words = { ... }
  for index = 1, select("#", ...) do
    words[index] = tostring(words[index])
  end
  io.stdout:write(table.concat(words, "\t"), "\n")
end

local function with_traceback(message)
  return message and debug.traceback(tostring(message), 2)
end

local function run(is_early, program, arguments)
  rawset(_G, "arg", arguments)
  rawset(_G, "print", print_line)
  local done, message = not is_early, "nginx ended before the program began"
  if done then
    done, message = xpcall(program, with_traceback, unpack(arguments))
  end
  if not done and message then -- busted raises nothing where specs have failed
    io.stderr:write(message, "\n")
  end
  io.stdout:flush()
  os.exit(done and 0 or 1)
end

local function start(path)
  local arguments = { [-1] = os.getenv("NEAP_LUA") }
  for line in io.lines(path) do
    arguments[arguments[0] and #arguments + 1 or 0] = line
  end
  assert(ngx.timer.at(0, run, assert(loadfile(arguments[0])), arguments))
end

return function(path)
  local started, message = pcall(start, path)
  if not started then
    io.stderr:write(message, "\n")
    os.exit(1)
  end
end
