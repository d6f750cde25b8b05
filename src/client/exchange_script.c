/* Scripted replies: when they come, and which limit they pass. */
#include "base/duration.h"
#include "client/exchange_internal.h"

/* What an attempt may last before silence ends it, and how that is called. */
static int64_t limit_of(const struct neap_exchange *exchange, const struct neap_outcome *outcome,
                        enum neap_phase *phase)
{
    const struct neap_timeouts *timeout = &exchange->call.setup.timeout;
    bool connecting = outcome->kind == NEAP_KIND_RESOLVE || outcome->kind == NEAP_KIND_CONNECT ||
                      outcome->kind == NEAP_KIND_TLS || outcome->phase == NEAP_PHASE_CONNECT;
    if (connecting) {
        *phase = NEAP_PHASE_CONNECT;
        return timeout->connect_ns;
    }
    *phase = outcome->phase == NEAP_PHASE_WRITE ? NEAP_PHASE_WRITE : NEAP_PHASE_READ;
    return *phase == NEAP_PHASE_WRITE ? timeout->write_ns : timeout->read_ns;
}

static int64_t default_after(const struct neap_outcome *outcome, int64_t limit_ns)
{
    if (outcome->kind != NEAP_KIND_TIMEOUT)
        return 0;
    bool by_call = outcome->phase == NEAP_PHASE_ATTEMPT || outcome->phase == NEAP_PHASE_TOTAL;
    return by_call ? NEAP_NEVER : limit_ns;
}

enum neap_status neap_exchange_reply(struct neap_exchange *exchange, uint32_t attempt,
                                     int64_t after_ns, const struct neap_outcome *outcome,
                                     struct neap_response *response)
{
    struct neap_flight *flight = neap_exchange_take_attempt(exchange, attempt);
    struct neap_loop *loop = exchange->client->engine->loop;
    enum neap_phase phase;
    if (!flight) {
        neap_response_free(response);
        return NEAP_OK;
    }
    int64_t limit_ns = limit_of(exchange, outcome, &phase);
    if (after_ns < 0)
        after_ns = default_after(outcome, limit_ns);
    flight->outcome = *outcome;
    flight->response = response;
    if (after_ns > limit_ns && after_ns != NEAP_NEVER) {
        neap_response_free(response);
        flight->response = NULL;
        flight->outcome = neap_phase_outcome(phase);
        after_ns = limit_ns;
    }
    return neap_loop_set(loop, &flight->timer, neap_time_add(neap_loop_now(loop), after_ns));
}
