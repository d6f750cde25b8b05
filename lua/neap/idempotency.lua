--- The serving side of idempotency: a handler runs at most once for each key.
--
--     local guard = require("neap.idempotency").new{
--       store = require("neap.store.sqlite").new{ path = "/var/lib/shop/neap.db" },
--     }
--     local res = guard:handle(req, function(req) return { status = 201, body = pay(req) } end)
--
-- The core decides (src/pipeline/guard.h), the store keeps; see docs/serving.md.
local Error = require "neap.error"
local answer = require "neap.answer"
local compat = require "neap.compat"
local core = require "neap.core"
local env = require "neap.env"
local host = require "neap.host"
local raised_text = require "neap.raised"
local store = require "neap.store"

---@class neap.Guard
local Guard = {}
Guard.__index = Guard

---@class neap.ServedRequest
---@field method string
---@field path string with the query
---@field headers? table by name, or a list of { name, value }
---@field body? string
---@field recovered? boolean true where an earlier owner of the key ended without a result

local function check_options(options)
  if type(options) == "table" and options.store ~= nil and not store.is(options.store) then
    return "options.store: expected a store, as neap.store.sqlite makes one"
  end
  return env.flaw(options)
end

--- A guard. Raises at the caller's line for wrong options: `store` (required), `ttl` (86400),
--- `lease` (60), `max_run` (600), `header` ("Idempotency-Key"), `required` (true), `methods`
--- ({ "POST", "PATCH" }), `fingerprint` ("bytes", "json" or a function of the request),
--- `on_conflict` ("reject" or "wait"), `scope`, `store_statuses`, `on_error` ("store" or
--- "release"), `env`. Times in seconds.
---@param options table
---@return neap.Guard
local function new(options)
  local flaw = check_options(options)
  if flaw then
    error(flaw, 2)
  end
  local made, kept = core.guard(options)
  if not made then
    error(kept, 2)
  end
  return setmetatable({
    _core = made,
    _store = options.store,
    _env = options.env or options.store._env,
    _functions = kept,
    _owing = {},
  }, Guard)
end

-- What is wrong with what the guard looks at first, or nil.
local function check_head(req)
  if type(req) ~= "table" then
    return ("req: expected a table, got a %s"):format(type(req))
  end
  if type(req.method) ~= "string" then
    return ("req.method: expected a string, got %s"):format(core.shown(req.method))
  end
  local _, flaw = answer.flatten(req.headers)
  return flaw and "req." .. flaw
end

local function check_request(req)
  local flaw = check_head(req)
  if flaw then
    return flaw
  end
  if type(req.path) ~= "string" then
    return ("req.path: expected a string, got %s"):format(core.shown(req.path))
  end
  if req.body ~= nil and type(req.body) ~= "string" then
    return ("req.body: expected a string, got a %s"):format(type(req.body))
  end
end

-- What a function of the options returns of the request: a text.
local function ask(guard, name, req)
  local fn = guard._functions[name]
  if not fn then
    return nil
  end
  local text = fn(req)
  if type(text) ~= "string" then
    error(("options.%s: expected a string to be returned, got %s"):format(name,
      core.shown(text)), 0)
  end
  return text
end

local function new_serving(guard, engine, req)
  local values = answer.values(req.headers, guard._core:header())
  local is_keyed = guard._core:guards(req.method) and #values > 0
  return core.serving(guard._core, guard._store._core, engine, req.method, req.path,
    req.body or "", values, is_keyed and ask(guard, "scope", req) or nil,
    is_keyed and ask(guard, "fingerprint", req) or nil)
end

-- What `store_statuses` says; nil where there is no such function, or it raised.
local function verdict_on(guard, status)
  local fn = guard._functions.store_statuses
  if not fn then
    return nil
  end
  local done, stores = compat.pcall(fn, status)
  if done then
    return not not stores
  end
end

local function raised(cause)
  return Error.new{ kind = "error", message = raised_text(cause), cause = cause }
end

-- One request on its way: guard, serving, req, handler; what the handler answered, or why it did
-- not.
local stages = {}

