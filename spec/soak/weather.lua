--- What the upstream does to the attempts of each client: scripts of the misbehaving server, drawn
--- from a seed, that begin anew when they are through.
--
-- The weather changes: hundreds of attempts of which few go wrong, then a dozen or two of which
-- most do, so that breakers open and close. `{query}` has the answer name the request it is for.
local dice = require "spec.soak.dice"

local weather = {}

local FAIR = {
  { 30, "/status/200?{query}" },
  { 25, "/status/200?after=0.02&{query}" },
  { 12, "/status/200?after=0.1&{query}" },
  { 6, "/slow?headers=0.05&{query}" },
  { 5, "/drip?bytes=8&every=0.01&{query}" },
  { 6, "/chunked?bytes=3000&chunk=500&{query}" },
  { 6, "/gzip?bytes=20000&{query}" },
  { 3, "/big?bytes=100000&{query}" },
  { 2, "/informational?n=2&{query}" },
  { 4, "/status/404?{query}" },
}

local FOUL = {
  { 8, "/status/503?{query}" },
  { 3, "/status/503?header=Retry-After:1&{query}" },
  { 4, "/status/500?{query}" },
  { 3, "/status/502?{query}" },
  { 2, "/status/429?{query}" },
  { 5, "/reset?at=request" },
  { 2, "/reset?at=accept" },
  { 2, "/reset?at=headers" },
  { 2, "/reset?at=body&{query}" },
  { 2, "/close?at=headers" },
  { 2, "/close?at=body&{query}" },
  { 2, "/short?declared=100&sent=50&end=close&{query}" },
  { 1, "/short?declared=100&sent=50&end=reset&{query}" },
  { 1, "/short?declared=100&sent=50&end=stall&{query}" },
  { 2, "/short?declared=10&sent=40&end=keep&{query}" },
  { 3, "/slow?headers=5&{query}" },
  { 1, "/slow?head_byte=0.3&{query}" },
  { 1, "/drip?endless=1&every=0.05&{query}" },
  { 1, "/big?endless=1&length=0&{query}" },
  { 1, "/gzip?broken=data&{query}" },
  { 1, "/gzip?broken=truncated&{query}" },
  { 1, "/gzip?bytes=50000000&{query}" },
  { 1, "/chunked?broken=size&{query}" },
  { 1, "/chunked?broken=end&{query}" },
  { 1, "/headers?bytes=200000" },
  { 1, "/http09" },
  { 1, "/redirect?to=/redirect%3Floop=1" },
  { 1, "/garbage?kind=binary" },
  { 1, "/garbage?kind=version" },
  { 1, "/garbage?kind=header" },
  { 1, "/garbage?kind=negative" },
  { 1, "/garbage?kind=lengths" },
}

local PAID = {
  { 50, "/payments?{query}" },
  { 30, "/payments?delay=0.05&{query}" },
}

local LOST = {
  { 4, "/payments?lose=after&{query}" },
  { 2, "/payments?lose=after&how=close&{query}" },
  { 2, "/payments?lose=after&how=503&{query}" },
  { 1, "/payments?lose=after&how=stall&for=1&{query}" },
  { 2, "/payments?fail=before&{query}" },
  { 2, "/status/503?{query}" },
  { 1, "/reset?at=accept" },
}

local OPEN = { { 96, "/status/200?{query}" } }

local NOT_BEFORE = {
  { 2, "/status/429?header=Retry-After:1&{query}" },
  { 1, "/status/503?header=Retry-After:1&{query}" },
  { 1, "/status/200?header=X-RateLimit-Remaining:0&header=X-RateLimit-Reset:1&{query}" },
}

local STREAMS = {
  { 50, "answer" },
  { 25, "slow", 0.05 },
  { 3, "status", 503 },
  { 1, "status", 404 },
}

local BROKEN_STREAMS = {
  { 2, "refuse" },
  { 1, "calm" },
  { 2, "goaway" },
  { 2, "graceful" },
  { 2, "reset" },
  { 2, "partial" },
  { 1, "drop" },
  { 1, "kill" },
  { 1, "garbage" },
  { 1, "slow", 5 },
}

local LINES = 1500

-- Of 100 attempts so many go wrong, while it is fair and in a storm.
local KINDS = {
  api = { FAIR, FOUL, 8, 75 },
  payments = { PAID, LOST, 12, 60 },
  items = { FAIR, FOUL, 6, 50 },
  gated = { OPEN, NOT_BEFORE, 1, 3 },
  spare = { FAIR, FOUL, 5, 30 },
  streams = { STREAMS, BROKEN_STREAMS, 5, 50 },
}

local function line_of(entry)
  return entry[3] and ("%s 1 %g"):format(entry[2], entry[3]) or entry[2]
end

--- The lines of a script of that kind: api, payments, items, gated, spare, or streams (of HTTP/2).
---@return string[]
function weather.script(kind, seed, stream)
  local fair, foul, share, share_in_storm = table.unpack(KINDS[kind])
  local roll, lines = dice.new(seed, stream), {}
  local left, is_storm = 0, true
  while #lines < LINES do
    if left == 0 then
      is_storm = not is_storm
      left = is_storm and 10 + roll(20) or 100 + roll(200)
    end
    left = left - 1
    local is_foul = roll(100) <= (is_storm and share_in_storm or share)
    lines[#lines + 1] = line_of(dice.pick(roll, is_foul and foul or fair))
  end
  lines[#lines + 1] = "again"
  return lines
end

--- Where no connection comes about, as URLs: names without an address, ports at which nobody
--- listens, and handshakes of TLS that go wrong. What the names come to, spec/support/names.c says.
--- Not the port that wants a certificate: by TLS 1.3 a request may be under way when it is refused.
---@param upstream table the misbehaving server
---@return string[]
function weather.dead_ends(upstream)
  local tls = upstream.tls
  return { upstream.refused, upstream.stall, "http://nobody.invalid", "http://later.invalid",
    "http://slow.invalid", tls.selfsigned, tls.wrongname, tls.expired, tls.tls11,
    tls.tlsgarbage, tls.tlscut, tls.tlsstall, "https://127.0.0.1:" .. upstream.ports.plain }
end

return weather
