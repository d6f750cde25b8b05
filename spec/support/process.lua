--- What the specs need to run other processes: quoting, temporary directories, bounded waiting.

local socket = require("socket")

local process = {}

--- A word as the shell leaves it alone.
---@param word string
function process.quoted(word)
   return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- A new directory of our own; its maker removes it.
---@return string path
function process.temporary_directory()
   local pipe = assert(io.popen("mktemp -d"))
   local directory = pipe:read("*l")
   pipe:close()
   return assert(directory, "mktemp made no directory")
end

---@return string|nil content nil if the file cannot be opened
function process.read_file(path)
   local file = io.open(path, "rb")
   if not file then
      return nil
   end
   local content = file:read("*a")
   file:close()
   return content
end

--- Writes a file anew, byte for byte.
---@return string path
function process.write_file(path, content)
   local file = assert(io.open(path, "wb"))
   file:write(content)
   file:close()
   return path
end

--- Asks again and again until the answer is not false or nil, or so many seconds have passed.
---@param predicate fun(): any
---@param seconds number|nil 5
---@return any answer of the predicate, the last one
function process.wait_until(predicate, seconds)
   local give_up = socket.gettime() + (seconds or 5)
   local answer = predicate()
   while not answer and socket.gettime() < give_up do
      socket.sleep(0.005)
      answer = predicate()
   end
   return answer
end

return process
