--- Rows 1 to 3: calls over HTTP, one at a time and side by side.

local subject = require "bench.harness.subject"

local LUA_HTTP = "lua-http, lua5.4, connections held"

local function easy(world, pinning, name, mode, calls)
  return subject.program(name,
    { world:floor "easy", mode, world:upstream(), world.body, calls }, pinning.client)
end

local function multi(world, pinning, name, mode, calls, side_by_side)
  return subject.program(name,
    { world:floor "multi", mode, world:upstream(), world.body, calls, side_by_side },
    pinning.client)
end

local function neap(world, pinning, variant, method, calls, side_by_side)
  local name = ("neap, %s%s"):format(variant, method == "POST" and ", POST with a key" or "")
  return world:script(name, variant, pinning.client, "calls.lua", method, world:upstream(),
    world.body, calls, side_by_side)
end

local function other(world, pinning, calls, side_by_side)
  return world:other_script("neap of AGAINST, lua5.4", "lua5.4", pinning.client, "calls.lua",
    "GET", world:upstream(), world.body, calls, side_by_side)
end

-- Missing packages are told, and fail nothing.
local function peer(world, pinning, name, module, script, ...)
  if not world:has(module) then
    return subject.skipped(name, module .. " is not installed")
  end
  return world:script(name, "lua5.4", pinning.client, script, ...)
end

local function lua_http(world, pinning, calls, side_by_side)
  return peer(world, pinning, LUA_HTTP, "http.client", "http_calls.lua", world:upstream(),
    world.body, calls, side_by_side)
end

local function lua_socket(world, pinning, name, mode, calls)
  return peer(world, pinning, "lua-socket, lua5.4, " .. name, "socket.http", "socket_calls.lua",
    mode, world:upstream(), world.body, calls)
end

-- On two cores each call waits for a core to wake up, which takes several times as long.
local function share_of(pinning)
  return pinning.client == pinning.upstream and 1 or 0.25
end

local function one_at_a_time(world, pinning)
  local calls = world:calls(20000 * share_of(pinning), 2000)
  return {
    title = ("one call at a time, %s, %d calls"):format(pinning.name, calls),
    subjects = {
      easy(world, pinning, "easy handle, all options", "all", calls),
      easy(world, pinning, "easy handle, all options, again", "all", calls),
      easy(world, pinning, "easy handle, preset options", "preset", calls),
      easy(world, pinning, "easy handle, minimal", "minimal", calls),
      neap(world, pinning, "lua5.4", "GET", calls, 0),
      neap(world, pinning, "luajit", "GET", calls, 0),
      neap(world, pinning, "lua5.4", "POST", calls, 0),
      other(world, pinning, calls, 0),
      lua_socket(world, pinning, "connection kept", "keep", calls),
      lua_socket(world, pinning, "new connections", "close", calls),
      lua_http(world, pinning, calls, 1),
    },
    targets = {
      {
        row = 1, what = "Lua 5.4, one at a time: calls a second / easy handle",
        subject = "neap, lua5.4", against = "easy handle, all options", measure = "rate",
        at_least = 0.95,
      },
      {
        row = 1, what = "Lua 5.4, one at a time: CPU a call / easy handle",
        subject = "neap, lua5.4", against = "easy handle, all options", measure = "cpu",
        at_most = 1.06,
      },
    },
  }
end

local function side_by_side(world, pinning, count, targets)
  local calls = world:calls(30000 * share_of(pinning), 4 * count)
  return {
    title = ("%d side by side, %s, %d calls"):format(count, pinning.name, calls),
    subjects = {
      multi(world, pinning, "one multi handle", "preset", calls, count),
      multi(world, pinning, "one multi handle, again", "preset", calls, count),
      multi(world, pinning, "one multi handle, options each call", "all", calls, count),
      neap(world, pinning, "lua5.4", "GET", calls, count),
      neap(world, pinning, "luajit", "GET", calls, count),
      other(world, pinning, calls, count),
      lua_http(world, pinning, calls, count),
    },
    targets = targets,
  }
end

local AT_100 = {
  {
    row = 2, what = "Lua 5.4, 100 side by side: calls a second / one multi handle",
    subject = "neap, lua5.4", against = "one multi handle", measure = "rate", at_least = 0.95,
  },
  {
    row = 2, what = "Lua 5.4, 100 side by side: calls a second / lua-http",
    subject = "neap, lua5.4", against = LUA_HTTP, measure = "rate", at_least = 3,
  },
}

local AT_1000 = {
  {
    row = 3, what = "1000 side by side: calls a second / one multi handle",
    subject = "neap, lua5.4", against = "one multi handle", measure = "rate", at_least = 1.4,
  },
  {
    row = 3, what = "1000 side by side: p99 / one multi handle",
    subject = "neap, lua5.4", against = "one multi handle", measure = "p99", at_most = 0.7,
  },
  {
    row = 9, what = "1000 side by side: peak of memory / one multi handle",
    subject = "neap, lua5.4", against = "one multi handle", measure = "peak", at_most = 1.05,
  },
}

--- The targets are judged where client and upstream share a core: there it shows what the library
--- costs.
return function(world)
  local comparisons = {}
  for i, pinning in ipairs(world.pinnings) do
    local function add(comparison)
      comparison.upstream_core = pinning.upstream
      if i > 1 then
        comparison.targets = {}
      end
      table.insert(comparisons, comparison)
    end
    add(one_at_a_time(world, pinning))
    add(side_by_side(world, pinning, 100, AT_100))
    add(side_by_side(world, pinning, 1000, AT_1000))
  end
  return comparisons
end
