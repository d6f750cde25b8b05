/* HTTP/2 on one connection (RFC 9113), as much as it takes to go wrong in its ways. */
#include "h2.h"

#include "h2_frame.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_STREAMS = 128 };

enum { NO_ERROR = 0, INTERNAL_ERROR = 2, REFUSED_STREAM = 7, ENHANCE_YOUR_CALM = 11 };

struct h2;
struct stream;

struct action {
    const char *name;
    int at_start; /* as soon as the headers are there, not at the end of the request */
    void (*run)(struct h2 *h2, struct stream *stream);
};

struct stream {
    uint32_t id;  /* 0: unused */
    int ended;    /* the whole request is here */
    int given_up; /* by the client, and yet to be answered */
    double due_s; /* when to answer, 0: not waiting */
    double argument;
    uint64_t body_bytes;
    const struct action *action;
};

struct h2 {
    struct server *server;
    struct conn *conn;
    uint32_t last_id;
    uint32_t headers_id; /* whose header block is not complete, 0: none */
    int headers_end;     /* and whether it ends its stream */
    struct stream streams[MAX_STREAMS];
};

/* --- streams ------------------------------------------------------------------------------- */

static struct stream *find(struct h2 *h2, uint32_t id)
{
    for (size_t i = 0; i < MAX_STREAMS; i++)
        if (h2->streams[i].id == id)
            return &h2->streams[i];
    return NULL;
}

static void forget(struct h2 *h2, struct stream *stream, enum stream_event event)
{
    ledger_stream(h2->server->ledger, event);
    *stream = (struct stream){0};
}

/* --- actions ------------------------------------------------------------------------------- */

static void answer(struct h2 *h2, struct stream *stream, int status, const char *body, size_t bytes)
{
    if (h2_send_headers(h2->conn, stream->id, status))
        h2_send_data(h2->conn, stream->id, body, bytes, 1);
    forget(h2, stream, STREAM_ANSWERED);
}

static void answer_with_status(struct h2 *h2, struct stream *stream, int status)
{
    struct text json = {0};
    text_format(&json, "{\"stream\":%u,\"connection\":%llu,\"body_bytes\":%llu}", stream->id,
                (unsigned long long)h2->conn->id, (unsigned long long)stream->body_bytes);
    answer(h2, stream, status, json.data, json.bytes);
    text_free(&json);
}

static void act_answer(struct h2 *h2, struct stream *stream)
{
    answer_with_status(h2, stream, 200);
}

static void act_status(struct h2 *h2, struct stream *stream)
{
    answer_with_status(h2, stream, (int)stream->argument);
}

static void act_body(struct h2 *h2, struct stream *stream)
{
    double wanted = stream->argument;
    size_t bytes = wanted > 0 && wanted < H2_FRAME_BYTES ? (size_t)wanted : H2_FRAME_BYTES;
    char *body = memory_get(bytes);
    memset(body, 'x', bytes);
    answer(h2, stream, 200, body, bytes);
    free(body);
}

static void act_slow(struct h2 *h2, struct stream *stream)
{
    if (stream->due_s > 0)
        answer_with_status(h2, stream, 200);
    else
        stream->due_s = clock_s() + stream->argument;
}

static void act_stall(struct h2 *h2, struct stream *stream)
{
    (void)h2;
    (void)stream;
}

/* Only once the client has given up: see answer_the_given_up. */
static void act_late(struct h2 *h2, struct stream *stream)
{
    (void)h2;
    (void)stream;
}

static void act_refuse(struct h2 *h2, struct stream *stream)
{
    h2_send_reset(h2->conn, stream->id, REFUSED_STREAM);
    forget(h2, stream, STREAM_REFUSED);
}

static void act_calm(struct h2 *h2, struct stream *stream)
{
    h2_send_reset(h2->conn, stream->id, ENHANCE_YOUR_CALM);
    forget(h2, stream, STREAM_RESET);
}

