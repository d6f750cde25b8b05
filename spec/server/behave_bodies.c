/* Behaviours whose answer is right, but slow, large, chunked or compressed. */
#include "behaviours.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static int send_slowly(struct exchange *exchange, const char *data, size_t bytes, double every_s)
{
    for (size_t i = 0; i < bytes; i++)
        if (!conn_send(exchange->conn, data + i, 1) || !conn_wait(exchange->conn, every_s))
            return 0;
    return 1;
}

static void slow_body(struct exchange *exchange, uint64_t bytes)
{
    double every_s = query_number(&exchange->query, "byte", 0);
    if (every_s <= 0) {
        exchange_pattern(exchange, 0, bytes);
        return;
    }
    for (uint64_t i = 0; i < bytes; i++)
        if (!exchange_pattern(exchange, i, 1) || !conn_wait(exchange->conn, every_s))
            return;
}

void behave_slow(struct exchange *exchange, const char *rest)
{
    (void)rest;
    const struct query *query = &exchange->query;
    int status = (int)query_count(query, "status", 200);
    uint64_t bytes = query_count(query, "bytes", 10);
    if (!conn_wait(exchange->conn, query_number(query, "headers", 0)))
        return;
    struct text head = {0};
    exchange_head(exchange, status, &head);
    text_format(&head, "Content-Length: %llu\r\n\r\n", (unsigned long long)bytes);
    double head_byte_s = query_number(query, "head_byte", 0);
    int sent = head_byte_s > 0 ? send_slowly(exchange, head.data, head.bytes, head_byte_s)
                               : conn_send(exchange->conn, head.data, head.bytes);
    text_free(&head);
    if (sent && exchange_has_body(exchange, status) &&
        conn_wait(exchange->conn, query_number(query, "body", 0)))
        slow_body(exchange, bytes);
}

/* Starts a chunked answer; 1 if chunks are to follow. */
static int begin_chunked(struct exchange *exchange)
{
    int status = (int)query_count(&exchange->query, "status", 200);
    struct text head = {0};
    exchange_head(exchange, status, &head);
    text_string(&head, "Transfer-Encoding: chunked\r\n\r\n");
    return exchange_text(exchange, &head) && exchange_has_body(exchange, status);
}

static int send_chunk(struct exchange *exchange, uint64_t from, uint64_t bytes)
{
    struct text size = {0};
    text_format(&size, "%llx\r\n", (unsigned long long)bytes);
    return exchange_text(exchange, &size) && exchange_pattern(exchange, from, bytes) &&
           conn_send(exchange->conn, "\r\n", 2);
}

static int send_chunks(struct exchange *exchange, uint64_t bytes, uint64_t piece, double every_s)
{
    for (uint64_t from = 0; from < bytes; from += piece) {
        uint64_t left = bytes - from;
        if (!send_chunk(exchange, from, left < piece ? left : piece) ||
            !conn_wait(exchange->conn, every_s))
            return 0;
    }
    return 1;
}

static void end_chunked(struct exchange *exchange)
{
    const struct query *query = &exchange->query;
    struct text end = {0};
    text_string(&end, "0\r\n");
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->list[i].name, "trailer") == 0)
            text_format(&end, "%s\r\n", query->list[i].value);
    text_string(&end, "\r\n");
    exchange_text(exchange, &end);
}

void behave_drip(struct exchange *exchange, const char *rest)
{
    (void)rest;
    const struct query *query = &exchange->query;
    uint64_t bytes = query_flag(query, "endless") ? UINT64_MAX : query_count(query, "bytes", 10);
    double every_s = query_number(query, "every", 0.1);
    if (begin_chunked(exchange) && send_chunks(exchange, bytes, 1, every_s))
        end_chunked(exchange);
}

void behave_big(struct exchange *exchange, const char *rest)
{
    const struct query *query = &exchange->query;
    uint64_t bytes =
        query_flag(query, "endless") ? UINT64_MAX / 2 : query_count(query, "bytes", 100000000);
    const char *length = query_text(query, "length", "1");
    if (strcmp(length, "close") == 0) { /* neither: the end of the connection ends the body */
        struct text head = {0};
        exchange->close = 1;
        exchange_head(exchange, 200, &head);
        text_string(&head, "\r\n");
        if (exchange_text(exchange, &head) && exchange_has_body(exchange, 200))
            exchange_pattern(exchange, 0, bytes);
        return;
    }
    if (strcmp(length, "0") == 0) {
        if (begin_chunked(exchange) && send_chunks(exchange, bytes, 65536, 0))
            end_chunked(exchange);
        return;
    }
    struct text head = {0};
    exchange_head(exchange, 200, &head);
    text_format(&head, "Content-Length: %llu\r\n\r\n", (unsigned long long)bytes);
    if (exchange_text(exchange, &head) && exchange_has_body(exchange, 200))
        exchange_pattern(exchange, 0, bytes);
    (void)rest;
}

