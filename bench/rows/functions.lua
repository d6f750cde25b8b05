--- Rows 4 to 6: guarded functions against C functions called from Lua.

local FLOOR, FLOOR_PCALL = "empty C function", "C function that pcalls a Lua function"

local function dream11(world, variant, core, count)
  local subject = world:script("lua-circuit-breaker", variant, core, "guarded.lua", "dream11",
    count)
  local checkout = os.getenv("DREAM11") or ""
  if checkout == "" then
    return { name = subject.name, skip = "DREAM11 names no checkout of it" }
  end
  return subject
end

local function targets_of(variant, success)
  return {
    {
      row = 4, what = variant .. ", guarded function that succeeds / pcall in C",
      subject = "neap.wrap, success", against = FLOOR_PCALL, measure = "ns", at_most = success,
    },
    {
      row = 5, what = variant .. ", three failing attempts / pcall in C",
      subject = "neap.wrap, three failing attempts", against = FLOOR_PCALL, measure = "ns",
      at_most = 8,
    },
    {
      row = 6, what = variant .. ", refused by an open breaker / empty C function",
      subject = "neap.wrap, breaker open", against = FLOOR, measure = "ns", at_most = 3,
    },
  }
end

local function comparison(world, variant, success)
  local core = world.pinnings[1].client
  local function row(name, way, count)
    return world:script(name, variant, core, "guarded.lua", way, world:calls(count))
  end
  return {
    title = variant .. ", guarded functions",
    subjects = {
      row(FLOOR, "empty", 5000000),
      row(FLOOR .. ", again", "empty", 5000000),
      row(FLOOR_PCALL, "pcall", 2000000),
      row(FLOOR_PCALL .. ", again", "pcall", 2000000),
      row("neap.wrap, success", "success", 200000),
      row("neap.wrap, three failing attempts", "failing", 100000),
      row("neap.wrap, breaker open", "refused", 200000),
      world:other_script("neap of AGAINST, success", variant, core, "guarded.lua", "success",
        world:calls(200000)),
      dream11(world, variant, core, world:calls(200000)),
    },
    targets = targets_of(variant, success),
  }
end

return function(world)
  return { comparison(world, "lua5.4", 2.5), comparison(world, "luajit", 2) }
end
