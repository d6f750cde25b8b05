/* A growing buffer of bytes, for texts and bodies whose length nobody knows beforehand.
 *
 * After an append a NUL stands behind the last byte (not counted), so `data` is a C string where no
 * NUL was appended; before the first append `data` is NULL. What is appended must not lie inside
 * the buffer itself. NEAP_NO_MEMORY leaves it as it was. One thread at a time. */
#ifndef NEAP_BASE_BUFFER_H
#define NEAP_BASE_BUFFER_H

#include <stddef.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"

struct neap_buffer {
    const struct neap_alloc *alloc;
    char *data;
    size_t bytes, capacity;
};

void neap_buffer_init(struct neap_buffer *buffer, const struct neap_alloc *alloc);

/* Frees the memory; the buffer is empty and may be used again. */
void neap_buffer_deinit(struct neap_buffer *buffer);

/* Makes room for so many more bytes at once. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_buffer_reserve(struct neap_buffer *buffer, size_t bytes);

/* NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_buffer_append(struct neap_buffer *buffer, const void *data,
                                                    size_t bytes);
NEAP_MUST_CHECK enum neap_status neap_buffer_append_text(struct neap_buffer *buffer,
                                                         const char *text);

/* As printf. NEAP_NO_MEMORY; NEAP_INVALID where the format cannot be carried out. */
NEAP_MUST_CHECK NEAP_PRINTF(2, 3) enum neap_status
    neap_buffer_append_format(struct neap_buffer *buffer, const char *format, ...);

/* Empty again; the memory is kept. */
void neap_buffer_clear(struct neap_buffer *buffer);

#endif
