#include "base/alloc.h"

#include <stdint.h>
#include <string.h>

void *neap_alloc(const struct neap_alloc *alloc, size_t bytes)
{
    return alloc->resize(alloc->context, NULL, bytes > 0 ? bytes : 1);
}

void *neap_alloc_zeroed(const struct neap_alloc *alloc, size_t bytes)
{
    void *block = neap_alloc(alloc, bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

void *neap_alloc_array(const struct neap_alloc *alloc, size_t count, size_t bytes)
{
    if (bytes > 0 && count > SIZE_MAX / bytes)
        return NULL;
    return neap_alloc_zeroed(alloc, count * bytes);
}

void *neap_resize(const struct neap_alloc *alloc, void *block, size_t bytes)
{
    return alloc->resize(alloc->context, block, bytes > 0 ? bytes : 1);
}

char *neap_copy_text(const struct neap_alloc *alloc, const char *text, size_t bytes)
{
    char *copy = neap_alloc(alloc, bytes + 1);
    if (!copy)
        return NULL;
    if (bytes > 0)
        memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return copy;
}

void neap_free(const struct neap_alloc *alloc, void *block)
{
    if (block)
        alloc->resize(alloc->context, block, 0);
}
