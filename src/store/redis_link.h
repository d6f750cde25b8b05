/* The Redis kind: one connection as a stream of bytes, plain or TLS, each wait with an end.
 *
 * The socket never blocks and never raises SIGPIPE. Ends are moments of the monotonic clock. */
#ifndef NEAP_STORE_REDIS_LINK_H
#define NEAP_STORE_REDIS_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

struct neap_redis_tls;

struct neap_link {
    int fd;                     /* -1: none */
    struct neap_redis_tls *tls; /* NULL: plain */
};

enum neap_link_status {
    NEAP_LINK_OK,
    NEAP_LINK_LOST, /* closed or broken */
    NEAP_LINK_LATE  /* the end has come */
};

/* On failure a message says why, and nothing is open. */
NEAP_MUST_CHECK enum neap_link_status neap_link_open(struct neap_link *link,
                                                     const struct neap_redis_settings *settings,
                                                     int64_t end_ns,
                                                     char message[NEAP_MESSAGE_BYTES]);

NEAP_MUST_CHECK enum neap_link_status neap_link_send(struct neap_link *link, const char *bytes,
                                                     size_t count, int64_t end_ns);

/* At least one byte, at most `capacity`. */
NEAP_MUST_CHECK enum neap_link_status neap_link_receive(struct neap_link *link, char *bytes,
                                                        size_t capacity, int64_t end_ns,
                                                        size_t *received);

/* Says nothing to the other side, so a child process may close what it has inherited. */
void neap_link_close(struct neap_link *link);

/* ------------------------------------------------------------------- between the link and TLS */

/* What an attempt to move bytes came to, where it moved none. */
#define NEAP_LINK_WANTS_READ (-1)
#define NEAP_LINK_WANTS_WRITE (-2)
#define NEAP_LINK_BROKEN (-3)

/* As send(2) and recv(2) on the socket; above zero, or one of the above. */
long neap_socket_send(int fd, const char *bytes, size_t count);
long neap_socket_receive(int fd, char *bytes, size_t capacity);

#endif
