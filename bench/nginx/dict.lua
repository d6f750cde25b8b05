--- ngx.shared.DICT:incr over 1000 keys, as it is called from Lua: nanoseconds a call.

local KEYS = 1000

local function names()
  local list = {}
  for i = 1, KEYS do
    list[i] = "key " .. i
  end
  return list
end

--- Answers "ns=…" for as many calls as the request's argument `count` asks for.
return function()
  local dict, list = ngx.shared.bench, names()
  local rounds = math.floor(tonumber(ngx.var.arg_count) / KEYS)
  local function repeated(times)
    for _ = 1, times do
      for i = 1, KEYS do
        dict:incr(list[i], 1, 0)
      end
    end
  end
  repeated(math.ceil(rounds / 10))
  ngx.update_time()
  local begun = ngx.now()
  repeated(rounds)
  ngx.update_time()
  ngx.print(("ns=%.3f\n"):format((ngx.now() - begun) / (rounds * KEYS) * 1e9))
end
