--- What the words of a trace mean, in a sentence each, and where the documents say more.
local reasons = {}

--- Why an attempt failed, by the kind of its error.
reasons.errors = {
  resolve = "the name of the server has no address; nothing was sent (docs/errors.md)",
  connect = "no connection came about; nothing was sent (docs/errors.md)",
  tls = "the TLS handshake or a certificate failed; nothing was sent (docs/errors.md)",
  reset = "the connection ended before the answer did; the server may have done the work",
  protocol = "what came back is no HTTP, or contradicts itself (docs/errors.md)",
  too_large = "the answer is larger than max_response_bytes or max_header_bytes allow",
  redirect = "a redirect could not be followed (docs/transport.md)",
  cancelled = "the client was closed meanwhile",
  phase = "the host cannot wait where the call was made (docs/openresty.md)",
  error = "the function failed",
}

--- Which limit ran out, by the phase of a timeout.
reasons.phases = {
  connect = "no connection within timeout.connect; nothing was sent",
  write = "the request could not be sent on for timeout.write",
  read = "the server was silent for timeout.read",
  attempt = "the attempt took longer than timeout.attempt",
  total = "the call took longer than timeout.total, or its deadline came",
}

--- What was waited for, by the reason of a wait.
reasons.waits = {
  backoff = "the backoff before the next attempt (retry.backoff)",
  retry_after = "the server said when to come back, in Retry-After (retry.honor_retry_after)",
  gate = "the server has told somebody to come back later, and all wait for it (docs/gate.md)",
  rate_limit = "the client's own rate_limit",
  bulkhead = "a place in the bulkhead",
}

--- Why a policy of the client refused an attempt, by the reason of the entry.
reasons.rejections = {
  breaker_open = "the circuit breaker is open: the server has failed too often (docs/breaker.md)",
  gate = "the server's moment is further away than gate.max_wait or the deadline",
  rate_limited = "the rate limit leaves no room within rate_limit.max_wait or the deadline",
  bulkhead_full = "all places of the bulkhead are taken, for longer than bulkhead.max_wait",
  deadline = "no time was left to try",
}

--- Why the call was not tried again, by the reason of its last attempt.
reasons.stops = {
  attempts = "no attempt was left (retry.max_attempts), or the only retry for this status is spent",
  not_replayable = "to repeat the request might do its work twice: give it an idempotency key",
  breaker_open = "the circuit breaker has opened, and will be open when the wait ends",
  server_delay = "the server asks for more patience than retry.max_server_delay",
  deadline = "the next attempt would begin after the deadline",
  budget = "the retry budget has nothing left: too many calls fail (docs/limits.md)",
  gate = reasons.rejections.gate,
  rate_limited = reasons.rejections.rate_limited,
  bulkhead_full = reasons.rejections.bulkhead_full,
}

return reasons
