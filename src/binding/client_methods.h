/* The methods of a client that have a file of their own; client_object.c puts them together. */
#ifndef NEAP_BINDING_CLIENT_METHODS_H
#define NEAP_BINDING_CLIENT_METHODS_H

#include "binding/compat.h"

extern const luaL_Reg neap_client_alert_methods[];

#endif
