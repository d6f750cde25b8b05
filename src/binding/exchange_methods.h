/* The methods of an exchange, by what they are about; exchange_object.c puts them together. */
#ifndef NEAP_BINDING_EXCHANGE_METHODS_H
#define NEAP_BINDING_EXCHANGE_METHODS_H

#include "binding/compat.h"

extern const luaL_Reg neap_exchange_questions[];
extern const luaL_Reg neap_exchange_notices[];
extern const luaL_Reg neap_exchange_carry[];
extern const luaL_Reg neap_exchange_caching[];

#endif
