--- The faults of the fault matrix: what the misbehaving server is told to do, and what a call then
--- comes to. One table for the specs (spec/fault_matrix_spec.lua, spec/nginx/fault_matrix_spec.lua)
--- and for the page docs/faults.md (`make docs`).
--
-- A row says what happens, and then, by name:
--
--   at           where the call goes: a port of the server ("plain" unless it is said), "nowhere",
--                or "plain, as https" and "good, as http": that port, by the wrong scheme
--   path         of the request
--   accepts      what befalls connections to the port "flaky"
--   streams      what befalls streams of HTTP/2 (at "h2", unless it is said)
--   first        a call that goes well before, over the same connection: its path
--   idle         that connection has ended when the call begins
--   limit        the limit of time that is short in this call
--   bytes        of the request's body, for the methods that have one
--
--   is           what each attempt comes to: a status, or an error with its phase
--   may_be       or else that: who was faster decides
--   repeated     "always", "safe" (what may be repeated) or "never", where REPEATED says otherwise
--   heals        the status that the attempt after the first one gets
--   head         what HEAD gets, which has no body
--   no_content   what a request without a body gets
--   requests     that the server sees for each attempt; 1 where there is a path, else 0
--   connection   "kept" or "closed": may the next call use it?
--   kept_by_head the connection is kept where the answer went to HEAD

local faults = {}

--- By what an attempt came to: is another one made? Safe: where the request may be repeated.
faults.REPEATED = {
  resolve = "always", connect = "always", ["timeout connect"] = "always", tls = "always",
  ["timeout write"] = "safe", ["timeout read"] = "safe", ["timeout attempt"] = "safe",
  reset = "safe", protocol = "safe",
  ["timeout total"] = "never", too_large = "never", redirect = "never",
}

faults.METHODS = { "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH" }

