/* Chaos at the transport's edge: an attempt is late, or something else comes in its place. */
#include <stdio.h>

#include "base/duration.h"
#include "client/exchange_internal.h"

static const struct neap_chaos_policy *chaos_of(const struct neap_exchange *exchange)
{
    return &exchange->client->policy.pipeline.chaos;
}

/* Whether the request was sent is pretended too: a retry is to be decided as if it were real. */
static struct neap_outcome outcome_of(const struct neap_chaos_policy *chaos)
{
    struct neap_outcome outcome = {.kind = chaos->error, .status = (int)chaos->status};
    outcome.unsent = chaos->error == NEAP_KIND_RESOLVE || chaos->error == NEAP_KIND_CONNECT ||
                     chaos->error == NEAP_KIND_TLS;
    if (chaos->error == NEAP_KIND_TIMEOUT)
        return neap_phase_outcome(NEAP_PHASE_READ);
    if (chaos->error != NEAP_KIND_NONE)
        snprintf(outcome.message, sizeof outcome.message, "made by policy.chaos, nothing was sent");
    return outcome;
}

/* NULL where no response is wanted, or there is no memory for one: then the attempt is lost. */
static struct neap_response *response_of(const struct neap_exchange *exchange,
                                         struct neap_outcome *outcome)
{
    struct neap_response *response = NULL;
    if (outcome->status == 0)
        return NULL;
    if (neap_response_new(exchange->client->alloc, &response) == NEAP_OK) {
        response->status = outcome->status;
        return response;
    }
    *outcome = (struct neap_outcome){
        .kind = NEAP_KIND_ERROR, .ours = true, .message = "not enough memory"};
    return NULL;
}

static void replace(struct neap_exchange *exchange, uint32_t attempt)
{
    const struct neap_chaos_policy *chaos = chaos_of(exchange);
    struct neap_outcome outcome = outcome_of(chaos);
    struct neap_response *response = response_of(exchange, &outcome);
    bool at_its_limit = chaos->error == NEAP_KIND_TIMEOUT && chaos->latency_ns == 0;
    /* The heap has had room for this timer since the exchange was made. */
    enum neap_status status = neap_exchange_reply(
        exchange, attempt, at_its_limit ? -1 : chaos->latency_ns, &outcome, response);
    if (status != NEAP_OK)
        neap_exchange_deliver(exchange, attempt, &outcome, NULL);
}

/* A delay that the server's silence would not have been allowed is a timeout. */
static void delay(struct neap_exchange *exchange, struct neap_flight *flight)
{
    struct neap_loop *loop = exchange->client->engine->loop;
    int64_t limit_ns = exchange->call.setup.timeout.read_ns;
    int64_t latency_ns = chaos_of(exchange)->latency_ns;
    flight->delayed = latency_ns <= limit_ns;
    flight->outcome = neap_phase_outcome(NEAP_PHASE_READ);
    int64_t when_ns = neap_time_add(neap_loop_now(loop), neap_time_min(latency_ns, limit_ns));
    if (neap_loop_set(loop, &flight->timer, when_ns) != NEAP_OK)
        neap_exchange_send_delayed(flight);
}

void neap_exchange_disturb(struct neap_exchange *exchange, struct neap_flight *flight)
{
    if (neap_chaos_replaces(chaos_of(exchange)))
        replace(exchange, flight->attempt);
    else
        delay(exchange, flight);
}
