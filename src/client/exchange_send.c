/* Puts an attempt on its carrier, and takes it off. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/duration.h"
#include "client/exchange_internal.h"

struct neap_outcome neap_phase_outcome(enum neap_phase phase)
{
    struct neap_outcome outcome = {
        .kind = NEAP_KIND_TIMEOUT, .phase = phase, .unsent = phase == NEAP_PHASE_CONNECT};
    snprintf(outcome.message, sizeof outcome.message, "the %s time limit has passed",
             neap_phase_name(phase));
    return outcome;
}

static void on_transfer_done(void *context, const struct neap_outcome *outcome,
                             struct neap_response *response)
{
    struct neap_flight *flight = context;
    neap_client_publish_pool(flight->exchange->client);
    neap_flight_end(flight, outcome, response);
}

/* A scripted reply, a failure to send that is told from a step of its own, or the end of a delay.
 */
static void on_flight_timer(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct neap_flight *flight = NEAP_OWNER(timer, struct neap_flight, timer);
    struct neap_response *response = flight->response;
    struct neap_outcome outcome = flight->outcome;
    (void)now_ns;
    if (flight->delayed) {
        neap_exchange_send_delayed(flight);
        return;
    }
    flight->response = NULL;
    neap_flight_end(flight, &outcome, response);
}

void neap_flight_init(struct neap_flight *flight, struct neap_exchange *exchange)
{
    flight->exchange = exchange;
    flight->timer.fire = on_flight_timer;
}

static struct neap_flight *take_flight(struct neap_exchange *exchange, uint32_t attempt)
{
    struct neap_flight *flight = &exchange->flight[0];
    while (flight->attempt)
        flight++;
    flight->attempt = attempt;
    return flight;
}

/* The header that tells the server how long an answer is of use, in place of one that the caller
 * gave: only the pipeline knows what is left. */
static size_t add_deadline_header(struct neap_exchange *exchange, int64_t left_ns, char text[24])
{
    const char *name = exchange->client->policy.deadline_header;
    size_t at = 0;
    if (!name || left_ns == NEAP_NEVER)
        return exchange->header_count;
    snprintf(text, 24, "%" PRId64, left_ns / NEAP_MS);
    while (at < exchange->header_count && strcasecmp(exchange->header[at].name, name) != 0)
        at++;
    exchange->header[at] = (struct neap_request_header){.name = name, .value = text};
    return at < exchange->header_count ? exchange->header_count : at + 1;
}

static void fail_to_send(struct neap_flight *flight, const struct neap_outcome *outcome,
                         const char *message)
{
    struct neap_loop *loop = flight->exchange->client->engine->loop;
    flight->outcome = *outcome;
    flight->outcome.unsent = true;
    neap_outcome_say(&flight->outcome, message, NEAP_MESSAGE_BYTES);
    if (neap_loop_set(loop, &flight->timer, neap_loop_now(loop)) != NEAP_OK)
        neap_flight_end(flight, &flight->outcome, NULL);
}

static void send_on_network(struct neap_exchange *exchange, struct neap_flight *flight,
                            int64_t left_ns)
{
    struct neap_client *client = exchange->client;
    const struct neap_timeouts *timeout = &exchange->call.setup.timeout;
    struct neap_limits limits = {timeout->connect_ns, timeout->write_ns, timeout->read_ns};
    char message[NEAP_MESSAGE_BYTES] = "";

    exchange->request.headers = exchange->header;
    exchange->request.header_count =
        add_deadline_header(exchange, left_ns, exchange->deadline_text);
    enum neap_status status = neap_network_send(
        &client->connections->network, client->engine, &client->policy.transport,
        &exchange->request, &limits, on_transfer_done, flight, &flight->wire, message);
    if (status == NEAP_NO_MEMORY)
        fail_to_send(flight, &(struct neap_outcome){.kind = NEAP_KIND_ERROR, .ours = true},
                     message[0] ? message : "not enough memory for another transfer");
    else if (status != NEAP_OK)
        fail_to_send(flight, &(struct neap_outcome){.kind = NEAP_KIND_CONNECT},
                     message[0] ? message : "libcurl refuses the transfer");
}

/* True if Lua has to carry the attempt out. */
static bool put_on_carrier(struct neap_exchange *exchange, struct neap_flight *flight,
                           int64_t left_ns)
{
    if (exchange->client->carrier == NEAP_CARRIER_NETWORK) {
        send_on_network(exchange, flight, left_ns);
        return false;
    }
    exchange->request.headers = exchange->header;
    exchange->request.header_count =
        add_deadline_header(exchange, left_ns, exchange->deadline_text);
    return true;
}

bool neap_exchange_send(struct neap_exchange *exchange, const struct neap_effect *effect)
{
    struct neap_flight *flight = take_flight(exchange, effect->attempt);
    if (!neap_reach_allows_host(&exchange->client->policy.transport, exchange->url.origin)) {
        fail_to_send(flight, &(struct neap_outcome){.kind = NEAP_KIND_CONNECT, .forbidden = true},
                     "the host is not among policy.allow_hosts");
        return false;
    }
    if (!effect->chaos)
        return put_on_carrier(exchange, flight, effect->left_ns);
    neap_exchange_disturb(exchange, flight);
    return false;
}

void neap_exchange_send_delayed(struct neap_flight *flight)
{
    struct neap_exchange *exchange = flight->exchange;
    int64_t now_ns = neap_loop_now(exchange->client->engine->loop);
    int64_t deadline_ns = exchange->call.deadline_ns;
    flight->delayed = false;
    int64_t left_ns = deadline_ns == NEAP_NEVER ? NEAP_NEVER : neap_time_since(deadline_ns, now_ns);
    if (put_on_carrier(exchange, flight, left_ns))
        neap_exchange_ask_for_attempt(exchange);
}

struct neap_flight *neap_flight_find(struct neap_exchange *exchange, uint32_t attempt)
{
    for (int i = 0; i < NEAP_LIVE_MAX; i++)
        if (exchange->flight[i].attempt == attempt)
            return &exchange->flight[i];
    return NULL;
}

void neap_flight_land(struct neap_flight *flight)
{
    struct neap_exchange *exchange = flight->exchange;
    neap_loop_clear(exchange->client->engine->loop, &flight->timer);
    neap_response_free(flight->response);
    flight->response = NULL;
    flight->wire = (struct neap_wire){NULL, NULL};
    flight->delayed = false;
    flight->attempt = 0;
}

bool neap_exchange_abandon(struct neap_exchange *exchange, uint32_t attempt)
{
    struct neap_flight *flight = neap_flight_find(exchange, attempt);
    if (!flight)
        return true;
    bool unsent = neap_network_cancel(&exchange->client->connections->network,
                                      exchange->client->engine, &flight->wire);
    unsent |= flight->delayed;
    neap_flight_land(flight);
    if (exchange->attention == NEAP_ATTENTION_ATTEMPT && exchange->effect.attempt == attempt)
        exchange->attention = NEAP_ATTENTION_NONE;
    return unsent;
}
