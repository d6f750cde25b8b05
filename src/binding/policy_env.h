/* The `env` of a stand-alone policy: where its time and its random numbers come from.
 *
 * What the user gave is kept in the user table of the policy's userdata; what was not given is the
 * machine's. A clock is asked once in each step, and `random` only where its answer can matter. */
#ifndef NEAP_BINDING_POLICY_ENV_H
#define NEAP_BINDING_POLICY_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/random.h"
#include "binding/compat.h"

/* Lives in the userdata; holds no memory. `random` is first because no switch of an option may be.
 */
struct neap_env {
    struct neap_random random; /* where `has_random` is false */
    bool has_clock, has_random;
    bool has_time; /* a testing kit's env has it; no policy here reads the wall clock */
};

/* Reads the table (or nil) at `index`. True with the user table pushed that holds the functions, or
 * false with a message pushed that begins with "env". Raises without memory, and where the system
 * gives no random bytes. */
NEAP_MUST_CHECK bool neap_env_read(lua_State *L, int index, struct neap_env *env);

/* Monotonic time by the env of the userdata at `index`, an absolute one. Raises what the user's
 * clock raises, and where it answers no finite number. */
int64_t neap_env_now(lua_State *L, int index, const struct neap_env *env);

/* A random number by the same env. Raises as the clock does, for what is not from 0 to 1. */
double neap_env_random(lua_State *L, int index, struct neap_env *env);

#endif
