/* Pairs of name and value from a Lua table, in the order of their names: headers, query, form. */
#ifndef NEAP_BINDING_PAIR_LIST_H
#define NEAP_BINDING_PAIR_LIST_H

#include "base/attributes.h"
#include "binding/compat.h"
#include "policy/idempotency_key.h"

struct neap_pair {
    struct neap_text name, value;
    size_t position; /* values of one name stay in the order of their list */
};

#define NEAP_FEW_PAIRS 16

struct neap_pair_list {
    struct neap_pair *pair;
    size_t count;
    struct neap_pair few[NEAP_FEW_PAIRS]; /* what `pair` points to where they have room there */
};

/* Reads the table at `index`: name -> text, number, boolean (if `booleans`) or a list of them. The
 * texts live in Lua strings that are kept by what is pushed on the stack, as is a list of many. So
 * the list is not to be copied. True, or false with only a message pushed that starts with `path`.
 */
NEAP_MUST_CHECK bool neap_read_pairs(lua_State *L, int index, const char *path, bool booleans,
                                     struct neap_pair_list *list);

#endif
