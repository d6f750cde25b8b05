--- The load: so many calls a second to the gateway in nginx, each on a connection of its own, by
--- plain sockets; some of the callers hang up.
--
-- Usage: load.lua RESULT PORT SEED RATE SECONDS
--
-- Each caller looks at its answer: that it is one, whole, in time, and for the token that it sent.
-- What came of all is written to RESULT as JSON, at the end.
local cjson = require "cjson"
local socket = require "socket"

local dice = require "spec.soak.dice"
local tally = require "spec.soak.tally"

local path, port, seed, rate, seconds = arg[1], tonumber(arg[2]), tonumber(arg[3]),
  tonumber(arg[4]), tonumber(arg[5])

local PATIENCE = 15 -- seconds for an answer; who has none then is lost
local AT_ONCE = 800 -- select() can watch no more than 1024
local EXAMPLES = 20

-- Of 100 calls so many are for each client; of 100 callers so many hang up.
local KINDS = {
  { 38, "api", hang_up = 12 },
  { 20, "payments", hang_up = 8 },
  { 15, "items" },
  { 8, "gated" },
  { 6, "nowhere" },
  { 7, "guarded" },
  { 6, "streams", hang_up = 8 },
}

local roll = dice.new(seed, 1)
local open, open_count, number = {}, 0, 0
local result = { sent = {}, answered = {}, hung_up = {}, goodbyes = {}, cuts = {}, counts = {},
  paid_keys = {}, unanswered = { count = 0, examples = {} },
  wrong = { count = 0, examples = {} }, worst = 0, stall = 0, skipped = 0 }

-- All are counted, some are kept.
local function note(what, ...)
  local list = result[what]
  list.count = list.count + 1
  if #list.examples < EXAMPLES then
    table.insert(list.examples, string.format(...))
  end
end

-- ------------------------------------------------------------------------------------- one call

local function forget(call)
  call.socket:close()
  open[call.socket] = nil
  open_count = open_count - 1
end

local function begin_call()
  number = number + 1
  local kind = dice.pick(roll, KINDS)
  local hangs_up = roll(100) <= (kind.hang_up or 0)
  local patience = roll(roll(2) == 1 and 4 or 100) / 1000
  local now = socket.gettime()
  local call = { kind = kind[2], number = number, token = ("%d-%d"):format(seed, number),
    began = now, hang_up_at = hangs_up and now + patience or nil, parts = {} }
  call.socket = socket.tcp()
  call.socket:settimeout(0)
  call.socket:connect("127.0.0.1", port) -- goes on by itself; sending waits for it
  open[call.socket] = call
  open_count = open_count + 1
  tally.count(result.sent, call.kind)
end

local function send(call)
  local request = ("GET /call?c=%s&t=%s&n=%d HTTP/1.1\r\nHost: localhost\r\n"
    .. "Connection: close\r\n\r\n"):format(call.kind, call.token, call.number)
  local sent, why = call.socket:send(request)
  if not sent and why ~= "timeout" then
    note("unanswered", "%s %s: %s", call.kind, call.token, why)
    return forget(call)
  end
  assert(sent == #request or not sent)
  call.is_sent = sent ~= nil
end

local function whole_body(text)
  local head, body = text:match("^(HTTP/1%.1 200 .-\r\n\r\n)(.*)$")
  local length = head and tonumber(head:lower():match("content%-length: (%d+)"))
  return length and #body >= length and body, length
end

local function judge(call, text, now)
  local body, length = whole_body(text)
  local told = body and cjson.decode(body:sub(1, length))
  if not told then
    return note("unanswered", "%s %s: %q", call.kind, call.token, text:sub(1, 200))
  end
  if #body > length then
    note("wrong", "%s %s: answered twice", call.kind, call.token)
  end
  if told.token ~= call.token or (told.seen and told.seen ~= told.wanted) then
    note("wrong", "%s %s: has what is for %s, %s", call.kind, call.token, told.token,
      tostring(told.seen))
  elseif told.source == "network" and told.status == 200 and not told.seen then
    note("wrong", "%s %s: from the network, for nobody", call.kind, call.token)
  end
  if call.kind == "payments" and told.status == 201 and call.number % 2 == 0 then
    result.paid_keys[#result.paid_keys + 1] = call.token
  end
  tally.count(result.answered, call.kind)
  result.counts[call.kind] = tally.merge(result.counts[call.kind] or {}, told.counts)
  result.worst = math.max(result.worst, now - call.began)
end

local function is_cut(text)
  return text == "" or not whole_body(text) and not text:find("^HTTP/1%.1 [345]")
end

-- The connection has ended: with the whole answer, or because the worker was killed.
local function finish(call, now)
  local text = table.concat(call.parts)
  forget(call)
  if is_cut(text) then
    result.cuts[#result.cuts + 1] = { began = call.began, at = now, kind = call.kind }
  else
    judge(call, text, now)
  end
end

local function receive(call, now)
  local all, why, part = call.socket:receive(65536)
  call.parts[#call.parts + 1] = all or part
  if not all and why == "closed" then
    finish(call, now)
  end
end

-- ------------------------------------------------------------------------------------- all calls

local function look_at_times(now)
  for _, call in pairs(open) do
    if call.hang_up_at and now >= call.hang_up_at then
      tally.count(result.hung_up, call.kind)
      table.insert(result.goodbyes, { at = now, kind = call.kind })
      forget(call)
    elseif now > call.began + PATIENCE then
      note("unanswered", "%s %s: nothing in %d s", call.kind, call.token, PATIENCE)
      forget(call)
    end
  end
end

local function wait_and_serve(until_time)
  local readers, writers = {}, {}
  for each, call in pairs(open) do
    table.insert(call.is_sent and readers or writers, each)
  end
  local timeout = math.max(0, math.min(0.02, until_time - socket.gettime()))
  if #readers + #writers == 0 then
    return socket.sleep(timeout)
  end
  local readable, writable = socket.select(readers, writers, timeout)
  local now = socket.gettime()
  for _, each in ipairs(writable) do
    send(open[each])
  end
  for _, each in ipairs(readable) do
    receive(open[each], now)
  end
end

-- Who comes late after a standstill makes up for nothing: that would be a herd of our own.
local function pace(state, now)
  if now - state.due > 0.5 then
    result.skipped = result.skipped + math.floor((now - state.due) * rate)
    state.due = now
  end
  while state.due <= now and open_count < AT_ONCE do
    begin_call()
    state.due = state.due + 1 / rate
  end
end

local function run()
  local began = socket.gettime()
  local over, state, last = began + seconds, { due = began }, began
  while true do
    local now = socket.gettime()
    result.stall = math.max(result.stall, now - last)
    last = now
    if now < over then
      pace(state, now)
    elseif open_count == 0 then
      return
    end
    look_at_times(now)
    wait_and_serve(now < over and state.due or now + 0.02)
  end
end

run()
local file = assert(io.open(path, "w"))
file:write(cjson.encode(result))
file:close()
