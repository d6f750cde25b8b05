--- Each door by which a text of the program or of a server can come into a head of a request, and
--- texts that would become more than they are if they came through.
--
-- A door is called with the address of the misbehaving server and a text; it may raise, and what a
-- call answers is its own affair. What counts is what the server got.
local neap = require "neap"

local doors = {}

--- What must never be seen as more than a part of a value; each would be a header or a request.
doors.SMUGGLED = {
  "x\r\nX-Evil: 1",
  "x\nX-Evil: 1",
  "x\rX-Evil: 1",
  "x\0X-Evil: 1",
  "x HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
  "x\n\tX-Evil: 1",
  "\27[31m",
  "\127",
}

--- What a value of a header may hold (RFC 9110, 5.5), and nothing else in a head.
doors.ODD = { "x\ty", "\195\169", "\255\254" }

local made = 0

local function client(url, policy)
  made = made + 1
  policy.name = policy.name or "door-" .. made
  policy.base_url = policy.base_url or url
  policy.breaker, policy.gate = false, false
  policy.retry = policy.retry or false
  return neap.client(policy)
end

local function from_request(request_of)
  return function(url, text)
    local request = request_of(text)
    request.path = request.path or not request.url and "/echo" or nil
    return client(url, {}):request(request)
  end
end

local function from_policy(policy_of)
  return function(url, text)
    return client(url, policy_of(text, url)):post("/echo", { json = { a = text } })
  end
end

local function from_fallback(request_of)
  return function(url, text)
    local service = client(url, {})
    local main = client(url, { fallback = { { service = service, request = function()
      local request = request_of(text)
      request.path = request.path or "/echo"
      return request
    end } } })
    return main:get("/status/503")
  end
end

local function from_outbox(request_of)
  return function(url, text)
    local outbox = require("neap.outbox").new{
      store = require("neap.store.memory").new{}, client = client(url, {}),
    }
    local request = request_of(text)
    request.method, request.path = request.method or "POST", request.path or "/echo"
    outbox:put(request)
    return outbox:drain()
  end
end

