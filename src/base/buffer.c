#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SMALLEST_CAPACITY 64u

void neap_buffer_init(struct neap_buffer *buffer, const struct neap_alloc *alloc)
{
    *buffer = (struct neap_buffer){.alloc = alloc};
}

void neap_buffer_deinit(struct neap_buffer *buffer)
{
    neap_free(buffer->alloc, buffer->data);
    *buffer = (struct neap_buffer){.alloc = buffer->alloc};
}

static size_t doubled_until(size_t capacity, size_t needed)
{
    if (capacity < SMALLEST_CAPACITY)
        capacity = SMALLEST_CAPACITY;
    while (capacity < needed && capacity <= SIZE_MAX / 2)
        capacity *= 2;
    return capacity < needed ? needed : capacity;
}

/* Room for so many more bytes and the NUL. */
static enum neap_status make_room(struct neap_buffer *buffer, size_t bytes)
{
    if (bytes > SIZE_MAX - 1 - buffer->bytes)
        return NEAP_NO_MEMORY;
    size_t needed = buffer->bytes + bytes + 1;
    if (needed <= buffer->capacity)
        return NEAP_OK;
    size_t capacity = doubled_until(buffer->capacity, needed);
    char *data = neap_resize(buffer->alloc, buffer->data, capacity);
    if (!data)
        return NEAP_NO_MEMORY;
    buffer->data = data;
    buffer->capacity = capacity;
    return NEAP_OK;
}

enum neap_status neap_buffer_reserve(struct neap_buffer *buffer, size_t bytes)
{
    return make_room(buffer, bytes);
}

enum neap_status neap_buffer_append(struct neap_buffer *buffer, const void *data, size_t bytes)
{
    if (make_room(buffer, bytes) != NEAP_OK)
        return NEAP_NO_MEMORY;
    if (bytes > 0)
        memcpy(buffer->data + buffer->bytes, data, bytes);
    buffer->bytes += bytes;
    buffer->data[buffer->bytes] = '\0';
    return NEAP_OK;
}

enum neap_status neap_buffer_append_text(struct neap_buffer *buffer, const char *text)
{
    return neap_buffer_append(buffer, text, strlen(text));
}

NEAP_PRINTF(2, 0)
static enum neap_status measure(size_t *bytes, const char *format, va_list arguments)
{
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0)
        return NEAP_INVALID;
    *bytes = (size_t)length;
    return NEAP_OK;
}

enum neap_status neap_buffer_append_format(struct neap_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    size_t bytes = 0;
    va_start(arguments, format);
    enum neap_status status = measure(&bytes, format, arguments);
    va_end(arguments);
    if (status == NEAP_OK)
        status = make_room(buffer, bytes);
    if (status != NEAP_OK)
        return status;
    va_start(arguments, format);
    (void)vsnprintf(buffer->data + buffer->bytes, bytes + 1, format, arguments);
    va_end(arguments);
    buffer->bytes += bytes;
    return NEAP_OK;
}

void neap_buffer_clear(struct neap_buffer *buffer)
{
    buffer->bytes = 0;
    if (buffer->data)
        buffer->data[0] = '\0';
}
