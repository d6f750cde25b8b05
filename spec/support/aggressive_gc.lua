-- A busted helper: the collector never rests, and takes whatever it can around every test, so that
-- a value held by nothing but C is gone when C next reaches for it.
local busted = require "busted"

if _VERSION ~= "Lua 5.1" then
  collectgarbage("incremental")
end
collectgarbage("setpause", 0)
collectgarbage("setstepmul", 1000)

local function collect()
  collectgarbage("collect")
  return nil, true
end

busted.subscribe({ "test", "start" }, collect)
busted.subscribe({ "test", "end" }, collect)
