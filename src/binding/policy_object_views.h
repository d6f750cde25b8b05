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

    /* Called once when the view is made and once when it is collected. A view can outlive the Lua
     * object of its owner by a moment, in a finalizer of the user's, so what `now` and the breaker
     * live in should be counted here. May be NULL. */
    void (*hold)(void *context, struct neap_breaker *breaker);
    void (*release)(void *context, struct neap_breaker *breaker);

    void *context;
};

/* Pushes a breaker object on `breaker`. Policy and host are copied; the Lua value at `owner_index`
 * is kept alive as long as the view. Raises without memory only, and holds nothing then. */
void neap_binding_push_breaker_view(lua_State *L, struct neap_breaker *breaker,
                                    const struct neap_breaker_policy *policy,
                                    const struct neap_breaker_host *host, int owner_index);

#endif
