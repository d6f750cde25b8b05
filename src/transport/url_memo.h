/* Remembers URLs that were resolved: a program asks for few, again and again, and resolving one
 * costs a quarter of a call.
 *
 * What has a query is not kept, since secrets stand there and it seldom comes twice; nor what is
 * long. One thread at a time. */
#ifndef NEAP_TRANSPORT_URL_MEMO_H
#define NEAP_TRANSPORT_URL_MEMO_H

#include <stdbool.h>

#include "transport/url.h"

#define NEAP_URL_MEMO_PLACES 16u
#define NEAP_URL_MEMO_BYTES 200u

struct neap_url_memory {
    char *reference; /* NULL: empty */
    bool has_base;
    struct neap_url url;
};

struct neap_url_memo {
    const struct neap_alloc *alloc;
    struct neap_url_memory *last; /* that was found or kept; NULL: none yet */
    struct neap_url_memory place[NEAP_URL_MEMO_PLACES];
};

/* Allocates nothing. */
void neap_url_memo_init(struct neap_url_memo *memo, const struct neap_alloc *alloc);
void neap_url_memo_deinit(struct neap_url_memo *memo);

/* As neap_url_resolve with `stay`. `base` is NULL or always the same text. */
NEAP_MUST_CHECK enum neap_url_error neap_url_memo_resolve(struct neap_url_memo *memo,
                                                          const char *base, const char *reference,
                                                          const char *query, struct neap_url *url);

#endif
