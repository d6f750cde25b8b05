#include "platform/memory.h"

#include <stdlib.h>

static void *resize(void *context, void *block, size_t new_bytes)
{
    (void)context;
    if (new_bytes == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, new_bytes);
}

const struct neap_alloc *neap_platform_alloc(void)
{
    static const struct neap_alloc alloc = {.resize = resize, .context = NULL};
    return &alloc;
}
