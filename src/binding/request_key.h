/* The idempotency key of a request: the caller's, or one that the policy makes. */
#ifndef NEAP_BINDING_REQUEST_KEY_H
#define NEAP_BINDING_REQUEST_KEY_H

#include "base/attributes.h"
#include "binding/objects.h"
#include "binding/request_reader.h"

/* `given` is the index of the caller's key among the fields of the request, 0 where there is none.
 * Fills draft->idempotency_key, where one is to be sent that does not stand among the headers, with
 * a text that stays on the stack; the bare key is kept by `keeper`, see neap_keep_for_call.
 * object->url is the request's. True; or false with a message pushed. */
NEAP_MUST_CHECK bool neap_read_request_key(lua_State *L, const struct neap_request_source *source,
                                           int given, struct neap_client *client,
                                           struct neap_exchange_object *object, int keeper,
                                           struct neap_draft *draft);

/* Would the policy make a key for the request: its method wants one, and the caller gives none? The
 * face asks before it calls a function of the policy for the key. */
bool neap_request_wants_key(lua_State *L, int request, const struct neap_client *client,
                            const char *method);

#endif