static void act_reset(struct h2 *h2, struct stream *stream)
{
    h2_send_reset(h2->conn, stream->id, INTERNAL_ERROR);
    forget(h2, stream, STREAM_RESET);
}

static void act_partial(struct h2 *h2, struct stream *stream)
{
    if (h2_send_headers(h2->conn, stream->id, 200))
        h2_send_data(h2->conn, stream->id, "half of ", 8, 0);
    act_reset(h2, stream);
}

/* No stream was processed: all of them may be tried elsewhere. */
static void act_goaway(struct h2 *h2, struct stream *stream)
{
    h2_send_goaway(h2->conn, 0, NO_ERROR);
    forget(h2, stream, STREAM_GOAWAY);
    conn_finish(h2->conn);
}

/* This one is answered, later ones are not welcome. */
static void act_graceful(struct h2 *h2, struct stream *stream)
{
    h2_send_goaway(h2->conn, stream->id, NO_ERROR);
    act_answer(h2, stream);
    conn_finish(h2->conn);
}

/* A head without end. */
static void act_flood(struct h2 *h2, struct stream *stream)
{
    int going = h2_begin_headers(h2->conn, stream->id, 200);
    while (going)
        going = h2_go_on_with_headers(h2->conn, stream->id);
    forget(h2, stream, STREAM_DROPPED);
}

static void act_drop(struct h2 *h2, struct stream *stream)
{
    forget(h2, stream, STREAM_DROPPED);
    conn_drop(h2->conn);
}

static void act_kill(struct h2 *h2, struct stream *stream)
{
    forget(h2, stream, STREAM_DROPPED);
    conn_reset(h2->conn);
}

static void act_garbage(struct h2 *h2, struct stream *stream)
{
    static const char wrong[] = "\x00\x00\x01\x04\x00\x00\x00\x00\x07these are no frames";
    conn_send(h2->conn, wrong, sizeof wrong - 1);
    forget(h2, stream, STREAM_DROPPED);
    conn_finish(h2->conn);
}

static const struct action actions[] = {
    {"answer", 0, act_answer}, {"status", 0, act_status},     {"body", 0, act_body},
    {"slow", 0, act_slow},     {"stall", 0, act_stall},       {"refuse", 1, act_refuse},
    {"calm", 1, act_calm},     {"reset", 0, act_reset},       {"partial", 0, act_partial},
    {"goaway", 1, act_goaway}, {"graceful", 0, act_graceful}, {"drop", 0, act_drop},
    {"kill", 0, act_kill},     {"garbage", 0, act_garbage},   {"late", 0, act_late},
    {"flood", 0, act_flood},
};

static const struct action *next_action(struct h2 *h2, double *argument)
{
    struct step step = {0};
    const struct action *found = &actions[0];
    if (!scripts_next(h2->server->actions, "h2", &step))
        return found;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(actions[i].name, step.what) == 0)
            found = &actions[i];
    *argument = step.argument;
    free(step.what);
    return found;
}

/* --- frames -------------------------------------------------------------------------------- */

static void request_ended(struct h2 *h2, struct stream *stream)
{
    if (stream->ended)
        return;
    stream->ended = 1;
    stream->action->run(h2, stream);
}

/* Late answers come when the next call has begun, and before its own. */
static void answer_the_given_up(struct h2 *h2)
{
    for (size_t i = 0; i < MAX_STREAMS; i++)
        if (h2->streams[i].given_up)
            answer_with_status(h2, &h2->streams[i], 200);
}

static void open_stream(struct h2 *h2, uint32_t id, int ended)
{
    answer_the_given_up(h2);
    struct stream *stream = find(h2, 0);
    h2->last_id = id;
    if (stream == NULL) {
        h2_send_reset(h2->conn, id, REFUSED_STREAM);
        return;
    }
    ledger_stream(h2->server->ledger, STREAM_SEEN);
    *stream = (struct stream){.id = id};
    stream->action = next_action(h2, &stream->argument);
    if (stream->action->at_start)
        stream->action->run(h2, stream);
    else if (ended)
        request_ended(h2, stream);
}