/* Of the last chunk's extension, or of trailers. */
static void go_on_for_ever(struct exchange *exchange, const char *begin, const char *more)
{
    int going = conn_send(exchange->conn, begin, strlen(begin));
    while (going)
        going = conn_send(exchange->conn, more, strlen(more));
}

/* Breaks the framing in the middle of the body; what follows would be read as a chunk. */
static void break_chunks(struct exchange *exchange, const char *how, uint64_t piece)
{
    struct text wrong = {0};
    if (strcmp(how, "size") == 0)
        text_string(&wrong, "zz\r\nnot a size\r\n");
    else if (strcmp(how, "data") == 0)
        text_string(&wrong, "5\r\n0123456789 longer than it said\r\n0\r\n\r\n");
    else if (strcmp(how, "huge") == 0)
        text_string(&wrong, "ffffffffffffffffff\r\nmore than anything\r\n");
    if (wrong.bytes > 0)
        exchange_text(exchange, &wrong);
    else if (strcmp(how, "extension") == 0)
        go_on_for_ever(exchange, "5;x=", "an extension of no use ");
    else if (strcmp(how, "trailers") == 0)
        go_on_for_ever(exchange, "0\r\n", "X-Trailer: one more\r\n");
    else
        send_chunk(exchange, 0, piece); /* "end": no last chunk */
    exchange->close = 1;
}

void behave_chunked(struct exchange *exchange, const char *rest)
{
    (void)rest;
    const struct query *query = &exchange->query;
    uint64_t bytes = query_count(query, "bytes", 10000);
    uint64_t piece = query_count(query, "chunk", 1000);
    const char *broken = query_get(query, "broken");
    if (!begin_chunked(exchange))
        return;
    if (!send_chunks(exchange, bytes, piece > 0 ? piece : 1, query_number(query, "every", 0)))
        return;
    if (broken != NULL)
        break_chunks(exchange, broken, piece);
    else
        end_chunked(exchange);
}

static void compress_pattern(uint64_t bytes, struct text *packed)
{
    static const size_t PIECE = 100000; /* a multiple of ten */
    Bytef *in = memory_get(PIECE);
    Bytef *out = memory_get(PIECE);
    for (size_t i = 0; i < PIECE; i++)
        in[i] = (Bytef)('0' + i % 10);
    z_stream stream = {0};
    deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    int result = Z_OK;
    while (result != Z_STREAM_END) {
        if (stream.avail_in == 0 && bytes > 0) {
            stream.next_in = in;
            stream.avail_in = (uInt)(bytes < PIECE ? bytes : PIECE);
            bytes -= stream.avail_in;
        }
        stream.next_out = out;
        stream.avail_out = (uInt)PIECE;
        result = deflate(&stream, bytes > 0 ? Z_NO_FLUSH : Z_FINISH);
        text_bytes(packed, out, PIECE - stream.avail_out);
    }
    deflateEnd(&stream);
    free(in);
    free(out);
}

static void corrupt(struct text *packed, const char *how)
{
    if (strcmp(how, "truncated") == 0)
        packed->bytes /= 2;
    else if (strcmp(how, "crc") == 0)
        packed->data[packed->bytes - 8] = (char)~packed->data[packed->bytes - 8];
    else
        memset(packed->data, 'x', packed->bytes < 16 ? packed->bytes : 16);
}

void behave_gzip(struct exchange *exchange, const char *rest)
{
    (void)rest;
    const struct query *query = &exchange->query;
    const char *broken = query_get(query, "broken");
    struct text packed = {0};
    struct text head = {0};
    compress_pattern(query_count(query, "bytes", 10000), &packed);
    if (broken != NULL)
        corrupt(&packed, broken);
    exchange_head(exchange, 200, &head);
    text_format(&head, "Content-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
                query_text(query, "encoding", "gzip"), packed.bytes);
    if (exchange_text(exchange, &head) && exchange_has_body(exchange, 200))
        conn_send(exchange->conn, packed.data, packed.bytes);
    text_free(&packed);
}
