/* The breaker of a client as the same Lua object that `neap.breaker` makes. */
#ifndef NEAP_BINDING_POLICY_OBJECT_VIEWS_H
#define NEAP_BINDING_POLICY_OBJECT_VIEWS_H

#include <stdint.h>

#include "binding/compat.h"
#include "policy/breaker.h"

/* What a breaker needs of whoever owns it. `now` and `random` are required. None of them may raise
 * or call Lua. */
struct neap_breaker_host {
    int64_t (*now)(void *context);   /* monotonic nanoseconds */
    double (*random)(void *context); /* [0,1) */

    /* The breaker as it is now, where it can become another one; NULL: it stays the same. */
    struct neap_breaker *(*find)(void *context);

    /* Called once when a view that was filled is collected. What `now` and the breaker live in is
     * held for it by who fills it, since a view can outlive the Lua object of its owner by a
     * moment, in a finalizer of the user's. */
    void (*release)(void *context, struct neap_breaker *breaker);

    uint32_t (*holder)(void *context); /* in whose name probes are out */

    /* What the object's user has changed, which nobody else is told. */
    void (*changed)(void *context, const struct neap_breaker_change *change);

    /* The breaker is pinned in shared memory in this process's name: a forked child has no pin, and
     * its view is of no use. `release` gets NULL there. */
    bool is_pinned;
    void *context;
};

/* Pushes a breaker object that is still empty. Policy and host are copied; the Lua value at
 * `owner_index` is kept alive as long as the view. Raises without memory only. */
void neap_binding_push_breaker_view(lua_State *L, const struct neap_breaker_policy *policy,
                                    const struct neap_breaker_host *host, int owner_index);

/* Fills the view on top of the stack, once. */
void neap_binding_fill_breaker_view(lua_State *L, struct neap_breaker *breaker);

/* Pushes the table that `breaker:snapshot()` answers. */
void neap_binding_push_snapshot(lua_State *L, const struct neap_breaker_snapshot *snapshot);

#endif
