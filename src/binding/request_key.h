/* The idempotency key of a request: the caller's, or one that the policy makes. */
#ifndef NEAP_BINDING_REQUEST_KEY_H
#define NEAP_BINDING_REQUEST_KEY_H

#include "base/attributes.h"
#include "binding/objects.h"
#include "binding/request_reader.h"

/* Fills draft->idempotency_key, where one is to be sent that does not stand among the headers, with
 * a text that stays on the stack; the bare key is put into the table at `keeper`. object->url is
 * the request's. True; or false with a message pushed. */
NEAP_MUST_CHECK bool neap_read_request_key(lua_State *L, const struct neap_request_source *source,
                                           struct neap_client *client,
                                           struct neap_exchange_object *object, int keeper,
                                           struct neap_draft *draft);

#endif
