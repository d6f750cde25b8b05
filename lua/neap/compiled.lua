--- Guarded functions that LuaJIT compiles together with what calls them and what they call.
--
-- A C function ends a trace, and what it calls begins another one. Here the core is asked by the
-- FFI (src/binding/guarded_ffi.c), which a trace goes through, and the function is called from Lua.
-- Everything else is as in lua/neap/wrap.lua, whose ways of calling take over what needs an
-- exchange, and all calls where LuaJIT turns out not to compile them.
local Error = require "neap.error"
local core = require "neap.core"
local host = require "neap.host"

local compiled = {}

local steps = core.guarded_ffi
local found, ffi = pcall(require, "ffi")
local jit = rawget(_G, "jit")
local is_luajit = found and steps ~= nil and type(jit) == "table"

-- What is needed at some later call is taken now, since a sandbox may have taken it away by then.
local load_code = rawget(_G, "loadstring")
local status, switch_off = is_luajit and jit.status, is_luajit and jit.off
local taken = { pcall = pcall, select = select, type = type, error = error }

-- LuaJIT keeps what it knows of a function, above all that it cannot be compiled, by its code,
-- which closures share. So each guarded function has code of its own: a copy of this one, which
-- knows nothing but what it is given.
--
-- Between a step and the reading of what it told nothing is allocated, since a finalizer could call
-- the same function.
local function factory(given)
  local fn, object, told, code = given.fn, given.object, given.told, given.code
  local begin, succeed, fail, tie = told.begin, told.succeed, told.fail, told.tie
  local new_keeper, outcome, ties = code.new_keeper, code.outcome, code.ties
  local refusals = code.refusals
  local REFUSED, RUN = code.REFUSED, code.RUN
  local TOLD, BUSY, ENDED = code.TOLD, code.BUSY, code.ENDED
  local LEFT_INTERPRETED, LEFT_ENDED = code.LEFT_INTERPRETED, code.LEFT_ENDED
  local whole, go_on, text_of = given.whole, given.go_on, given.text_of
  local otherwise, give_up = given.otherwise, given.give_up
  local refusal, failure = given.refusal, given.failure
  local settle, whom_to_tie, engine = given.settle, given.whom_to_tie, given.engine
  local lua = given.lua
  local pcall, select, type, error = lua.pcall, lua.select, lua.type, lua.error

  local NANO = 1e9

  local at_rest = new_keeper() -- or nil

  local function attend_to(left)
    if left >= LEFT_ENDED then
      error("the call has ended", 0)
    elseif left >= LEFT_INTERPRETED then
      give_up()
    end
    if left % LEFT_INTERPRETED ~= 0 then
      settle(engine)
    end
  end

  local function end_with_values(keeper, ...)
    local left = succeed(object, keeper)
    at_rest = keeper
    if left ~= 0 then
      attend_to(left)
    end
    return ...
  end

  local function end_refused()
    local left, retry_after_ns = told.left, told.retry_after_ns
    local err = refusal(refusals[told.state], told.refused_at_ns / NANO,
      retry_after_ns >= 0 and retry_after_ns / NANO or nil)
    if left ~= 0 then
      attend_to(left)
    end
    return nil, err
  end

  local function end_with_failure(text, cause)
    local left = told.left
    local err = failure(text, told.is_retryable ~= 0, told.attempts, told.elapsed_ns / NANO,
      told.at_ns / NANO, cause, told.history)
    if left ~= 0 then
      attend_to(left)
    end
    return nil, err
  end

  -- fn is called in one of these ways, by the number of its arguments. None of them is vararg,
  -- since LuaJIT begins no trace at a function that is.
  local with_none, with_one, with_two, with_three

  local function arguments_of(way, a, b, c)
    if way == with_none then
      return
    elseif way == with_one then
      return a
    elseif way == with_two then
      return a, b
    end
    return a, b, c
  end

  local function end_otherwise(way, keeper, next, cause, a, b, c)
    local is_over, came_to, is_pending = outcome(object, keeper, next, cause)
    at_rest = keeper
    if not is_over then
      return go_on(came_to, cause, arguments_of(way, a, b, c))
    elseif is_pending then
      settle(engine)
    end
    return nil, came_to
  end

  local function judge_failure(way, keeper, a, b, c, cause)
    local text = type(cause) == "string" and cause or text_of(cause)
    local next = fail(object, keeper, text, #text)
    if next == RUN then
      return way(keeper, a, b, c)
    elseif next == TOLD then
      at_rest = keeper
      return end_with_failure(text, cause)
    elseif next == ENDED then
      error("the call has ended", 0)
    end
    return end_otherwise(way, keeper, next, cause, a, b, c)
  end

  local function judge(way, keeper, a, b, c, done, ...)
    local first, second = ...
    if not done then
      return judge_failure(way, keeper, a, b, c, first)
    elseif first == nil and second ~= nil then
      return judge_failure(way, keeper, a, b, c, second)
    end
    return end_with_values(keeper, ...)
  end

  function with_none(keeper)
    return judge(with_none, keeper, nil, nil, nil, pcall(fn))
  end

  function with_one(keeper, a)
    return judge(with_one, keeper, a, nil, nil, pcall(fn, a))
  end

  function with_two(keeper, a, b)
    return judge(with_two, keeper, a, b, nil, pcall(fn, a, b))
  end

  function with_three(keeper, a, b, c)
    return judge(with_three, keeper, a, b, c, pcall(fn, a, b, c))
  end

  local function end_at_once(way, keeper, next, a, b, c)
    if next > RUN then
      return end_otherwise(way, keeper, next, nil, a, b, c)
    end
    at_rest = keeper
    if next == REFUSED then
      return end_refused()
    end
    return whole(arguments_of(way, a, b, c))
  end

  -- A keeper that is nowhere but on the stack gives its call up when that is dropped. One at rest
  -- is taken first, lest a hook that raises leave it there with a call.
  local function call(way, a, b, c)
    local keeper = at_rest or new_keeper()
    at_rest = nil
    local next = begin(object, keeper)
    if next == BUSY then -- a hook has had it meanwhile
      keeper = new_keeper()
      next = begin(object, keeper)
    end
    if next ~= RUN then
      return end_at_once(way, keeper, next, a, b, c)
    end
    local whom = whom_to_tie(engine)
    if whom and tie(keeper, ties, whom) == 0 then
      error("not enough memory", 0)
    end
    return way(keeper, a, b, c)
  end

  return function(...)
    local count = select("#", ...)
    if count == 1 then
      return call(with_one, ...)
    elseif count == 0 then
      return call(with_none)
    elseif count == 2 then
      return call(with_two, ...)
    elseif count == 3 then
      return call(with_three, ...)
    end
    return otherwise(...)
  end
end

-- Nil where no code can be made of a function, or loaded.
local function code_of(fn)
  local is_dumped, code = pcall(string.dump, fn)
  local is_done, copy = pcall(load_code, code)
  return is_dumped and is_done and copy and code or nil
end

local code_of_factory = is_luajit and code_of(factory)

--- Is this LuaJIT, with its FFI, and may code be loaded? The module may have been built for PUC's
--- 5.1, and be loaded in a sandbox.
compiled.is_there = is_luajit and code_of_factory ~= nil

local function meet(told, object)
  told.meet(object)
end

-- What the steps tell is read in their object itself.
local pointer

local function told_by(object)
  pointer = pointer or ffi.typeof("const $ *", ffi.typeof(steps.declaration))
  local told = ffi.cast(pointer, object)
  switch_off(meet)
  meet(told, object)
  return told
end

local function compiled_of(client, fn, ways, give_up)
  local object = steps.new(client._core)
  return load_code(code_of_factory){
    fn = fn,
    object = object,
    told = told_by(object),
    code = steps,
    whole = ways.whole,
    go_on = ways.go_on,
    text_of = ways.text_of,
    otherwise = ways.otherwise,
    give_up = give_up,
    refusal = Error._refusal,
    failure = Error._failure,
    settle = host.settle,
    whom_to_tie = host.whom_to_tie,
    engine = client._engine,
    lua = taken,
  }
end

-- Fewer than after which LuaJIT takes a loop for hot: it compiles what it finds then.
local HOT = 40

--- A function that calls fn through the policies of the client: by `ways.otherwise` at first, and
--- from so many calls on compiled, unless they turn out not to be. The other `ways` are those of
--- lua/neap/wrap.lua: `whole` makes a call by an exchange, `go_on` goes on with one that is under
--- way, `text_of` writes an error.
---@param client table
---@param fn function
---@param ways table
---@return function
function compiled.guard(client, fn, ways)
  local way, calls = ways.otherwise, 0

  local function give_up()
    way = ways.otherwise
  end

  -- What keeps a way from being made is no error of the caller's.
  local function compile()
    local is_made, made = taken.pcall(compiled_of, client, fn, ways, give_up)
    way = is_made and made or way
  end

  local function count_call()
    calls = calls + 1
    if calls == HOT and status() then
      compile()
    end
  end

  return function(...)
    if calls < HOT then
      count_call()
    end
    return way(...)
  end
end

return compiled
