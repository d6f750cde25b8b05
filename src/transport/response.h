/* A response as it came: status, headers in their order, body. Knows no policy.
 *
 * Headers stay in one block and are looked up when asked, since making a table of all of them for
 * each response costs more than the rest of the call's bookkeeping. A response has one thread at a
 * time. Several may hold it, on one thread, once nobody changes it any more. */
#ifndef NEAP_TRANSPORT_RESPONSE_H
#define NEAP_TRANSPORT_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/status.h"

struct neap_header_span {
    uint32_t name_at, name_bytes, value_at, value_bytes; /* in `head` */
};

/* Few servers send more. */
#define NEAP_HEADERS_INLINE 16u

struct neap_response;

/* Responses that nobody holds, kept with their memory for those that come: in place of eight blocks
 * a response, and where libcurl has a thread of its own, of blocks that one thread asks for and the
 * other one gives back. Zeroed before first use; belongs to one thread. */
struct neap_response_shelf {
    struct neap_response *first;
    uint32_t count;
};

struct neap_response {
    const struct neap_alloc *alloc;
    struct neap_response_shelf *shelf; /* where it goes when it is freed; NULL: nowhere */
    struct neap_response *next;        /* on the shelf */
    uint32_t others;                   /* who hold it besides the one that it was made for */
    int status;
    int http_version;          /* 10, 11, 20, 30; 0 unknown */
    struct neap_buffer reason; /* no data, or no bytes, where there is none (HTTP/2) */
    char *url;                 /* after redirects; NULL where none was followed */
    bool foreign;              /* a redirect led to another origin */
    struct neap_buffer head;
    struct neap_header_span *header; /* `inlined`, or a block of `alloc` */
    uint32_t header_count, header_capacity;
    uint32_t initials; /* a bit for each letter that a name begins with, of either case */
    struct neap_buffer
        body; /* decoded; Content-Encoding and Content-Length stay as they were sent */
    struct neap_header_span inlined[NEAP_HEADERS_INLINE]; /* last: not cleared */
};

/* NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_response_new(const struct neap_alloc *alloc,
                                                   struct neap_response **response);

/* The memory goes with the last who holds it, or waits on the shelf if there is not too much. */
void neap_response_free(struct neap_response *response);

/* One that is empty and belongs to no shelf; NULL where there is none. */
struct neap_response *neap_response_shelf_take(struct neap_response_shelf *shelf);
void neap_response_shelf_deinit(struct neap_response_shelf *shelf);

/* One more holds it, and frees it. The response itself. */
struct neap_response *neap_response_hold(struct neap_response *response);

/* NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_response_add_header(struct neap_response *response,
                                                          const char *name, size_t name_bytes,
                                                          const char *value, size_t value_bytes);

/* The same for a header that stands in one text, its name first and its value last. */
NEAP_MUST_CHECK enum neap_status neap_response_add_line(struct neap_response *response,
                                                        const char *line, size_t line_bytes,
                                                        size_t name_bytes, size_t value_bytes);

/* Adds a space and `more` to the value of the header added last: a line folded as in RFC 9112 5.2.
 * NEAP_NO_MEMORY; NEAP_INVALID where there is none yet. */
NEAP_MUST_CHECK enum neap_status neap_response_extend_header(struct neap_response *response,
                                                             const char *more, size_t more_bytes);

/* Forgets status, headers, reason, URL and body, keeping memory: the head of another response
 * follows. */
void neap_response_clear(struct neap_response *response);

/* The value of the `nth` (from 0) header of that name in any letter case; NULL if there is none.
 * Not NUL-terminated. */
const char *neap_response_header(const struct neap_response *response, const char *name,
                                 uint32_t nth, size_t *value_bytes);

#endif
