/* The guard of neap.idempotency: its options as they were read. */
#ifndef NEAP_BINDING_GUARD_OBJECT_H
#define NEAP_BINDING_GUARD_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/compat.h"
#include "pipeline/guard.h"
#include "policy/fingerprint.h"

struct neap_guard_object {
    struct neap_guard_policy policy;
    char *header;
    char **methods; /* upper case */
    size_t method_count;
    enum neap_fingerprint_kind fingerprint; /* where no function makes it */
    bool asks_fingerprint, asks_scope, asks_statuses;
};

/* Raises where the value at `index` is of another kind. */
const struct neap_guard_object *neap_check_guard(lua_State *L, int index);

/* Is a request of that method one that a key counts for? Any letter case. */
bool neap_guard_object_guards(const struct neap_guard_object *guard, const char *method);

#endif