/* A header block is complete: a new request, or the trailers of one. */
static void on_headers(struct h2 *h2)
{
    uint32_t id = h2->headers_id;
    struct stream *stream = find(h2, id);
    h2->headers_id = 0;
    if (stream == NULL && id > h2->last_id)
        open_stream(h2, id, h2->headers_end);
    else if (stream != NULL && h2->headers_end)
        request_ended(h2, stream);
}

static void on_data(struct h2 *h2, const struct h2_frame *frame)
{
    struct stream *stream = find(h2, frame->stream);
    int ended = (frame->flags & H2_END_STREAM) != 0;
    if (frame->bytes > 0) {
        h2_send_window(h2->conn, 0, frame->bytes);
        if (stream != NULL && !ended)
            h2_send_window(h2->conn, frame->stream, frame->bytes);
    }
    if (stream == NULL)
        return;
    stream->body_bytes += h2_data_bytes(frame);
    if (ended)
        request_ended(h2, stream);
}

static void on_frame(struct h2 *h2, const struct h2_frame *frame)
{
    struct stream *stream;
    switch (frame->type) {
    case H2_DATA:
        on_data(h2, frame);
        break;
    case H2_HEADERS:
        h2->headers_id = frame->stream;
        h2->headers_end = (frame->flags & H2_END_STREAM) != 0;
        if (frame->flags & H2_END_HEADERS)
            on_headers(h2);
        break;
    case H2_CONTINUATION:
        if (frame->flags & H2_END_HEADERS)
            on_headers(h2);
        break;
    case H2_RST_STREAM:
        stream = frame->stream != 0 ? find(h2, frame->stream) : NULL;
        if (stream != NULL && stream->action->run == act_late)
            stream->given_up = 1;
        else if (stream != NULL)
            forget(h2, stream, STREAM_CANCELLED);
        break;
    case H2_SETTINGS:
    case H2_PING:
        if (!(frame->flags & H2_ACK))
            h2_send_ack(h2->conn, frame);
        break;
    }
}

/* --- the connection ------------------------------------------------------------------------ */

static double next_due(const struct h2 *h2)
{
    double due_s = -1;
    for (size_t i = 0; i < MAX_STREAMS; i++) {
        double one_s = h2->streams[i].due_s;
        if (one_s > 0 && (due_s < 0 || one_s < due_s))
            due_s = one_s;
    }
    return due_s;
}

static void answer_the_due(struct h2 *h2)
{
    double now_s = clock_s();
    for (size_t i = 0; i < MAX_STREAMS; i++) {
        struct stream *stream = &h2->streams[i];
        if (stream->due_s > 0 && stream->due_s <= now_s)
            stream->action->run(h2, stream);
    }
}

/* 1 if the connection goes on. */
static int step(struct h2 *h2, struct h2_frame *frame)
{
    double due_s = next_due(h2);
    double timeout_s = due_s < 0 ? -1 : due_s - clock_s();
    enum conn_event event = conn_fill(h2->conn, timeout_s < 0 && due_s >= 0 ? 0 : timeout_s);
    if (event == CONN_GONE)
        return 0;
    if (event == CONN_DATA) {
        if (!h2_read_frame(h2->conn, frame))
            return 0;
        on_frame(h2, frame);
    }
    answer_the_due(h2);
    return !h2->conn->gone;
}

void serve_h2(struct server *server, struct conn *conn)
{
    struct h2 *h2 = memory_get(sizeof *h2);
    struct h2_frame *frame = memory_get(sizeof *frame);
    h2->server = server;
    h2->conn = conn;
    ledger_use(server->ledger, conn);
    if (h2_greet(conn))
        while (step(h2, frame))
            continue;
    for (size_t i = 0; i < MAX_STREAMS; i++)
        if (h2->streams[i].id != 0)
            forget(h2, &h2->streams[i], STREAM_CANCELLED);
    free(frame);
    free(h2);
}
