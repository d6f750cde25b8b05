--- Inside nginx: carries out the Lua that a request brings as its body.
--
-- A location says `content_by_lua_block { require("spec.support.chunk").serve() }`; what the chunk
-- returns is the answer, in JSON. spec/support/farm.lua is the other end.
-- luacheck: globals ngx
local cjson = require "cjson"

local chunk = {}

local function encoded(done, value)
  local answer = { pid = ngx.worker.pid() }
  if done then
    answer.value = value
  else
    answer.raised = tostring(value)
  end
  return cjson.encode(answer)
end

--- Runs the chunk with `...` for its arguments; the answer as text.
---@return string
function chunk.run(...)
  ngx.req.read_body()
  local fn, message = loadstring(ngx.req.get_body_data(), "=chunk")
  if not fn then
    return encoded(false, message)
  end
  return encoded(pcall(fn, ...))
end

--- Runs the chunk and answers.
function chunk.serve(...)
  local answer = chunk.run(...)
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = #answer
  ngx.print(answer)
  return ngx.exit(200)
end

local function waits_of(trace)
  local reasons = {}
  for _, entry in ipairs(trace) do
    if entry.kind == "wait" then
      reasons[#reasons + 1] = entry.reason
    end
  end
  return reasons
end

--- What a call came to, as plain values: of a response or of an error, with the reasons why it
--- waited.
---@return table
function chunk.told(res, err)
  local told = { waits = waits_of((res or err).trace), elapsed = (res or err).elapsed,
    attempts = (res or err).attempts }
  if res then
    told.status, told.source = res.status, res.source
  else
    told.kind, told.phase, told.message = err.kind, err.phase, err.message
  end
  return told
end

return chunk
