/* What happened: counts of connections, requests and HTTP/2 streams, and the last requests. */
#include "ledger.h"

#include "map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_ENTRIES = 4096 };

struct entry {
    double at;
    uint64_t number;
    uint64_t body_bytes;
    uint32_t body_crc;
    struct text about; /* JSON members known when the head was read */
};

struct ledger {
    pthread_mutex_t lock;
    uint64_t connection_number;
    uint64_t request_number;
    uint64_t accepted;
    uint64_t open;
    uint64_t used; /* of the open connections */
    uint64_t max_open;
    uint64_t handshakes;
    uint64_t handshakes_failed;
    uint64_t handshakes_resumed;
    uint64_t requests;
    uint64_t in_flight;
    uint64_t max_in_flight;
    uint64_t streams[STREAM_EVENTS];
    struct map ports; /* to uint64_t, as are the next two */
    struct map methods;
    struct map paths;
    struct entry log[LOG_ENTRIES]; /* entry of a request: its number modulo the size */
    uint64_t log_first;            /* smallest number that a reset has not removed */
};

struct ledger *ledger_new(void)
{
    struct ledger *ledger = memory_get(sizeof *ledger);
    pthread_mutex_init(&ledger->lock, NULL);
    return ledger;
}

static void empty(struct ledger *ledger)
{
    map_clear(&ledger->ports, NULL);
    map_clear(&ledger->methods, NULL);
    map_clear(&ledger->paths, NULL);
    for (size_t i = 0; i < LOG_ENTRIES; i++)
        text_free(&ledger->log[i].about);
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    empty(ledger);
    pthread_mutex_destroy(&ledger->lock);
    free(ledger);
}

void ledger_reset(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    empty(ledger);
    ledger->accepted = 0;
    ledger->max_open = ledger->used;
    ledger->handshakes = 0;
    ledger->handshakes_failed = 0;
    ledger->handshakes_resumed = 0;
    ledger->requests = 0;
    ledger->max_in_flight = ledger->in_flight;
    memset(ledger->streams, 0, sizeof ledger->streams);
    ledger->log_first = ledger->request_number;
    pthread_mutex_unlock(&ledger->lock);
}

static void count(struct map *map, const char *key)
{
    uint64_t *value = map_make(map, key, sizeof *value);
    ++*value;
}

uint64_t ledger_connect(struct ledger *ledger, const char *port)
{
    pthread_mutex_lock(&ledger->lock);
    uint64_t number = ++ledger->connection_number;
    ledger->accepted++;
    ledger->open++;
    count(&ledger->ports, port);
    pthread_mutex_unlock(&ledger->lock);
    return number;
}

void ledger_disconnect(struct ledger *ledger, const struct conn *conn)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->open--;
    if (conn->used)
        ledger->used--;
    pthread_mutex_unlock(&ledger->lock);
}

static void use(struct ledger *ledger, struct conn *conn)
{
    if (conn->used)
        return;
    conn->used = 1;
    ledger->used++;
    if (ledger->used > ledger->max_open)
        ledger->max_open = ledger->used;
}

void ledger_use(struct ledger *ledger, struct conn *conn)
{
    pthread_mutex_lock(&ledger->lock);
    use(ledger, conn);
    pthread_mutex_unlock(&ledger->lock);
}

/* A reset may have come between the accept and this. */
static void uncount(uint64_t *value)
{
    if (value != NULL && *value > 0)
        --*value;
}

