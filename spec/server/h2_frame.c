/* The frames of HTTP/2 (RFC 9113, section 6) that the server reads and writes. */
#include "h2_frame.h"

#include <stdio.h>
#include <string.h>

enum { HEAD_BYTES = 9 };

static void put_u32(unsigned char *to, uint32_t value)
{
    to[0] = (unsigned char)(value >> 24);
    to[1] = (unsigned char)(value >> 16);
    to[2] = (unsigned char)(value >> 8);
    to[3] = (unsigned char)value;
}

static uint32_t get_u32(const unsigned char *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static int send_frame(struct conn *conn, enum h2_type type, int flags, uint32_t stream,
                      const void *payload, size_t bytes)
{
    unsigned char frame[HEAD_BYTES + H2_FRAME_BYTES];
    put_u32(frame, (uint32_t)bytes << 8);
    frame[3] = (unsigned char)type;
    frame[4] = (unsigned char)flags;
    put_u32(frame + 5, stream);
    if (bytes > 0)
        memcpy(frame + HEAD_BYTES, payload, bytes);
    return conn_send(conn, frame, HEAD_BYTES + bytes);
}

int h2_greet(struct conn *conn)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const unsigned char settings[] = {0, 3, 0, 0, 0, 100}; /* 100 streams at once */
    char got[sizeof preface - 1];
    return conn_read_all(conn, got, sizeof got) && memcmp(got, preface, sizeof got) == 0 &&
           send_frame(conn, H2_SETTINGS, 0, 0, settings, sizeof settings);
}

int h2_read_frame(struct conn *conn, struct h2_frame *frame)
{
    unsigned char head[HEAD_BYTES];
    if (!conn_read_all(conn, head, sizeof head))
        return 0;
    frame->bytes = get_u32(head) >> 8;
    frame->type = head[3];
    frame->flags = head[4];
    frame->stream = get_u32(head + 5) & 0x7fffffff;
    return frame->bytes <= H2_FRAME_BYTES && conn_read_all(conn, frame->payload, frame->bytes);
}

/* HPACK (RFC 7541): ":status" literally, without indexing, its name from the static table. */
static int send_status(struct conn *conn, int flags, uint32_t stream, int status)
{
    unsigned char block[8] = {0x08, 3};
    char digits[16];
    snprintf(digits, sizeof digits, "%03d", status);
    memcpy(block + 2, digits, 3);
    return send_frame(conn, H2_HEADERS, flags, stream, block, 5);
}

int h2_send_headers(struct conn *conn, uint32_t stream, int status)
{
    return send_status(conn, H2_END_HEADERS, stream, status);
}

int h2_begin_headers(struct conn *conn, uint32_t stream, int status)
{
    return send_status(conn, 0, stream, status);
}

int h2_go_on_with_headers(struct conn *conn, uint32_t stream)
{
    static const char field[] = "\x00\x08x-filler\x14" /* not indexed, lengths of name and value */
                                "01234567890123456789";
    char block[H2_FRAME_BYTES];
    size_t bytes = 0;
    for (; bytes + sizeof field <= sizeof block; bytes += sizeof field - 1)
        memcpy(block + bytes, field, sizeof field - 1);
    return send_frame(conn, H2_CONTINUATION, 0, stream, block, bytes);
}

int h2_send_data(struct conn *conn, uint32_t stream, const void *data, size_t bytes, int end)
{
    return send_frame(conn, H2_DATA, end ? H2_END_STREAM : 0, stream, data, bytes);
}

int h2_send_reset(struct conn *conn, uint32_t stream, uint32_t error)
{
    unsigned char payload[4];
    put_u32(payload, error);
    return send_frame(conn, H2_RST_STREAM, 0, stream, payload, sizeof payload);
}

int h2_send_goaway(struct conn *conn, uint32_t last_stream, uint32_t error)
{
    unsigned char payload[8];
    put_u32(payload, last_stream);
    put_u32(payload + 4, error);
    return send_frame(conn, H2_GOAWAY, 0, 0, payload, sizeof payload);
}

int h2_send_window(struct conn *conn, uint32_t stream, uint32_t bytes)
{
    unsigned char payload[4];
    put_u32(payload, bytes);
    return send_frame(conn, H2_WINDOW_UPDATE, 0, stream, payload, sizeof payload);
}

int h2_send_ack(struct conn *conn, const struct h2_frame *frame)
{
    size_t bytes = frame->type == H2_PING ? frame->bytes : 0; /* a PING comes back as it was */
    return send_frame(conn, (enum h2_type)frame->type, H2_ACK, 0, frame->payload, bytes);
}

uint32_t h2_data_bytes(const struct h2_frame *frame)
{
    if (!(frame->flags & H2_PADDED) || frame->bytes == 0)
        return frame->bytes;
    uint32_t padding = frame->payload[0] + 1u;
    return padding <= frame->bytes ? frame->bytes - padding : 0;
}
