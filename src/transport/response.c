#include "transport/response.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

enum neap_status neap_response_new(const struct neap_alloc *alloc, struct neap_response **response)
{
    struct neap_response *made = neap_alloc(alloc, sizeof *made);
    if (!made)
        return NEAP_NO_MEMORY;
    memset(made, 0, offsetof(struct neap_response, inlined));
    made->alloc = alloc;
    made->header = made->inlined;
    made->header_capacity = NEAP_HEADERS_INLINE;
    neap_buffer_init(&made->reason, alloc);
    neap_buffer_init(&made->head, alloc);
    neap_buffer_init(&made->body, alloc);
    *response = made;
    return NEAP_OK;
}

static void destroy(struct neap_response *response)
{
    neap_buffer_deinit(&response->body);
    neap_buffer_deinit(&response->head);
    neap_buffer_deinit(&response->reason);
    if (response->header != response->inlined)
        neap_free(response->alloc, response->header);
    neap_free(response->alloc, response->url);
    neap_free(response->alloc, response);
}

/* As many as calls are under way at once on a busy client, and of the size of most answers. */
#define SHELF_MAX 64u
#define SHELVED_BYTES_MAX 4096u
#define SHELVED_HEADERS_MAX 64u

static bool fits_on(const struct neap_response_shelf *shelf, const struct neap_response *response)
{
    return shelf && shelf->count < SHELF_MAX && response->body.capacity <= SHELVED_BYTES_MAX &&
           response->head.capacity <= SHELVED_BYTES_MAX &&
           response->reason.capacity <= SHELVED_BYTES_MAX &&
           response->header_capacity <= SHELVED_HEADERS_MAX;
}

void neap_response_free(struct neap_response *response)
{
    if (!response)
        return;
    if (response->others > 0) {
        response->others--;
        return;
    }
    struct neap_response_shelf *shelf = response->shelf;
    if (!fits_on(shelf, response)) {
        destroy(response);
        return;
    }
    neap_response_clear(response);
    response->shelf = NULL;
    response->next = shelf->first;
    shelf->first = response;
    shelf->count++;
}

struct neap_response *neap_response_shelf_take(struct neap_response_shelf *shelf)
{
    struct neap_response *response = shelf->first;
    if (!response)
        return NULL;
    shelf->first = response->next;
    shelf->count--;
    response->next = NULL;
    return response;
}

void neap_response_shelf_deinit(struct neap_response_shelf *shelf)
{
    struct neap_response *response;
    while ((response = neap_response_shelf_take(shelf)) != NULL)
        destroy(response);
}

struct neap_response *neap_response_hold(struct neap_response *response)
{
    response->others++;
    return response;
}

void neap_response_clear(struct neap_response *response)
{
    neap_free(response->alloc, response->url);
    response->url = NULL;
    response->foreign = false;
    response->status = 0;
    response->http_version = 0;
    response->header_count = 0;
    response->initials = 0;
    neap_buffer_clear(&response->reason);
    neap_buffer_clear(&response->head);
    neap_buffer_clear(&response->body);
}

/* Twice as many; the first ones leave `inlined`. */
static enum neap_status grow(struct neap_response *response)
{
    bool is_inlined = response->header == response->inlined;
    uint32_t capacity = response->header_capacity * 2;
    void *header = neap_resize(response->alloc, is_inlined ? NULL : response->header,
                               capacity * sizeof *response->header);
    if (!header)
        return NEAP_NO_MEMORY;
    if (is_inlined)
        memcpy(header, response->inlined, sizeof response->inlined);
    response->header = header;
    response->header_capacity = capacity;
    return NEAP_OK;
}

static enum neap_status make_room(struct neap_response *response)
{
    if (response->header_count < response->header_capacity)
        return NEAP_OK;
    return response->header_capacity > UINT32_MAX / 2 ? NEAP_NO_MEMORY : grow(response);
}

/* The spans count in 32 bits; headers beyond 4 GB are not to be held. */
static bool fits(const struct neap_response *response, size_t name_bytes, size_t value_bytes)
{
    return name_bytes < UINT32_MAX / 4 && value_bytes < UINT32_MAX / 4 &&
           response->head.bytes < UINT32_MAX / 4;
}

static uint32_t initial_of(const char *name)
{
    return UINT32_C(1) << (name[0] & 0x1f);
}

/* Of what was put behind the head: the name begins there, the value ends the head. */
static void note_header(struct neap_response *response, size_t name_at, size_t name_bytes,
                        size_t value_bytes)
{
    const struct neap_buffer *head = &response->head;
    response->header[response->header_count++] =
        (struct neap_header_span){.name_at = (uint32_t)name_at,
                                  .name_bytes = (uint32_t)name_bytes,
                                  .value_at = (uint32_t)(head->bytes - value_bytes),
                                  .value_bytes = (uint32_t)value_bytes};
    response->initials |= initial_of(head->data + name_at);
}

enum neap_status neap_response_add_header(struct neap_response *response, const char *name,
                                          size_t name_bytes, const char *value, size_t value_bytes)
{
    size_t before = response->head.bytes;
    if (!fits(response, name_bytes, value_bytes) || make_room(response) != NEAP_OK)
        return NEAP_NO_MEMORY;
    if (neap_buffer_append(&response->head, name, name_bytes) != NEAP_OK)
        return NEAP_NO_MEMORY;
    if (neap_buffer_append(&response->head, value, value_bytes) != NEAP_OK) {
        response->head.bytes = before;
        return NEAP_NO_MEMORY;
    }
    note_header(response, before, name_bytes, value_bytes);
    return NEAP_OK;
}

enum neap_status neap_response_add_line(struct neap_response *response, const char *line,
                                        size_t line_bytes, size_t name_bytes, size_t value_bytes)
{
    size_t before = response->head.bytes;
    if (!fits(response, line_bytes, value_bytes) || make_room(response) != NEAP_OK ||
        neap_buffer_append(&response->head, line, line_bytes) != NEAP_OK)
        return NEAP_NO_MEMORY;
    note_header(response, before, name_bytes, value_bytes);
    return NEAP_OK;
}

enum neap_status neap_response_extend_header(struct neap_response *response, const char *more,
                                             size_t more_bytes)
{
    if (response->header_count == 0)
        return NEAP_INVALID;
    struct neap_header_span *last = &response->header[response->header_count - 1];
    size_t before = response->head.bytes;
    if (!fits(response, 0, more_bytes) || neap_buffer_append(&response->head, " ", 1) != NEAP_OK)
        return NEAP_NO_MEMORY;
    if (neap_buffer_append(&response->head, more, more_bytes) != NEAP_OK) {
        response->head.bytes = before;
        return NEAP_NO_MEMORY;
    }
    last->value_bytes += (uint32_t)(1 + more_bytes);
    return NEAP_OK;
}

static bool has_name(const struct neap_response *response, const struct neap_header_span *span,
                     const char *name, size_t name_bytes)
{
    return span->name_bytes == name_bytes &&
           strncasecmp(response->head.data + span->name_at, name, name_bytes) == 0;
}

const char *neap_response_header(const struct neap_response *response, const char *name,
                                 uint32_t nth, size_t *value_bytes)
{
    if (!(response->initials & initial_of(name)))
        return NULL;
    size_t name_bytes = strlen(name);
    for (uint32_t i = 0; i < response->header_count; i++) {
        const struct neap_header_span *span = &response->header[i];
        if (!has_name(response, span, name, name_bytes) || nth-- > 0)
            continue;
        *value_bytes = span->value_bytes;
        return response->head.data + span->value_at;
    }
    return NULL;
}
