--- Payments that may be repeated: one guard, a handler in Lua and an application behind proxy_pass.
local cjson = require "cjson.safe"
local idempotency = require "neap.idempotency"
local neap = require "neap"
local nginx = require "neap.nginx"

local payments = {}

-- All workers, and with Redis all machines, share what is kept here.
local function open_store()
  local redis = os.getenv("PAYMENTS_REDIS")
  if redis then
    return require("neap.store.redis").new{ host = redis }
  end
  return require("neap.store.sqlite").new{ path = ngx.config.prefix() .. "data/payments.db" }
end

-- Two customers may choose the same key, and must not see each other's answers. The credential
-- itself has no business in a store.
local function customer(req)
  return ngx.encode_base64(ngx.sha1_bin(tostring(req.headers.Authorization)))
end

local function problem(status, title, detail)
  return {
    status = status,
    headers = { ["Content-Type"] = "application/problem+json" },
    body = cjson.encode{ status = status, title = title, detail = detail },
  }
end

local function is_order(value)
  return type(value) == "table" and type(value.order) == "string" and type(value.amount) == "number"
end

-- Nothing was done, or the first request under the key is still at it: asking again is right.
local COME_AGAIN = { [408] = true, [409] = true, [425] = true, [429] = true }

-- 503 is not stored: who repeats the request asks the bank again, under the same key.
local function later()
  local answer = problem(503, "Bank unavailable", "Repeat the request with the same key.")
  answer.headers["Retry-After"] = "1"
  return answer
end

-- Should the worker die in here, the next request under the key runs it again. The bank gets the
-- same key for the same order then, and takes the money once.
local function payer(bank)
  return function(req)
    local order = cjson.decode(req.body)
    if not is_order(order) then
      return problem(400, "Not a payment", "expected { order, amount }") -- and so it will stay
    end
    local res, err = bank:post("charges", { json = { order = order.order, amount = order.amount } })
    if not res or res.status >= 500 or COME_AGAIN[res.status] then
      ngx.log(ngx.ERR, "the bank: ", res and res.status or tostring(err))
      return later()
    end
    if not res.ok then
      return problem(402, "Payment refused", "The bank has refused it.") -- likewise
    end
    return {
      status = 201,
      headers = {
        ["Content-Type"] = "application/json",
        ["Location"] = "/payments/" .. ngx.escape_uri(order.order),
      },
      body = cjson.encode{ order = order.order, charge = res:json().charge },
    }
  end
end

--- To be made once, in init_by_lua, where what is wrong keeps nginx from starting.
function payments.new(bank_url)
  local guard = idempotency.new{
    store = assert(open_store()),
    lease = 10,
    scope = customer,
  }
  local bank = neap.client{
    name = "bank",
    base_url = bank_url,
    timeout = { total = 5 },
    retry = { backoff = { base = 0.05 } },
    idempotency = { from = { "order" }, prefix = "shop-" },
  }
  return {
    pay = nginx.guarded(guard, payer(bank)),
    order = nginx.guarded(guard, { proxy = "/orders-upstream" }),
  }
end

return payments
