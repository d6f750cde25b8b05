/* Notice: what libcurl lets us know on the way to a response: connecting, sending, its talk.
 *
 * libcurl repeats a request by itself when a reused connection ends before a byte of response, for
 * any method: the request may have been carried out, and would be paid twice. The repetition shows
 * as a second connecting or sending within a hop, and is stopped there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/transport_internal.h"

#define GO_ON 0
#define STOP 1

/* The handle keeps libcurl's memory of a refused stream, which would make the loss of a later
 * request look like a refusal. */
static void stop_repetition(struct neap_transfer *transfer)
{
    transfer->worn = true;
    neap_verdict_of_repetition(transfer);
}

static bool begins_to_connect(struct neap_transfer *transfer)
{
    if (transfer->sent) {
        stop_repetition(transfer);
        return false;
    }
    if (transfer->stage != NEAP_STAGE_WAITING)
        return true;
    if (neap_sharing_is_connecting(transfer))
        transfer->stage = NEAP_STAGE_CONNECT; /* since it began to wait */
    else
        neap_stage_enter(transfer, NEAP_STAGE_CONNECT);
    return true;
}

static int on_resolve(void *resolver, void *reserved, void *context)
{
    (void)resolver;
    (void)reserved;
    return begins_to_connect(context) ? GO_ON : STOP;
}

static int open_socket(struct neap_transfer *transfer, const struct curl_sockaddr *address)
{
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) {
        transfer->starved |= errno != EAFNOSUPPORT && errno != EACCES;
        return -1;
    }
    if (neap_sockets_open(transfer->shard, fd))
        return fd;
    transfer->starved = true;
    close(fd);
    return -1;
}

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct neap_transfer *transfer = context;
    (void)purpose;
    if (!begins_to_connect(transfer))
        return CURL_SOCKET_BAD;
    if (transfer->transport->stock->settings.deny_private && neap_reach_is_inner(&address->addr)) {
        transfer->denied = true; /* libcurl goes on to the next address, if there is one */
        return CURL_SOCKET_BAD;
    }
    int fd = open_socket(transfer, address);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    transfer->dialled = true;
    return fd;
}

static int on_send(void *context, char *peer, char *local, int peer_port, int local_port)
{
    struct neap_transfer *transfer = context;
    (void)peer;
    (void)local;
    (void)peer_port;
    (void)local_port;
    if (transfer->sent) {
        stop_repetition(transfer);
        return CURL_PREREQFUNC_ABORT;
    }
    if (transfer->may_send && !transfer->may_send(transfer->context)) {
        neap_verdict_fail(transfer, NEAP_KIND_CANCELLED, NEAP_PHASE_NONE, "it was given up");
        return CURL_PREREQFUNC_ABORT;
    }
    transfer->sent = true;
    neap_sharing_note_sent(transfer);
    if (transfer->dialled)
        transfer->transport->stats.opened++;
    else
        transfer->transport->stats.reused++;
    neap_stage_enter(transfer,
                     transfer->request.body_bytes > 0 ? NEAP_STAGE_WRITE : NEAP_STAGE_READ);
    return CURL_PREREQFUNC_OK;
}

static int on_progress(void *context, curl_off_t download_total, curl_off_t downloaded,
                       curl_off_t upload_total, curl_off_t uploaded)
{
    (void)download_total;
    (void)downloaded;
    (void)upload_total;
    neap_stage_uploaded(context, uploaded);
    return GO_ON;
}

/* The number behind `label` in libcurl's talk. */
static bool number_after(const char *text, const char *label, uint32_t *number)
{
    char *end;
    const char *at = strstr(text, label);
    if (!at)
        return false;
    unsigned long value = strtoul(at + strlen(label), &end, 10);
    if (end == at + strlen(label) || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

/* A stream above the last one that the server names in GOAWAY was not processed (RFC 9113 6.8). */
static void hear_goaway(struct neap_transfer *transfer, const char *text)
{
    uint32_t last;
    if (strstr(text, "GOAWAY, error=") && number_after(text, "last_stream=", &last) &&
        transfer->stream_id > last)
        transfer->refused = true;
}

/* Where the response's end is known by its head alone, or by its last chunk, libcurl drops what
 * came behind it and goes on with the connection. What comes behind that would be taken for the
 * answer to the next request (RFC 9112 6.3 forbids it, 11.1 tells of the attack). */
static bool is_surplus(const char *text)
{
    return strncmp(text, "Excess found", 12) == 0 ||
           strncmp(text, "Leftovers after chunking", 24) == 0;
}

/* Said by 7.80 to 7.88 in these words; where a version says it otherwise, a refusal is not proved
 * and stays a reset. */
static void hear(struct neap_transfer *transfer, const char *text)
{
    if (number_after(text, "Using Stream ID: ", &transfer->stream_id))
        return;
    if (transfer->connection_minded && is_surplus(text))
        curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
    else if (strncmp(text, "REFUSED_STREAM", 14) == 0)
        transfer->refused = true;
    else
        hear_goaway(transfer, text);
}

static int on_talk(CURL *easy, curl_infotype type, char *data, size_t bytes, void *context)
{
    char text[128];
    (void)easy;
    if (type != CURLINFO_TEXT)
        return GO_ON;
    bytes = bytes < sizeof text ? bytes : sizeof text - 1;
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    hear(context, text);
    return GO_ON;
}

void neap_notice_watch_end(struct neap_transfer *transfer)
{
    transfer->connection_minded = true;
    curl_easy_setopt(transfer->easy, CURLOPT_VERBOSE, 1L);
}

void neap_notice_leave_connection(struct neap_transfer *transfer)
{
    transfer->connection_minded = true;
    curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
}

void neap_notice_mind_no_more(struct neap_transfer *transfer)
{
    if (!transfer->connection_minded)
        return;
    transfer->connection_minded = false;
    curl_easy_setopt(transfer->easy, CURLOPT_VERBOSE, 0L);
    curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 0L);
}

void neap_notice_install(struct neap_transfer *transfer)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, on_resolve);
    curl_easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, transfer);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_send);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_talk);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error_text);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
}