-- From a server no text can come with the end of a line in it.
doors.list = {
  ["a header's value"] = from_request(function(text) return { headers = { ["X-A"] = text } } end),
  ["a value of a list"] = from_request(function(text)
    return { headers = { ["X-A"] = { "a", text } } }
  end),
  ["a header's name"] = from_request(function(text) return { headers = { [text] = "a" } } end),
  ["a cookie"] = from_request(function(text) return { headers = { Cookie = "a=" .. text } } end),
  ["the host"] = from_request(function(text) return { headers = { Host = "h" .. text } } end),
  ["the method"] = from_request(function(text) return { method = text } end),
  ["the path"] = from_request(function(text) return { path = "/echo/" .. text } end),
  ["the path's query"] = from_request(function(text) return { path = "/echo?a=" .. text } end),
  ["a name of the query"] = from_request(function(text) return { query = { [text] = "a" } } end),
  ["a value of the query"] = from_request(function(text) return { query = { a = text } } end),
  ["a name of the form"] = from_request(function(text)
    return { method = "POST", form = { [text] = "a" } }
  end),
  ["a value of the form"] = from_request(function(text)
    return { method = "POST", form = { a = text } }
  end),
  ["JSON"] = from_request(function(text) return { method = "POST", json = { [text] = text } } end),
  ["the body"] = from_request(function(text) return { method = "POST", body = text } end),
  ["a tag"] = from_request(function(text) return { tags = { [text] = text } } end),
  ["the key"] = from_request(function(text)
    return { method = "POST", body = "a", idempotency_key = text }
  end),
  ["the url"] = function(url, text)
    return client(url, {}):request{ url = url .. "/echo/" .. text }
  end,
  ["the url's port"] = function(url, text)
    return client(url, {}):request{ url = url .. (text:gsub("^x", "/")) }
  end,
  ["the way of redirects"] = function(url, text)
    return client(url, {}):get("/redirect", { query = {
      n = 1, to = "/echo/" .. text:gsub("\n", ""),
    } })
  end,
  ["what a server gave to be asked with"] = function(url, text)
    local c = client(url, { cache = true })
    local path = "/status/200?header=Cache-Control:max-age%3D0&header=ETag:%22"
      .. text:gsub("\n", ""):gsub("%W", function(char)
        return ("%%%02x"):format(char:byte())
      end) .. "%22"
    c:get(path)
    return c:get(path)
  end,
  ["base_url"] = from_policy(function(text, url) return { base_url = url .. "/a/" .. text } end),
  ["a header of the policy"] = from_policy(function(text)
    return { headers = { ["X-A"] = text } }
  end),
  ["a header's name of the policy"] = from_policy(function(text)
    return { headers = { [text] = "a" } }
  end),
  ["the name of the client"] = from_policy(function(text) return { name = text } end),
  ["deadline_header"] = from_policy(function(text) return { deadline_header = text } end),
  ["idempotency.header"] = from_policy(function(text)
    return { idempotency = { header = text } }
  end),
  ["idempotency.prefix"] = from_policy(function(text)
    return { idempotency = { prefix = text } }
  end),
  ["the function that makes keys"] = from_policy(function(text)
    return { idempotency = { quoted = true, from = function() return text end } }
  end),
  ["the field that keys are made from"] = from_policy(function()
    return { idempotency = { from = { "a" } } }
  end),
  ["the keys of breaker and gate"] = from_policy(function(text)
    return { breaker = { key = function() return text end }, gate = { key = function()
      return text
    end } }
  end),
  ["the header of a trace"] = from_policy(function(text)
    return { trace = function() return { traceparent = text, [text] = "a" } end }
  end),
  ["the files of TLS"] = from_policy(function(text)
    return { tls = { ca_file = text, ca_path = text, cert = text, key = text } }
  end),
  ["a proxy's path"] = from_policy(function(text, url) return { proxy = url .. "/" .. text } end),
  ["a proxy's user"] = from_policy(function(text, url)
    return { proxy = (url:gsub("//", "//" .. text .. ":" .. text .. "@")) }
  end),
  ["a proxy's encoded user"] = from_policy(function(text, url)
    local encoded = text:gsub(".", function(c) return ("%%%02X"):format(c:byte()) end)
    return { proxy = "http://" .. encoded .. ":" .. encoded .. "@" .. url:match("//(.*)") }
  end),
  ["a refreshed header"] = function(url, text)
    return client(url, { retry = { max_attempts = 2, refresh = function()
      return { Authorization = "Bearer " .. text }
    end } }):get("/auth?token=good")
  end,
  ["a fallback's path"] = from_fallback(function(text) return { path = "/echo/" .. text } end),
  ["a fallback's method"] = from_fallback(function(text) return { method = text } end),
  ["a fallback's header"] = from_fallback(function(text)
    return { headers = { ["X-A"] = text } }
  end),
  ["a fallback's header's name"] = from_fallback(function(text)
    return { headers = { [text] = "a" } }
  end),
  ["a path of the outbox"] = from_outbox(function(text) return { path = "/echo/" .. text } end),
  ["a method of the outbox"] = from_outbox(function(text) return { method = text } end),
  ["a header of the outbox"] = from_outbox(function(text)
    return { headers = { ["X-A"] = text } }
  end),
  ["a header's name of the outbox"] = from_outbox(function(text)
    return { headers = { [text] = "a" } }
  end),
  ["a key of the outbox"] = from_outbox(function(text) return { idempotency_key = text } end),
  ["a query of the outbox"] = from_outbox(function(text) return { query = { [text] = text } } end),
}

--- Tries each door, or those whose names are given, with each text; what they answer is forgotten.
---@param url string
---@param texts string[]
function doors.try_all(url, texts)
  for _, door in pairs(doors.list) do
    for _, text in ipairs(texts) do
      pcall(door, url, text)
    end
  end
end

--- What is wrong with a request as a server got it: nil, or words. `headers` is a list of pairs.
---@param method string
---@param target string
---@param headers string[][]
---@return string|nil
function doors.flaw(method, target, headers)
  if not method:match("^[%w!#$%%&'*+.^_`|~-]+$") then
    return ("the method %q"):format(method)
  elseif not target:match("^[!-~]+$") or target:find("^/evil") then
    return ("the target %q"):format(target)
  end
  for _, header in ipairs(headers) do
    local name, value = header[1], header[2]
    if not name:match("^[%w!#$%%&'*+.^_`|~-]+$") or name:lower() == "x-evil" then
      return ("the header's name %q"):format(name)
    elseif value:find("[%z\1-\8\10-\31\127]") then
      return ("the value %q of %s"):format(value, name)
    end
  end
end

return doors
