/* The frames of HTTP/2 (RFC 9113, section 6) that the server reads and writes. */
#ifndef MISBEHAVE_H2_FRAME_H
#define MISBEHAVE_H2_FRAME_H

#include "connection.h"

enum { H2_FRAME_BYTES = 16384 }; /* the most that a payload may be without new settings */

enum h2_type {
    H2_DATA = 0,
    H2_HEADERS = 1,
    H2_RST_STREAM = 3,
    H2_SETTINGS = 4,
    H2_PING = 6,
    H2_GOAWAY = 7,
    H2_WINDOW_UPDATE = 8,
    H2_CONTINUATION = 9
};

enum { H2_END_STREAM = 1, H2_ACK = 1, H2_END_HEADERS = 4, H2_PADDED = 8 };

struct h2_frame {
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
    uint32_t bytes;
    unsigned char payload[H2_FRAME_BYTES];
};

/* All return 0 when the connection is gone, or what came is not HTTP/2. */

int h2_greet(struct conn *conn); /* reads the client's preface, sends settings */
int h2_read_frame(struct conn *conn, struct h2_frame *frame);
int h2_send_headers(struct conn *conn, uint32_t stream, int status);
/* The same head, but not its end, and 16 KB more of it that are not the end either. */
int h2_begin_headers(struct conn *conn, uint32_t stream, int status);
int h2_go_on_with_headers(struct conn *conn, uint32_t stream);
/* `bytes` at most H2_FRAME_BYTES. */
int h2_send_data(struct conn *conn, uint32_t stream, const void *data, size_t bytes, int end);
int h2_send_reset(struct conn *conn, uint32_t stream, uint32_t error);
int h2_send_goaway(struct conn *conn, uint32_t last_stream, uint32_t error);
int h2_send_window(struct conn *conn, uint32_t stream, uint32_t bytes);
int h2_send_ack(struct conn *conn, const struct h2_frame *frame); /* of SETTINGS or PING */

/* The bytes of a DATA frame that are not padding. */
uint32_t h2_data_bytes(const struct h2_frame *frame);

#endif
