/* One accepted connection, plain or TLS: reading, writing, waiting and the ways to end it.
 *
 * A connection belongs to one thread. Whatever waits here also watches for the client's leaving
 * and for the server's stop; both make the connection `gone`, after which everything fails at
 * once. A client that closes only its sending half counts as gone while a behaviour waits. */
#ifndef MISBEHAVE_CONNECTION_H
#define MISBEHAVE_CONNECTION_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

struct conn {
    int fd;      /* -1 once ended */
    int stop_fd; /* readable when the server stops */
    SSL *ssl;    /* NULL: plain */
    uint64_t id;
    unsigned requests;
    int used; /* the ledger's: it carried a request that counts */
    int gone;
    size_t in_at;
    size_t in_bytes;
    char in[16384];
};

enum conn_event { CONN_DATA, CONN_TIMEOUT, CONN_GONE };

/* Takes over `fd` (made non-blocking already). */
struct conn *conn_new(int fd, int stop_fd);
/* Ends the connection if it is not ended, and frees it. */
void conn_free(struct conn *conn);

/* The TLS handshake; 0 if it failed. */
int conn_handshake(struct conn *conn, SSL_CTX *context);

/* Waits until unread bytes are buffered; a negative timeout waits for ever. */
enum conn_event conn_fill(struct conn *conn, double timeout_s);
/* The next byte, waiting for it; -1 when the connection is gone. */
int conn_byte(struct conn *conn);
/* Up to `room` bytes, at least one; 0 when the connection is gone. */
size_t conn_read(struct conn *conn, void *to, size_t room);
/* Exactly so many bytes; 0 when the connection is gone first. */
int conn_read_all(struct conn *conn, void *to, size_t bytes);

/* Sends everything; 0 when the connection is gone. */
int conn_send(struct conn *conn, const void *data, size_t bytes);
/* Lets time pass without reading; 0 when the client left or the server stops. */
int conn_wait(struct conn *conn, double seconds);

/* Three endings. Each one is final. */
void conn_reset(struct conn *conn);  /* RST, after what was sent has left */
void conn_finish(struct conn *conn); /* close_notify and FIN, then reads what still comes */
void conn_drop(struct conn *conn);   /* a bare close: FIN, or RST if bytes are unread */

#endif
