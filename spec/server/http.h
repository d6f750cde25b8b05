/* HTTP/1 requests, read strictly: what a client sends wrongly is told, not forgiven. */
#ifndef MISBEHAVE_HTTP_H
#define MISBEHAVE_HTTP_H

#include "base.h"
#include "connection.h"

enum { BODY_KEPT_BYTES = 1 << 20 };

struct header {
    char *name;
    char *value;
};

struct request {
    char *method;
    char *target;
    int minor; /* of HTTP/1.x */
    struct header *headers;
    size_t header_count;
    int keep_alive;
    int expects_continue;
    int chunked;
    uint64_t content_length;
    struct text body;    /* the first BODY_KEPT_BYTES of it */
    uint64_t body_bytes; /* all of it that arrived */
    uint32_t body_crc;   /* CRC-32 of all of it */
    unsigned number;     /* on its connection, from 1 */
};

enum http_read { HTTP_OK, HTTP_END, HTTP_BAD };

/* The line and the headers. HTTP_END: the connection ended before a whole head came. HTTP_BAD:
 * `why` says what is wrong. request_free in each case. */
enum http_read request_read_head(struct conn *conn, struct request *request, const char **why);
/* The body, after "100 Continue" if that was asked for. Same returns. */
enum http_read request_read_body(struct conn *conn, struct request *request, const char **why);
void request_free(struct request *request);

/* The first value of that name in any letter case; NULL if there is none. */
const char *request_header(const struct request *request, const char *name);
/* Adds the headers as `[[name, value], ...]`. */
void request_headers_json(const struct request *request, struct text *json);

#endif
