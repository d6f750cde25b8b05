/* The Redis kind: TLS over a socket that does not block, by OpenSSL.
 *
 * The certificate must lead to a trusted one and name the host; TLS 1.2 at least. */
#ifndef NEAP_STORE_REDIS_TLS_H
#define NEAP_STORE_REDIS_TLS_H

#include <stddef.h>

#include "store/store.h"

struct neap_redis_tls;

/* Before a store that uses TLS is handed to a helper. */
void neap_redis_tls_set_up(void);

/* The socket stays the caller's. NULL with a message where it cannot be made: the file of
 * certificates, memory. */
struct neap_redis_tls *neap_redis_tls_new(int fd, const char *host, const char *ca_file,
                                          char message[NEAP_MESSAGE_BYTES]);

/* Sends nothing. Freeing NULL is harmless. */
void neap_redis_tls_free(struct neap_redis_tls *tls);

/* 1 when it is done; NEAP_LINK_WANTS_READ, NEAP_LINK_WANTS_WRITE; NEAP_LINK_BROKEN with a message.
 */
long neap_redis_tls_shake_hands(struct neap_redis_tls *tls, char message[NEAP_MESSAGE_BYTES]);

/* As neap_socket_send and neap_socket_receive. */
long neap_redis_tls_send(struct neap_redis_tls *tls, const char *bytes, size_t count);
long neap_redis_tls_receive(struct neap_redis_tls *tls, char *bytes, size_t capacity);

#endif