faults.groups = {
  {
    name = "connecting",
    { "the name has no address", at = "nowhere", is = "resolve" },
    { "nobody listens", at = "refused", is = "connect" },
    { "connecting does not end: the server's queue is full", at = "stall", limit = "connect",
      is = "timeout connect" },
    { "accepted, and reset at once", at = "flaky", accepts = "reset *", is = "reset",
      may_be = "connect" },
    { "accepted, and closed at once", at = "flaky", accepts = "close *", is = "reset",
      may_be = "connect" },
    { "accepted, then silence", at = "flaky", accepts = "stall *", limit = "read",
      is = "timeout read" },
    { "http to a port that speaks TLS", at = "good, as http", is = "reset" },
  },
  {
    name = "TLS",
    { "the certificate is signed by itself", at = "selfsigned", is = "tls", repeated = "never" },
    { "the certificate is another host's", at = "wrongname", is = "tls", repeated = "never" },
    { "the certificate has expired", at = "expired", is = "tls", repeated = "never" },
    { "a client certificate is demanded, and there is none", at = "clientauth", is = "tls",
      repeated = "never" },
    { "nothing newer than TLS 1.1 is spoken", at = "tls11", is = "tls" },
    { "plain text in answer to the handshake", at = "plain, as https", is = "tls" },
    { "garbage in answer to the handshake", at = "tlsgarbage", is = "tls" },
    { "the connection is reset in the handshake", at = "tlscut", is = "tls" },
    { "silence in the handshake", at = "tlsstall", limit = "connect", is = "timeout connect" },
    { "cut in the head, without a close_notify", at = "good", path = "/close?at=headers&abrupt=1",
      is = "reset" },
    { "cut in the body, without a close_notify", at = "good", path = "/close?at=body&abrupt=1",
      is = "reset", head = 200 },
    { "reset in the body, over TLS", at = "good", path = "/reset?at=body", is = "reset",
      head = 200 },
  },
  {
    name = "breaking off",
    { "reset before the request was read", path = "/reset?at=accept", is = "reset" },
    { "reset in place of an answer", path = "/reset", is = "reset" },
    { "reset in the head", path = "/reset?at=headers", is = "reset" },
    { "reset in the body", path = "/reset?at=body", is = "reset", head = 200 },
    { "closed before the request was read", path = "/close?at=accept", is = "reset" },
    { "closed in place of an answer", path = "/close", is = "reset" },
    { "closed in the head", path = "/close?at=headers", is = "reset" },
    { "closed in the body", path = "/close?at=body", is = "reset", head = 200 },
    { "closed before the last chunk", path = "/chunked?broken=end", is = "reset", head = 200,
      kept_by_head = true },
    { "a used connection is closed when the request comes", first = "/keepalive?next=close",
      path = "/echo", is = "reset", heals = 200 },
    { "a used connection is reset when the request comes", first = "/keepalive?next=reset",
      path = "/echo", is = "reset", heals = 200 },
    { "a used connection was closed before the call", first = "/keepalive?close_idle=1",
      idle = true, path = "/echo", is = 200, connection = "kept" },
    { "an answer before the request was read, then a reset", path = "/early?status=413&rude=1",
      is = 413 },
  },
  {
    name = "silence",
    { "silence in place of an answer", path = "/slow?headers=60", limit = "read",
      is = "timeout read" },
    { "silence in the head", path = "/slow?head_byte=60", limit = "read", is = "timeout read" },
    { "silence in the body", path = "/slow?body=60", limit = "read", is = "timeout read",
      head = 200, kept_by_head = true },
    { "silence after half of the announced length", path = "/short?end=stall", limit = "read",
      is = "timeout read", head = 200, kept_by_head = true },
    { "silence between chunks", path = "/drip?every=60", limit = "read", is = "timeout read",
      head = 200, kept_by_head = true },
    { "the request's body is not read", path = "/stallread?for=0.3", bytes = 8000000,
      limit = "write", is = "timeout write", no_content = "timeout read" },
    { "a head that drips, under `timeout.attempt`", first = "/echo",
      path = "/slow?head_byte=0.01", limit = "attempt", is = "timeout attempt" },
    { "a body that drips without end, under `timeout.attempt`", first = "/echo",
      path = "/drip?endless=1&every=0.01", limit = "attempt", is = "timeout attempt", head = 200,
      kept_by_head = true },
    { "a body that drips without end, under `timeout.total`", first = "/echo",
      path = "/drip?endless=1&every=0.01", limit = "total", is = "timeout total", head = 200,
      kept_by_head = true },
    { "interim answers that drip without end, under `timeout.total`", first = "/echo",
      path = "/informational?endless=1&every=0.01", limit = "total", is = "timeout total" },
  },
  {
    name = "garbage",
    { "bytes that are no HTTP", path = "/garbage", is = "protocol" },
    { "a body without a head (HTTP/0.9)", path = "/http09", is = "protocol" },
    { "a version that does not exist", path = "/garbage?kind=version", is = "protocol" },
    { "a status that is no number", path = "/garbage?kind=code", is = "protocol" },
    { "a header without a colon", path = "/garbage?kind=header", is = "protocol" },
    { "a change of protocol that nobody has asked for", path = "/informational?status=101",
      is = "protocol" },
    { "a chunk's size that is no number", path = "/chunked?broken=size", is = "protocol",
      head = 200, kept_by_head = true },
    { "a chunk's size that is too large a number", path = "/chunked?broken=huge", is = "protocol",
      head = 200, kept_by_head = true },
    { "a chunk that is longer than its size", path = "/chunked?broken=data", is = "protocol",
      head = 200, kept_by_head = true },
    { "a compressed body that is none", path = "/gzip?broken=data", is = "protocol", head = 200,
      kept_by_head = true },
    { "a compressed body with a wrong checksum", path = "/gzip?broken=crc", is = "protocol",
      head = 200, kept_by_head = true },
    { "a compressed body in another format than it says", path = "/gzip?encoding=deflate",
      is = "protocol", head = 200, kept_by_head = true },
    { "a compressed body that was cut before it was sent", path = "/gzip?broken=truncated",
      is = 200, connection = "kept" },
  },
  {
    name = "wrong lengths",
    { "a body shorter than its Content-Length, then closed", path = "/short", is = "reset",
      head = 200, kept_by_head = true },
    { "a body shorter than its Content-Length, then reset", path = "/short?end=reset",
      is = "reset", head = 200, kept_by_head = true },
    { "a body longer than its Content-Length", path = "/surplus", is = 200 },
    { "a second answer behind the first", path = "/surplus?kind=answer", is = 200 },
    { "a body with a 204", path = "/surplus?status=204", is = 204 },
    { "a second answer behind a 204", path = "/surplus?status=204&kind=answer", is = 204 },
    { "a second answer behind a 304", path = "/surplus?status=304&kind=answer", is = 304 },
    { "a second answer behind the last chunk", path = "/surplus?chunked=1&kind=answer", is = 200 },
    { "a second answer behind an empty one", path = "/surplus?body=&kind=answer", is = 200 },
    { "a Content-Length that is no number", path = "/garbage?kind=length", is = "protocol" },
    { "a negative Content-Length", path = "/garbage?kind=negative", is = "protocol" },
    { "two Content-Lengths that differ", path = "/garbage?kind=lengths", is = "protocol",
      head = 200 },
    { "two Content-Lengths in one field", path = "/garbage?kind=list", is = "protocol",
      head = 200 },
    { "a Content-Length with a sign", path = "/garbage?kind=plus", is = "protocol", head = 200 },
    { "chunks and a Content-Length", path = "/garbage?kind=both&keep=1", is = 200 },
    { "chunks by HTTP/1.0", path = "/garbage?kind=old&keep=1", is = 200 },
  },
  {
    name = "without measure",
    { "headers without end", path = "/headers?endless=1", is = "too_large" },
    { "one header without end", path = "/headers?endless=1&one=1", is = "too_large" },
    { "interim answers without end", path = "/informational?endless=1", is = "too_large" },
    { "an announced length above the limit", path = "/big?bytes=200000", is = "too_large",
      head = 200, kept_by_head = true },
    { "an announced length of 23 digits", path = "/garbage?kind=huge", is = "too_large",
      head = 200 },
    { "trailers without end", path = "/chunked?broken=trailers", is = "too_large", head = 200,
      kept_by_head = true },
    { "a chunk's extension without end, under `timeout.attempt`", first = "/echo",
      path = "/chunked?broken=extension", limit = "attempt", is = "timeout attempt", head = 200,
      kept_by_head = true },
    { "chunks without end", path = "/big?endless=1&length=0", is = "too_large", head = 200,
      kept_by_head = true },
    { "a body that only the connection's end would end", path = "/big?endless=1&length=close",
      is = "too_large", head = 200 },
    { "a compressed body that grows a thousand times", path = "/gzip?bytes=2000000",
      is = "too_large", head = 200, kept_by_head = true },
  },
  {
    name = "redirects",
    { "a redirect to itself", path = "/redirect?loop=1&status=307", is = "redirect",
      requests = 6 },
    { "a redirect to a file", path = "/redirect?to=file:///etc/passwd", is = "redirect" },
    { "a redirect to ftp", path = "/redirect?to=ftp://localhost/", is = "redirect" },
    { "a redirect to gopher", path = "/redirect?to=gopher://localhost/", is = "redirect" },
    { "a redirect with a password in it", path = "/redirect?to=http://user:word@localhost/",
      is = "redirect" },
    { "a redirect to an empty place", path = "/status/302?header=Location:", is = "redirect" },
    { "a redirect to two places", path = "/status/302?header=Location:/a&header=Location:/b",
      is = "redirect" },
    { "a redirect to a host that is not there",
      path = "/redirect?status=307&to=http://nobody.invalid/", is = "resolve", repeated = "safe",
      connection = "kept" },
  },
  {
    name = "HTTP/2",
    { "the stream is refused", streams = "refuse *", is = "reset", repeated = "always" },
    { "the stream is refused on a used connection", first = "/", streams = "refuse *",
      is = "reset" },
    { "GOAWAY, and the stream was not processed", streams = "goaway *", is = "reset",
      repeated = "always" },
    { "GOAWAY on a used connection, and the stream was not processed", first = "/",
      streams = "goaway *", is = "reset", repeated = "always" },
    { "GOAWAY, and the stream is answered", streams = "graceful *", is = 200 },
    { "the stream is reset: calm down", streams = "calm *", is = "reset", connection = "kept" },
    { "the stream is reset in place of an answer", streams = "reset *", is = "reset",
      connection = "kept" },
    { "the stream is reset in the body", streams = "partial *", is = "reset", head = 200,
      connection = "kept" },
    { "the connection is closed in place of an answer", streams = "drop *", is = "reset" },
    { "the connection is reset in place of an answer", streams = "kill *", is = "reset" },
    { "a used connection is reset in place of an answer", first = "/", streams = "kill *",
      is = "reset" },
    { "frames that are none", streams = "garbage *", is = "reset" },
    { "headers without end, by HTTP/2", streams = "flood *", is = "too_large" },
    { "headers without end, on a used connection", first = "/", streams = "flood *",
      is = "too_large" },
    { "silence in a stream", streams = "stall *", limit = "read", is = "timeout read",
      connection = "kept" },
    { "an answer that comes when the next call has begun", streams = "late *", limit = "read",
      is = "timeout read", connection = "kept" },
  },
}

