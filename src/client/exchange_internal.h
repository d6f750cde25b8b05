/* What the files of the exchange share: exchange.c drives, exchange_life.c makes and frees,
 * exchange_request.c prepares what is sent, exchange_send.c puts an attempt on its carrier,
 * exchange_chaos.c disturbs it, exchange_script.c plays the network for a test, exchange_queue.c
 * keeps those who wait for the bulkhead, coalescing.c those who wait for the outcome of another
 * one. */
#ifndef NEAP_CLIENT_EXCHANGE_INTERNAL_H
#define NEAP_CLIENT_EXCHANGE_INTERNAL_H

#include "base/owner.h"
#include "client/exchange.h"

/* Headers, replayability, and the pinned breaker and gates. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_exchange_prepare(struct neap_exchange *exchange,
                                                       const struct neap_draft *draft);
void neap_exchange_unprepare(struct neap_exchange *exchange);

/* The call is told of the event, and goes on. */
void neap_exchange_step(struct neap_exchange *exchange, const struct neap_event *event);

/* What the exchange has set the loop and the engine for. */
void neap_exchange_on_timer(struct neap_loop_timer *timer, int64_t now_ns);
void neap_exchange_on_job(struct neap_job *job);

/* A call that was under way at a fork is the parent's: what it holds of shared memory must not be
 * given back by the child. */
bool neap_exchange_is_parents(const struct neap_exchange *exchange);

/* True if Lua has to carry the attempt out. */
bool neap_exchange_send(struct neap_exchange *exchange, const struct neap_effect *effect);

/* Lua carries the attempt of exchange->effect out. */
void neap_exchange_ask_for_attempt(struct neap_exchange *exchange);

/* The attempt goes as policy.chaos says. One that is only late is sent by the second function, when
 * its time has come. */
void neap_exchange_disturb(struct neap_exchange *exchange, struct neap_flight *flight);
void neap_exchange_send_delayed(struct neap_flight *flight);

void neap_exchange_enqueue(struct neap_exchange *exchange);
void neap_exchange_dequeue(struct neap_exchange *exchange);

/* The flight of an attempt that Lua was asked to carry out, which it now answers for; NULL where it
 * was given up meanwhile. */
struct neap_flight *neap_exchange_take_attempt(struct neap_exchange *exchange, uint32_t attempt);

/* NULL where that attempt is not live. */
struct neap_flight *neap_flight_find(struct neap_exchange *exchange, uint32_t attempt);

void neap_flight_init(struct neap_flight *flight, struct neap_exchange *exchange);

/* It is free for another attempt. */
void neap_flight_land(struct neap_flight *flight);

/* Ends the transfer of an attempt that the call gives up; true if nothing of it has been sent. */
bool neap_exchange_abandon(struct neap_exchange *exchange, uint32_t attempt);

/* The attempt has come to this; the response is taken over. */
void neap_flight_end(struct neap_flight *flight, const struct neap_outcome *outcome,
                     struct neap_response *response);

/* A timeout of that phase, provably unsent while connecting. */
struct neap_outcome neap_phase_outcome(enum neap_phase phase);

/* First step of a call that a stored answer, in place already, is enough for. */
void neap_exchange_serve(struct neap_exchange *exchange, const struct neap_answer *answer);

#endif
