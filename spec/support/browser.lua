--- Runs a script of spec/browser, which drives a real headless Chromium.
local process = require "spec.support.process"
local server = require "spec.support.server"

local browser = {}

-- build/lua5.4/lua is the interpreter that runs; .ci/setup.sh puts the packages beside it.
local MODULES = assert(os.getenv("NEAP_LUA")):match("^(.*)/[^/]+/lua$") .. "/browser/node_modules"

local function path_of(program)
  local pipe = assert(io.popen("command -v " .. program))
  local path = pipe:read("*l")
  pipe:close()
  return path
end

--- What is missing, or nil.
---@return string?
function browser.missing()
  if not path_of("chromium") then
    return "chromium is not here (Debian: chromium)"
  elseif not path_of("node") then
    return "Node.js is not here (Debian: npm)"
  elseif not process.read_file(MODULES .. "/playwright-core/package.json") then
    return "playwright-core is not here: make setup"
  end
end

--- What the script has found; raises what it complains of.
---@param script string in spec/browser
---@param ... string
---@return table
function browser.run(script, ...)
  local words = { "timeout -k 5 90 node", process.quoted("spec/browser/" .. script),
    process.quoted(MODULES), process.quoted(path_of("chromium")) }
  for _, word in ipairs{ ... } do
    words[#words + 1] = process.quoted(word)
  end
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1"))
  local output = pipe:read("*a")
  pipe:close()
  return server.decode(output:match("({.*})%s*$") or error(output, 2))
end

return browser
