--- Rows 8 and 10: what is decided in memory that workers share, and idempotency keys, without Lua.

local http = require "socket.http"

local cores = require "bench.harness.cores"
local openresty = require "bench.harness.openresty"
local subject = require "bench.harness.subject"

local DICT = "ngx.shared.DICT:incr over 1000 keys, from Lua"

-- In nginx, on the core where the others run.
local function dict(world, core)
  if not openresty.is_here(world) then
    return subject.skipped(DICT, "nginx with ngx_lua, or the module for LuaJIT, is missing")
  end
  local server = openresty.start(world, {
    module = "bench.nginx.dict",
    http = "lua_shared_dict bench 8m;",
  })
  cores.pin(server.pid, core)
  local url = ("%s/?count=%d"):format(server.url, world:calls(2000000, 1000000))
  return {
    name = DICT,
    measure = function()
      return assert(subject.parsed((http.request(url))), "nginx gave no figures")
    end,
  }
end

local ADD, CONTENDED_ADD = "atomic add", "atomic add, contended"

local function shared(world, core)
  local count, rival = world:calls(5000000), world.other_core
  local function row(name, program, operation)
    return subject.program(name, { world:floor(program), operation, count }, core)
  end
  local function contended(name, program, operation)
    if not rival then
      return subject.skipped(name, "there is only one core")
    end
    return subject.program(name, { world:floor(program), operation, count, rival }, core)
  end
  return {
    title = "decisions in shared memory: a breaker admits and records",
    subjects = {
      row(ADD, "primitives", "add"),
      row(ADD .. ", again", "primitives", "add"),
      contended(CONTENDED_ADD, "primitives", "add"),
      contended(CONTENDED_ADD .. ", again", "primitives", "add"),
      row("one key", "decisions", "one"),
      contended("one key, contended", "decisions", "one"),
      row("a hit among 1000 keys", "decisions", "keys"),
      dict(world, core),
      row("clock", "primitives", "clock"),
      row("coarse clock", "primitives", "coarse"),
    },
    targets = {
      {
        row = 8, what = "decision in shared memory, one key / atomic add",
        subject = "one key", against = ADD, measure = "ns", at_most = 6,
      },
      {
        row = 8, what = "the same, two processes / contended atomic add",
        subject = "one key, contended", against = CONTENDED_ADD, measure = "ns", at_most = 2.5,
      },
      {
        row = 8, what = "a hit among 1000 keys / ngx.shared.DICT:incr over 1000 keys",
        subject = "a hit among 1000 keys", against = DICT, measure = "ns", at_most = 0.4,
      },
    },
  }
end

local function keys(world, core)
  local count = world:calls(2000000)
  local function row(name, program, operation)
    return subject.program(name, { world:floor(program), operation, count }, core)
  end
  return {
    title = "idempotency keys",
    subjects = {
      row("getrandom, 16 bytes", "primitives", "getrandom"),
      row("getrandom, 16 bytes, again", "primitives", "getrandom"),
      row("idempotency key", "decisions", "uuid"),
    },
    targets = {
      {
        row = 10, what = "idempotency key / getrandom", subject = "idempotency key",
        against = "getrandom, 16 bytes", measure = "ns", at_most = 0.4,
      },
    },
  }
end

return function(world)
  local core = world.pinnings[1].client
  return { shared(world, core), keys(world, core) }
end