-- What a row need not say.
local function complete(fault, group)
  fault.name, fault.group = fault[1], group.name
  fault.at = fault.at or (fault.streams and "h2") or "plain"
  fault.requests = fault.requests or (fault.path and 1) or 0
  fault.connection = fault.connection or "closed"
  return fault
end

faults.list = {}
for _, group in ipairs(faults.groups) do
  for _, fault in ipairs(group) do
    faults.list[#faults.list + 1] = complete(fault, group)
  end
end

--- Methods whose requests have a body here.
faults.HAS_BODY = { POST = true, PUT = true, PATCH = true }

local MAY_BE_REPEATED = { GET = true, HEAD = true, PUT = true, DELETE = true, OPTIONS = true }

--- What each attempt of that method comes to: a status, or an error with its phase.
---@return integer|string
function faults.outcome(fault, method)
  if method == "HEAD" and fault.head then
    return fault.head
  end
  return not faults.HAS_BODY[method] and fault.no_content or fault.is
end

--- Is another attempt made after one that came to that?
---@return boolean
function faults.is_repeated(fault, method, outcome)
  local when = outcome == fault.is and fault.repeated or faults.REPEATED[outcome] or "never"
  return when == "always" or (when == "safe" and MAY_BE_REPEATED[method] == true)
end

--- May the same call be made again, by the error that it ended in?
---@return boolean
function faults.is_retryable(fault, method, outcome)
  if outcome == "timeout total" then
    return MAY_BE_REPEATED[method] == true
  end
  return faults.is_repeated(fault, method, outcome)
end

--- May the next call use the connection?
---@return boolean
function faults.is_kept(fault, method)
  return fault.connection == "kept" or (method == "HEAD" and fault.kept_by_head == true)
end

return faults