function stages.run(life)
  local serving, req = life.serving, life.req
  if serving:recovered() then
    req.recovered = true
  end
  local done, given = compat.pcall(life.handler, req)
  if not done then
    life.err = raised(given)
    return serving:handled()
  end
  -- Looking at it may raise too, where it has a metatable.
  local seen, status, flat, body = compat.pcall(answer.parts, given)
  if not seen then
    life.err = raised(status)
    return serving:handled()
  end
  if not status then
    life.err = raised("the handler's answer: " .. flat)
    return serving:handled()
  end
  life.answer = answer.new(status, flat, body)
  return serving:handled(status, flat, body, verdict_on(life.guard, status))
end

local ends = {}

function ends.answer(life)
  return life.answer
end

function ends.replay(life)
  local status, flat, body = life.serving:replay()
  flat[#flat + 1] = "Idempotent-Replayed"
  flat[#flat + 1] = "true"
  local res = answer.new(status, flat, body)
  res.replayed = true
  return res
end

function ends.problem(life)
  local status, flat, body, message = life.serving:problem()
  local err = life.err
  if message ~= "" and not err then
    err = Error.new{ kind = "store", message = message, retryable = status == 503 }
  end
  return answer.new(status, flat, body), err
end

local function next_stage(life, engine)
  local serving = life.serving
  if host.wait(engine, serving) then
    return serving:stage()
  end
  return host.block(engine, serving)
end

-- On a virtual engine what the store has not learnt yet is told to it by later turns.
local function put_away(guard, serving)
  for owing in pairs(guard._owing) do
    if not owing:owes() then
      guard._owing[owing] = nil
      owing:free()
    end
  end
  if serving:owes() then
    guard._owing[serving] = true
  else
    serving:free()
  end
end

local function drive(life, engine)
  local stage = life.serving:begin()
  while not ends[stage] do
    if stage == "pass" then
      return nil
    elseif stage then
      stage = stages[stage](life)
    else
      stage = next_stage(life, engine)
    end
  end
  return ends[stage](life)
end

-- What is thrown through a call here comes from neither handler nor store, such as a coroutine that
-- is made to end. A task that is given up takes its serving with it, or the lease would be renewed
-- until the collector comes by.
local function drive_safely(life, engine)
  host.tie(engine, life.serving)
  local task = host.enter{ exchange = life.serving }
  local done, res, err = compat.pcall(drive, life, engine)
  host.leave(task)
  if not done then
    life.serving:free()
    error(res, 0)
  end
  put_away(life.guard, life.serving)
  return res, err
end

--- Does a request go to the handler as if there were no guard? Of `req` only `method` and `headers`
--- are looked at.
---@param req neap.ServedRequest
---@return boolean
function Guard:passes(req)
  local flaw = check_head(req)
  if flaw then
    error(flaw, 2)
  end
  local has_key = #answer.values(req.headers, self._core:header()) > 0
  return self._core:passes(req.method, has_key)
end

--- Serves the request: its own answer to the one that runs the handler, the stored one to those
--- that come later, with `Idempotent-Replayed: true`. The handler is called with `req`, and answers
--- with { status, headers, body }. Requests of other methods, and without a key where none is
--- required, go to the handler as they are, and its answer comes back as it is.
--
-- Other answers are problem details (RFC 9457): 400 for a key that is missing or malformed, 409
-- while the first request under the key still runs, 422 where the key stands for another request,
-- 503 where the store is down (the handler did not run), 500 where the handler raised. With 500 and
-- 503 a second result, an error of kind `error` (its `cause` is what was raised) or `store`, says
-- why, for the log. Nil and an error of kind `phase` where the host cannot wait.
---@param req neap.ServedRequest
---@param handler fun(req: neap.ServedRequest): table
---@return neap.Answer? res
---@return neap.Error? err
function Guard:handle(req, handler)
  local flaw = check_request(req)
  if flaw then
    error(flaw, 2)
  end
  if type(handler) ~= "function" then
    error(("handler: expected a function, got a %s"):format(type(handler)), 2)
  end
  local engine = env.engine(self._env)
  if host.cannot_wait_on(engine) then
    return nil, Error.new{ kind = "phase", message = "a store cannot be waited for here" }
  end
  local life = {
    guard = self,
    req = req,
    handler = handler,
    serving = new_serving(self, engine, req),
  }
  local res, err = drive_safely(life, engine)
  if res == nil then
    return handler(req)
  end
  return res, err
end

--- Is the value a guard?
---@param value any
---@return boolean
local function is(value)
  return getmetatable(value) == Guard
end

return { new = new, is = is }
