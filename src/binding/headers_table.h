/* Tables of headers for Lua: name -> value, or list of values; found in any letter case. */
#ifndef NEAP_BINDING_HEADERS_TABLE_H
#define NEAP_BINDING_HEADERS_TABLE_H

#include "binding/objects.h"

/* Headers as a response has them; `bytes` is what the spans count in. */
struct neap_header_block {
    const struct neap_header_span *header;
    uint32_t count;
    const char *bytes;
};

void neap_push_headers(lua_State *L, const struct neap_header_block *block);
void neap_push_request_headers(lua_State *L, const struct neap_request *request);

#endif
