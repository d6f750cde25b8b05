#include "platform/memory.h"

#include "platform/blocks.h"

static void *resize(void *context, void *block, size_t new_bytes)
{
    (void)context;
    if (new_bytes == 0) {
        neap_blocks_give_back(block);
        return NULL;
    }
    return neap_blocks_resize(block, new_bytes);
}

const struct neap_alloc *neap_platform_alloc(void)
{
    static const struct neap_alloc alloc = {.resize = resize, .context = NULL};
    return &alloc;
}
