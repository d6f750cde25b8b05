/* The fields of a request table: which there are, and of which type each is. */
#ifndef NEAP_BINDING_REQUEST_FIELDS_H
#define NEAP_BINDING_REQUEST_FIELDS_H

#include <stdbool.h>

#include "base/attributes.h"
#include "binding/compat.h"

enum neap_request_field {
    NEAP_REQUEST_METHOD,
    NEAP_REQUEST_PATH,
    NEAP_REQUEST_URL,
    NEAP_REQUEST_QUERY,
    NEAP_REQUEST_HEADERS,
    NEAP_REQUEST_BODY,
    NEAP_REQUEST_JSON,
    NEAP_REQUEST_FORM,
    NEAP_REQUEST_TIMEOUT,
    NEAP_REQUEST_DEADLINE,
    NEAP_REQUEST_IDEMPOTENCY_KEY,
    NEAP_REQUEST_REPLAYABLE,
    NEAP_REQUEST_TAGS,
    NEAP_REQUEST_FIELD_COUNT
};

/* The request at stack index `request` is a table, or nil. Each value that is there is left on the
 * stack, so that its text stays: its place goes into `index`, which is all 0 before. True; or false
 * with a message pushed, which starts with the path of the key. */
NEAP_MUST_CHECK bool neap_request_take_fields(lua_State *L, int request,
                                              int index[NEAP_REQUEST_FIELD_COUNT]);

#endif
