/* The methods of an exchange, by what they are about; exchange_object.c puts them together. */
#ifndef NEAP_BINDING_EXCHANGE_METHODS_H
#define NEAP_BINDING_EXCHANGE_METHODS_H

#include "binding/objects.h"

extern const luaL_Reg neap_exchange_questions[];
extern const luaL_Reg neap_exchange_notices[];
extern const luaL_Reg neap_exchange_carry[];
extern const luaL_Reg neap_exchange_caching[];

/* Makes the object's exchange of what was read into it. Raises without memory. */
void neap_take_draft(lua_State *L, struct neap_exchange_object *object, struct neap_client *client,
                     struct neap_draft *draft);

/* Frees what the object has; it can be used again. */
void neap_empty_exchange_object(struct neap_exchange_object *object);

/* Pushes what a call that is done came to, once: the response, the error, or the table for the
 * answer of a fallback. */
enum neap_result_kind neap_push_outcome(lua_State *L, struct neap_exchange *exchange);

#endif
