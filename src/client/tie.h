/* Tie: what is done on behalf of one request of the host, and is given up when it ends.
 *
 * A host may drop the code that waits for a call without a word, as nginx does with the handler of
 * a request whose client has left: the call would keep its connection and permits until the
 * collector comes by. Belongs to the engine's thread. References are counted: the maker and each
 * that is tied hold one. */
#ifndef NEAP_CLIENT_TIE_H
#define NEAP_CLIENT_TIE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "client/engine.h"

struct neap_tie;

/* Embedded in what is tied, zeroed and with `give_up` and `engine` set before it is. */
struct neap_tied {
    struct neap_tie *tie; /* NULL: none */
    struct neap_tied *next, **link;
    struct neap_engine *engine;
    void (*give_up)(struct neap_tied *tied); /* must untie it */
};

struct neap_tie {
    const struct neap_alloc *alloc;
    struct neap_tied *first;
    uint32_t references;
    bool ended;
};

NEAP_MUST_CHECK enum neap_status neap_tie_new(const struct neap_alloc *alloc,
                                              struct neap_tie **tie);
struct neap_tie *neap_tie_hold(struct neap_tie *tie);
void neap_tie_release(struct neap_tie *tie);

/* It is given up when the tie ends; at once if it has ended. What is tied has one tie. */
void neap_tie_add(struct neap_tie *tie, struct neap_tied *tied);

/* Takes it off its tie; harmless if it has none. */
void neap_tie_remove(struct neap_tied *tied);

/* Gives up all that is tied. */
void neap_tie_end(struct neap_tie *tie);

#endif
