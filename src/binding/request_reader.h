/* Reads a request table into a draft: checks every key, joins the URL, encodes query and form,
 * makes the idempotency key. */
#ifndef NEAP_BINDING_REQUEST_READER_H
#define NEAP_BINDING_REQUEST_READER_H

#include "base/attributes.h"
#include "binding/objects.h"

/* What the URL was made of; texts on the stack. */
struct neap_request_target {
    const char *reference; /* a path, or with `is_absolute` a URL */
    const char *query;     /* encoded; "" if there is none */
    bool is_absolute;
};

/* Stack indexes and texts that a request is read from. */
struct neap_request_source {
    int request;        /* a table, or nil */
    const char *method; /* of client:get and its like; NULL: the table's, else GET */
    const char *path;   /* likewise; NULL: the table's */
    size_t path_bytes;
    bool must_have_key;                 /* one is made where neither caller nor policy gives one */
    struct neap_request_target *target; /* NULL: not wanted */
    int extras; /* a table with what the face found out by asking Lua: body (encoded JSON),
                   breaker_key, gate_key, idempotency_key; without_fallbacks = true; or nil */
};

/* Texts of the draft point into Lua strings and userdata that stay on the stack, which grows; the
 * body's string is kept by `keeper`, see neap_keep_for_call, since it is not copied later on; with
 * NEAP_NOT_KEPT it stays on the stack as well. True; or false with a message pushed, which starts
 * with the path of the key. */
NEAP_MUST_CHECK bool neap_read_request(lua_State *L, const struct neap_request_source *source,
                                       struct neap_client *client,
                                       struct neap_exchange_object *object, int keeper,
                                       struct neap_draft *draft);

#endif
