/* Redirect: which hop follows a response, by RFC 9110 15.4.
 *
 * libcurl would follow by itself, but would not say what it drops on the way to another origin.
 * Here nothing private goes there: only the headers that header_list.c names, no client
 * certificate, and no way back into confidence once a hop has been foreign. */
#include <string.h>
#include <strings.h>

#include "transport/transport_internal.h"

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool refuse(struct neap_transfer *transfer, const char *why)
{
    neap_verdict_fail(transfer, NEAP_KIND_REDIRECT, NEAP_PHASE_NONE, "redirect (%d): %s",
                      transfer->response->status, why);
    return false;
}

/* What servers put raw into a Location though RFC 3986 wants it encoded: spaces and bytes above
 * ASCII. */
static enum neap_status append_encoded(struct neap_buffer *buffer, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        enum neap_status status = c == ' ' || c >= 0x80
                                      ? neap_buffer_append_format(buffer, "%%%02X", c)
                                      : neap_buffer_append(buffer, text + i, 1);
        if (status != NEAP_OK)
            return status;
    }
    return neap_buffer_append(buffer, "", 1);
}

static const char *text_of(enum neap_url_error error)
{
    return error == NEAP_URL_SCHEME ? "it leads to another scheme than http or https"
                                    : "its Location is malformed";
}

static bool check_host(struct neap_transfer *transfer)
{
    return neap_reach_allows_host(&transfer->transport->stock->settings,
                                  transfer->next_url.origin) ||
           refuse(transfer, "it leads to a host that is not among policy.allow_hosts");
}

static bool resolve(struct neap_transfer *transfer, const char *location, size_t bytes)
{
    const struct neap_alloc *alloc = transfer->transport->alloc;
    struct neap_buffer buffer;
    enum neap_url_error error = NEAP_URL_NO_MEMORY;
    neap_buffer_init(&buffer, alloc);
    if (append_encoded(&buffer, location, bytes) == NEAP_OK)
        error = neap_url_resolve(alloc, transfer->request.url, buffer.data, NULL, 0,
                                 &transfer->next_url);
    neap_buffer_deinit(&buffer);
    if (error == NEAP_URL_OK)
        return check_host(transfer);
    if (error != NEAP_URL_NO_MEMORY)
        return refuse(transfer, text_of(error));
    neap_verdict_starve(transfer, "not enough memory");
    return false;
}

bool neap_redirect_decide(struct neap_transfer *transfer)
{
    const struct neap_response *response = transfer->response;
    uint32_t limit = transfer->transport->stock->settings.redirects;
    size_t bytes, other_bytes;
    if (limit == 0 || !is_redirect(response->status))
        return false;
    const char *location = neap_response_header(response, "Location", 0, &bytes);
    if (!location)
        return false;
    if (neap_response_header(response, "Location", 1, &other_bytes))
        return refuse(transfer, "it names more than one Location");
    if (bytes == 0)
        return refuse(transfer, "its Location is empty");
    if (transfer->hops >= limit)
        return refuse(transfer, "more in a row than are allowed");
    return resolve(transfer, location, bytes);
}

static bool becomes_get(const struct neap_transfer *transfer)
{
    const char *method = transfer->request.method;
    int status = transfer->response->status;
    if (strcmp(method, "HEAD") == 0)
        return false;
    return status == 303 || (status < 303 && strcmp(method, "POST") == 0);
}

static enum neap_url_error check_origin(const struct neap_transfer *transfer, bool *differs)
{
    struct neap_url present;
    enum neap_url_error error = neap_url_resolve(transfer->transport->alloc, NULL,
                                                 transfer->request.url, NULL, 0, &present);
    if (error != NEAP_URL_OK)
        return error;
    *differs = strcmp(present.origin, transfer->next_url.origin) != 0;
    neap_url_deinit(&present);
    return NEAP_URL_OK;
}

static void become_get(struct neap_transfer *transfer)
{
    transfer->request.method = "GET";
    transfer->request.body = NULL;
    transfer->request.body_bytes = 0;
    transfer->without_content = true;
}

enum neap_status neap_redirect_advance(struct neap_transfer *transfer)
{
    bool differs;
    enum neap_url_error error = check_origin(transfer, &differs);
    if (error != NEAP_URL_OK)
        return error == NEAP_URL_NO_MEMORY ? NEAP_NO_MEMORY : NEAP_SYSTEM;
    transfer->foreign = transfer->foreign || differs;
    if (becomes_get(transfer))
        become_get(transfer);
    neap_url_deinit(&transfer->url);
    transfer->url = transfer->next_url;
    transfer->next_url = (struct neap_url){.alloc = transfer->transport->alloc};
    transfer->request.url = transfer->url.text;
    transfer->request.resolved = &transfer->url;
    transfer->redirects_to_next = false;
    transfer->sent_before = true;
    transfer->hops++;
    return NEAP_OK;
}
