--- The API behind the gateway: it behaves as it was told last, and counts what reaches it.
local cjson = require "cjson.safe"

local upstream = {}

local state = ngx.shared.flaky_upstream

local function answer_well()
  state:incr("answered", 1, 0)
  ngx.header["Content-Type"] = "application/json"
  ngx.say(cjson.encode{ EUR = 0.92, path = ngx.var.uri })
end

local function fail()
  state:incr("failed", 1, 0)
  ngx.status = 503
  ngx.say("down for maintenance")
end

local behaviours = {
  well = answer_well,
  down = fail,
  flaky = function(number) -- every third request fails
    if number % 3 == 0 then
      return fail()
    end
    answer_well()
  end,
  slow = function()
    ngx.sleep(0.5)
    answer_well()
  end,
}

function upstream.answer()
  local number = state:incr("requests", 1, 0)
  behaviours[state:get("behaviour") or "well"](number)
end

--- From now on it behaves so.
function upstream.behave()
  local wanted = ngx.var.arg_is
  if ngx.req.get_method() ~= "POST" or not behaviours[wanted] then
    ngx.status = 400
    return ngx.say("POST /behaviour?is=well, flaky, slow or down")
  end
  state:set("behaviour", wanted)
  ngx.say(wanted)
end

function upstream.tell_counters()
  ngx.header["Content-Type"] = "application/json"
  ngx.say(cjson.encode{
    requests = state:get("requests") or 0,
    answered = state:get("answered") or 0,
    failed = state:get("failed") or 0,
  })
end

return upstream
