--- What stands behind the example: a bank that knows keys, and an application that does not. Both
--- count what they really did.
local cjson = require "cjson.safe"

local backends = {}

local state = ngx.shared.backends

local function answer(status, value)
  local body = cjson.encode(value)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

--- Takes the money, once for each key.
function backends.charge()
  local key = ngx.var.http_idempotency_key or "none"
  local behaviour = state:get("behaviour")
  state:incr("asked", 1, 0)
  if behaviour == "down" then
    return answer(503, { error = "closed" })
  end
  if behaviour == "refusing" then
    return answer(402, { error = "declined" })
  end
  local is_new = state:add("charge " .. key, true)
  local number = is_new and state:incr("charges", 1, 0) or state:get("charges")
  if is_new and behaviour == "losing" then
    return ngx.exit(444) -- the answer is lost, the money is taken
  end
  answer(201, { charge = "ch_" .. number })
end

--- Each POST is one more order; it takes a moment.
function backends.order()
  if ngx.req.get_method() ~= "POST" then
    return answer(200, { orders = state:get("orders") or 0, uri = ngx.var.request_uri })
  end
  ngx.req.read_body()
  local number = state:incr("orders", 1, 0)
  ngx.sleep(0.2)
  ngx.header["Set-Cookie"] = { "order=" .. number, "seen=1" }
  answer(201, { order = number, received = ngx.req.get_body_data() })
end

local BEHAVIOURS = { well = true, losing = true, down = true, refusing = true }

--- From now on the bank behaves so.
function backends.behave()
  local wanted = ngx.var.arg_is
  if ngx.req.get_method() ~= "POST" or not BEHAVIOURS[wanted] then
    return answer(400, { error = "POST /behaviour?is=well, losing, down or refusing" })
  end
  state:set("behaviour", wanted)
  answer(200, wanted)
end

function backends.tell_counters()
  answer(200, {
    asked = state:get("asked") or 0,
    charges = state:get("charges") or 0,
    orders = state:get("orders") or 0,
  })
end

return backends
