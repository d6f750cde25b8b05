/* The C library's memory as an allocator of ours. */
#ifndef NEAP_PLATFORM_MEMORY_H
#define NEAP_PLATFORM_MEMORY_H

#include "base/alloc.h"

/* realloc and free; any thread may use it. Never NULL; lives for ever. */
const struct neap_alloc *neap_platform_alloc(void);

#endif