void ledger_forget_connection(struct ledger *ledger, const char *port)
{
    pthread_mutex_lock(&ledger->lock);
    uncount(&ledger->accepted);
    uncount(map_get(&ledger->ports, port));
    ledger->open--;
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_handshake(struct ledger *ledger, int succeeded, int resumed)
{
    pthread_mutex_lock(&ledger->lock);
    if (succeeded)
        ledger->handshakes++;
    else
        ledger->handshakes_failed++;
    if (resumed)
        ledger->handshakes_resumed++;
    pthread_mutex_unlock(&ledger->lock);
}

static void begin(struct ledger *ledger)
{
    ledger->in_flight++;
    if (ledger->in_flight > ledger->max_in_flight)
        ledger->max_in_flight = ledger->in_flight;
}

static void write_entry(struct entry *entry, uint64_t number, struct text *about)
{
    text_free(&entry->about);
    *entry = (struct entry){.at = clock_s(), .number = number, .about = *about};
}

uint64_t ledger_request(struct ledger *ledger, struct conn *conn, const struct request *request)
{
    struct text about = {0};
    text_format(&about, "\"connection\":%llu,\"request_on_connection\":%u,\"method\":",
                (unsigned long long)conn->id, request->number);
    text_json(&about, request->method, strlen(request->method));
    text_string(&about, ",\"target\":");
    text_json(&about, request->target, strlen(request->target));
    text_string(&about, ",\"headers\":");
    request_headers_json(request, &about);
    char *path = memory_string(request->target, strcspn(request->target, "?"));

    pthread_mutex_lock(&ledger->lock);
    uint64_t number = ledger->request_number++;
    ledger->requests++;
    use(ledger, conn);
    begin(ledger);
    count(&ledger->methods, request->method);
    count(&ledger->paths, path);
    write_entry(&ledger->log[number % LOG_ENTRIES], number, &about);
    pthread_mutex_unlock(&ledger->lock);
    free(path);
    return number;
}

void ledger_body(struct ledger *ledger, uint64_t number, const struct request *request)
{
    pthread_mutex_lock(&ledger->lock);
    struct entry *entry = &ledger->log[number % LOG_ENTRIES];
    if (entry->number == number) {
        entry->body_bytes = request->body_bytes;
        entry->body_crc = request->body_crc;
    }
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_done(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->in_flight--;
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_stream(struct ledger *ledger, enum stream_event event)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->streams[event]++;
    if (event == STREAM_SEEN)
        begin(ledger);
    else
        ledger->in_flight--;
    pthread_mutex_unlock(&ledger->lock);
}

static void report_number(struct text *json, const char *name, uint64_t value)
{
    text_format(json, "\"%s\":%llu,", name, (unsigned long long)value);
}

static void report_map(struct text *json, const char *name, const struct map *map)
{
    text_format(json, "\"%s\":{", name);
    for (const struct map_entry *entry = map->first; entry != NULL; entry = entry->next) {
        const uint64_t *value = entry->value;
        text_json(json, entry->key, strlen(entry->key));
        text_format(json, ":%llu%s", (unsigned long long)*value, entry->next != NULL ? "," : "");
    }
    text_string(json, "},");
}

static void report_streams(struct text *json, const uint64_t *streams)
{
    static const char *const names[STREAM_EVENTS] = {
        [STREAM_SEEN] = "streams",        [STREAM_ANSWERED] = "answered",
        [STREAM_REFUSED] = "refused",     [STREAM_RESET] = "reset",
        [STREAM_GOAWAY] = "goaway",       [STREAM_DROPPED] = "dropped",
        [STREAM_CANCELLED] = "cancelled",
    };
    text_string(json, "\"h2\":{");
    for (size_t i = 0; i < STREAM_EVENTS; i++)
        text_format(json, "%s\"%s\":%llu", i > 0 ? "," : "", names[i],
                    (unsigned long long)streams[i]);
    text_string(json, "}");
}

void ledger_report(struct ledger *ledger, struct text *json)
{
    pthread_mutex_lock(&ledger->lock);
    report_number(json, "accepted", ledger->accepted);
    report_number(json, "open", ledger->open);
    report_number(json, "max_open", ledger->max_open);
    report_number(json, "handshakes", ledger->handshakes);
    report_number(json, "handshakes_failed", ledger->handshakes_failed);
    report_number(json, "handshakes_resumed", ledger->handshakes_resumed);
    report_number(json, "requests", ledger->requests);
    report_number(json, "in_flight", ledger->in_flight);
    report_number(json, "max_in_flight", ledger->max_in_flight);
    report_map(json, "ports", &ledger->ports);
    report_map(json, "methods", &ledger->methods);
    report_map(json, "paths", &ledger->paths);
    report_streams(json, ledger->streams);
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_log(struct ledger *ledger, size_t last, struct text *json)
{
    pthread_mutex_lock(&ledger->lock);
    uint64_t end = ledger->request_number;
    uint64_t first = ledger->log_first;
    uint64_t most = last < LOG_ENTRIES ? last : LOG_ENTRIES;
    if (end - first > most)
        first = end - most;
    text_string(json, "[");
    for (uint64_t number = first; number < end; number++) {
        const struct entry *entry = &ledger->log[number % LOG_ENTRIES];
        text_format(json, "%s{\"at\":%.6f,\"body_bytes\":%llu,\"body_crc32\":\"%08x\",%s}",
                    number > first ? "," : "", entry->at, (unsigned long long)entry->body_bytes,
                    entry->body_crc, entry->about.data);
    }
    text_string(json, "]");
    pthread_mutex_unlock(&ledger->lock);
}
