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
#define NEAP_NUMBER_BYTES 32u /* of a number as text, its zero included */

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

/* The number at `index` as it is sent: whole ones below 10^21 with all their digits, 3 for 3.0 and
 * 0 for -0.0 too; fractions with 14 digits, as tostring writes them, and from 10^14 on with 17.
 * False where it is nan or infinite, which no server could read. */
NEAP_MUST_CHECK bool neap_write_number(lua_State *L, int index, char out[NEAP_NUMBER_BYTES]);

#endif
