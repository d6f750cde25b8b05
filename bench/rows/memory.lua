--- Row 9: what breakers and clients take while nothing happens. The peak with 1000 transfers is
--- measured with those, in calls.lua.

local KEYS, CLIENTS = 100000, 200

return function(world)
  local core = world.pinnings[1].client
  local url = world:upstream(core)
  local function row(name, variant, ...)
    return world:script(name, variant, core, "memory.lua", ...)
  end
  return {
    {
      title = ("memory of %d keyed breakers"):format(KEYS),
      subjects = {
        row("neap, lua5.4", "lua5.4", "keys", KEYS),
        row("neap, lua5.4, again", "lua5.4", "keys", KEYS),
        row("neap, luajit", "luajit", "keys", KEYS),
      },
      targets = {
        {
          row = 9, what = "100,000 keyed breakers, Lua 5.4", subject = "neap, lua5.4",
          measure = "bytes", at_most = 32, scale = 2 ^ 20, unit = " MB",
        },
      },
    },
    {
      title = "memory of a client at rest",
      subjects = {
        row("neap, lua5.4, after a call", "lua5.4", "used", CLIENTS, url),
        row("neap, lua5.4, after a call, again", "lua5.4", "used", CLIENTS, url),
        row("neap, luajit, after a call", "luajit", "used", CLIENTS, url),
        row("neap, lua5.4, before any call", "lua5.4", "clients", CLIENTS),
      },
      targets = {
        {
          row = 9, what = "a client at rest after a call, Lua 5.4",
          subject = "neap, lua5.4, after a call", measure = "bytes", at_most = 64, scale = 2 ^ 10,
          unit = " KB",
        },
      },
    },
  }
end
