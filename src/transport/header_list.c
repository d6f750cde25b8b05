/* The headers of one hop as the list that libcurl wants, in one block that a transfer keeps:
 * libcurl only reads the list, so its nodes need no memory each of their own. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/version.h"
#include "transport/transport_internal.h"

/* How the message is framed is the transport's to say: another length than that of the body, or a
 * wait for "100 Continue" that libcurl would end by sending the request twice, is not to come in
 * through a header. */
static const char *const framing[] = {"Content-Length", "Transfer-Encoding", "Expect", NULL};

static const char *const conditions[] = {"If-None-Match", "If-Modified-Since", NULL};

/* For less than so much libcurl adds no Expect, in any version. */
#define LEAST_EXPECT_BYTES 1000u

/* Headers that are there where the caller gives none of that name. libcurl would write out the
 * first two for each request anew, character by character. With an empty value it leaves the others
 * out, which it would add by itself to what has content. */
enum own { AGENT, ENCODING, TYPE, EXPECT, OWN_COUNT };

_Static_assert((int)OWN_COUNT == NEAP_OWN_HEADERS, "a header of ours has no room");

static const char *const own_names[OWN_COUNT] = {
    [AGENT] = "User-Agent",
    [ENCODING] = "Accept-Encoding",
    [TYPE] = "Content-Type",
    [EXPECT] = "Expect",
};

struct writer {
    struct curl_slist *node;
    struct curl_slist **link;
    char *text;
};

/* Most names are told apart by their first letter. */
static bool is_same(const char *a, const char *b)
{
    return ((a[0] ^ b[0]) & ~0x20) == 0 && strcasecmp(a, b) == 0;
}

static bool is_among(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (is_same(name, *names))
            return true;
    return false;
}

static bool is_about_content(const char *name)
{
    return strncasecmp(name, "Content-", 8) == 0 || strcasecmp(name, "Idempotency-Key") == 0;
}

static bool is_sent(const struct neap_transfer *transfer, const char *name)
{
    if (is_among(name, framing))
        return false;
    if (transfer->without_content && is_about_content(name))
        return false;
    if (transfer->hops > 0 && transfer->request.own_conditions && is_among(name, conditions))
        return false;
    return !transfer->foreign || neap_header_is_harmless(name);
}

static bool is_blank(const char *value)
{
    return value[strspn(value, " \t")] == '\0';
}

static void append_node(struct writer *writer, char *text)
{
    *writer->node = (struct curl_slist){.data = text, .next = NULL};
    *writer->link = writer->node;
    writer->link = &writer->node->next;
    writer->node++;
}

/* "Name: value"; to libcurl "Name;" is a header with an empty value. */
static void append_header(struct writer *writer, const char *name, const char *value)
{
    char *text = writer->text;
    char *end = stpcpy(text, name);
    end = is_blank(value) ? stpcpy(end, ";") : stpcpy(stpcpy(end, ": "), value);
    writer->text = end + 1;
    append_node(writer, text);
}

static size_t block_bytes(const struct neap_request *request)
{
    size_t nodes = request->header_count + OWN_COUNT;
    size_t bytes = nodes * sizeof(struct curl_slist);
    for (size_t i = 0; i < request->header_count; i++)
        bytes += strlen(request->headers[i].name) + strlen(request->headers[i].value) + 3;
    return bytes;
}

static bool make_room(struct neap_transfer *transfer, size_t bytes)
{
    const struct neap_alloc *alloc = transfer->transport->alloc;
    if (transfer->header_block_bytes >= bytes)
        return true;
    char *block = neap_resize(alloc, transfer->header_block, bytes);
    if (!block)
        return false;
    transfer->header_block = block;
    transfer->header_block_bytes = bytes;
    return true;
}

static void note_own(const char *name, bool given[OWN_COUNT])
{
    for (int own = 0; own < OWN_COUNT; own++)
        given[own] = given[own] || is_same(name, own_names[own]);
}

static void append_own(struct writer *writer, const struct neap_transfer *transfer,
                       const bool given[OWN_COUNT])
{
    struct neap_stock *stock = transfer->transport->stock;
    const struct neap_request *request = &transfer->request;
    bool wanted[OWN_COUNT] = {
        [AGENT] = true,
        [ENCODING] = true,
        [TYPE] = neap_request_has_content(request),
        [EXPECT] = request->body_bytes >= LEAST_EXPECT_BYTES,
    };
    for (int own = 0; own < OWN_COUNT; own++)
        if (wanted[own] && !given[own])
            append_node(writer, stock->own_header[own]);
}

struct curl_slist *neap_header_list(struct neap_transfer *transfer)
{
    const struct neap_request *request = &transfer->request;
    struct curl_slist *first = NULL;
    bool given[OWN_COUNT] = {false};
    if (!make_room(transfer, block_bytes(request)))
        return NULL;
    struct writer writer = {.node = (struct curl_slist *)(void *)transfer->header_block,
                            .link = &first};
    writer.text = (char *)(writer.node + request->header_count + OWN_COUNT);
    for (size_t i = 0; i < request->header_count; i++) {
        const struct neap_request_header *header = &request->headers[i];
        if (!is_sent(transfer, header->name))
            continue;
        note_own(header->name, given);
        append_header(&writer, header->name, header->value);
    }
    append_own(&writer, transfer, given);
    return first;
}

/* As libcurl names to servers what it can decode. */
static void write_encodings(char *text, size_t bytes)
{
    int features = curl_version_info(CURLVERSION_NOW)->features;
    snprintf(text, bytes, "Accept-Encoding: %s%s%s",
             features & CURL_VERSION_LIBZ ? "deflate, gzip" : "identity",
             features & CURL_VERSION_BROTLI ? ", br" : "",
             features & CURL_VERSION_ZSTD ? ", zstd" : "");
}

void neap_header_list_init(struct neap_stock *stock)
{
    char(*texts)[NEAP_OWN_HEADER_BYTES] = stock->own_header;
    snprintf(texts[AGENT], NEAP_OWN_HEADER_BYTES, "%s: neap/%s", own_names[AGENT], NEAP_VERSION);
    write_encodings(texts[ENCODING], NEAP_OWN_HEADER_BYTES);
    snprintf(texts[TYPE], NEAP_OWN_HEADER_BYTES, "%s:", own_names[TYPE]);
    snprintf(texts[EXPECT], NEAP_OWN_HEADER_BYTES, "%s:", own_names[EXPECT]);
}
