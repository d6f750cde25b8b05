/* Tie: the calls made on behalf of one request of the host, which are given up when it ends.
 *
 * A host may drop the code that waits for a call without a word, as nginx does with the handler of
 * a request whose client has left: the call would keep its connection and permits until the
 * collector comes by. Belongs to the engine's thread. References are counted: the maker and each
 * exchange hold one. */
#ifndef NEAP_CLIENT_TIE_H
#define NEAP_CLIENT_TIE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"

struct neap_exchange;

struct neap_tie {
    const struct neap_alloc *alloc;
    struct neap_exchange *first;
    uint32_t references;
    bool ended;
};

NEAP_MUST_CHECK enum neap_status neap_tie_new(const struct neap_alloc *alloc,
                                              struct neap_tie **tie);
struct neap_tie *neap_tie_hold(struct neap_tie *tie);
void neap_tie_release(struct neap_tie *tie);

/* The exchange is given up when the tie ends; at once if it has ended. An exchange has one tie. */
void neap_tie_add(struct neap_tie *tie, struct neap_exchange *exchange);

/* Takes the exchange off its tie; harmless if it has none. */
void neap_tie_remove(struct neap_exchange *exchange);

/* Gives up all calls that are tied. */
void neap_tie_end(struct neap_tie *tie);

#endif
