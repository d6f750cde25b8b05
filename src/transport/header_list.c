/* The headers of one hop as the list that libcurl wants, in one block that a transfer keeps:
 * libcurl only reads the list, so its nodes need no memory each of their own. */
#include <string.h>
#include <strings.h>

#include "transport/transport_internal.h"

/* How the message is framed is the transport's to say: another length than that of the body, or a
 * wait for "100 Continue" that libcurl would end by sending the request twice, is not to come in
 * through a header. */
static const char *const framing[] = {"Content-Length", "Transfer-Encoding", "Expect", NULL};

static const char *const conditions[] = {"If-None-Match", "If-Modified-Since", NULL};

/* With an empty value libcurl leaves these out; it would add them by itself. */
static const char *const unwanted[] = {"Expect:", "Content-Type:"};

struct writer {
    struct curl_slist *node;
    struct curl_slist **link;
    char *text;
};

static bool is_among(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0)
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
    size_t nodes = request->header_count + sizeof unwanted / sizeof *unwanted;
    size_t bytes = nodes * sizeof(struct curl_slist);
    for (size_t i = 0; i < request->header_count; i++)
        bytes += strlen(request->headers[i].name) + strlen(request->headers[i].value) + 3;
    return bytes + 32; /* the unwanted ones */
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

static void append_unwanted(struct writer *writer, bool has_type)
{
    size_t count = has_type ? 1 : 2;
    for (size_t i = 0; i < count; i++) {
        char *text = writer->text;
        writer->text = stpcpy(text, unwanted[i]) + 1;
        append_node(writer, text);
    }
}

struct curl_slist *neap_header_list(struct neap_transfer *transfer)
{
    const struct neap_request *request = &transfer->request;
    struct curl_slist *first = NULL;
    bool has_type = false;
    if (!make_room(transfer, block_bytes(request)))
        return NULL;
    size_t nodes = request->header_count + sizeof unwanted / sizeof *unwanted;
    struct writer writer = {.node = (struct curl_slist *)(void *)transfer->header_block,
                            .link = &first};
    writer.text = (char *)(writer.node + nodes);
    for (size_t i = 0; i < request->header_count; i++) {
        const struct neap_request_header *header = &request->headers[i];
        if (!is_sent(transfer, header->name))
            continue;
        has_type = has_type || strcasecmp(header->name, "Content-Type") == 0;
        append_header(&writer, header->name, header->value);
    }
    append_unwanted(&writer, has_type);
    return first;
}
