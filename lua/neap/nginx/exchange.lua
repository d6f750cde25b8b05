--- The request that nginx handles, as a table, and its answer, as nginx sends it.
local add_header = require("ngx.resp").add_header
local answer = require "neap.answer"
local core = require "neap.core"

local exchange = {}

-- Of one connection, not of the answer (RFC 9110, 7.6.1); and what nginx itself writes.
local HOP_BY_HOP = {
  ["connection"] = true,
  ["keep-alive"] = true,
  ["proxy-authenticate"] = true,
  ["proxy-authorization"] = true,
  ["proxy-connection"] = true,
  ["te"] = true,
  ["trailer"] = true,
  ["transfer-encoding"] = true,
  ["upgrade"] = true,
}

-- ------------------------------------------------------------------------------------ the request

--- Method, path and headers: what is known before the body has been read.
---@return neap.ServedRequest
function exchange.head()
  local headers = {}
  for name, value in pairs(ngx.req.get_headers(0)) do
    headers[name] = value
  end
  return {
    method = ngx.req.get_method(),
    path = ngx.var.request_uri,
    headers = core.headers_table(headers),
  }
end

local function read_file(path)
  local file, why = io.open(path, "rb")
  if not file then
    return nil, why
  end
  local body, reason = file:read("*a")
  file:close()
  return body, reason
end

--- The whole body. Ends the request where nginx refuses it (413) or the client goes away; nil and
--- why where what nginx has put into a file cannot be read.
---@return string? body
---@return string? why
function exchange.body()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if body then
    return body
  end
  local path = ngx.req.get_body_file()
  if not path then
    return ""
  end
  return read_file(path)
end

-- ------------------------------------------------------------------------------------- the answer

-- The names that Connection lists are of the connection too.
local function names_of_connection(headers)
  local names = {}
  for _, value in ipairs(answer.values(headers, "Connection")) do
    for name in value:gmatch("[^%s,]+") do
      names[name:lower()] = true
    end
  end
  return names
end

--- The headers that belong to the answer, as pairs: not those of the connection, nor its length.
---@param headers? table
---@return string[][]
function exchange.lasting(headers)
  local flat, lasting = answer.flatten(headers) or {}, {}
  local listed = names_of_connection(headers)
  for index = 1, #flat, 2 do
    local name = flat[index]:lower()
    if not HOP_BY_HOP[name] and not listed[name] and name ~= "content-length" then
      lasting[#lasting + 1] = { flat[index], flat[index + 1] }
    end
  end
  return lasting
end

-- What a handler says of a body that HEAD does not send is its own affair.
local function length_of(res)
  local said = ngx.req.get_method() == "HEAD" and answer.values(res.headers, "Content-Length")[1]
  return said or #res.body
end

local HAS_NO_LENGTH = { [204] = true, [304] = true }

--- Sends it. False where the headers have been sent by somebody else.
---@param res neap.Answer
---@return boolean
function exchange.send(res)
  if ngx.headers_sent then
    return false
  end
  ngx.status = res.status
  ngx.header["Content-Type"] = nil -- or nginx puts its own in the place of none
  for _, pair in ipairs(exchange.lasting(res.raw_headers)) do
    add_header(pair[1], pair[2])
  end
  if not HAS_NO_LENGTH[res.status] then
    ngx.header["Content-Length"] = length_of(res)
  end
  ngx.send_headers()
  if res.body ~= "" then
    ngx.print(res.body)
  end
  return true
end

-- ---------------------------------------------------------------------------------------- pages

local READING = { GET = true, HEAD = true }

--- Answers a request for a page of neap's own: what `make` returns, or 405 to what is no GET or
--- HEAD.
---@param content_type string
---@param make fun(): string
function exchange.send_page(content_type, make)
  if not READING[ngx.req.get_method()] then
    ngx.header["Allow"] = "GET, HEAD"
    ngx.header["Content-Type"] = "text/plain"
    ngx.status = 405
    return ngx.print("GET or HEAD\n")
  end
  local text = make()
  ngx.header["Content-Type"] = content_type
  ngx.header["Content-Length"] = #text
  ngx.print(text)
end

-- ------------------------------------------------------------------------------------- problems

local PROBLEM = '{"type":"urn:neap:nginx:%s","title":"%s","status":%d,"detail":"%s"}\n'

--- An answer that tells what went wrong (RFC 9457). The texts are ours, and need no escapes.
---@return table
function exchange.problem(status, kind, title, detail)
  return {
    status = status,
    headers = { ["Content-Type"] = "application/problem+json" },
    body = PROBLEM:format(kind, title, status, detail),
  }
end

return exchange
