/* Products of twice 64 bits, also where the compiler has no type for them. */
#ifndef NEAP_BASE_WIDE_H
#define NEAP_BASE_WIDE_H

#include <stdint.h>

/* The upper half of a * b, exclusive-or the lower one. */
static inline uint64_t neap_fold_by_halves(uint64_t a, uint64_t b)
{
    uint64_t low = (a & UINT32_MAX) * (b & UINT32_MAX);
    uint64_t cross = (a >> 32) * (b & UINT32_MAX) + (low >> 32);
    uint64_t other = (a & UINT32_MAX) * (b >> 32) + (cross & UINT32_MAX);
    uint64_t high = (a >> 32) * (b >> 32) + (cross >> 32) + (other >> 32);
    return high ^ (other << 32 | (low & UINT32_MAX));
}

#if defined(__SIZEOF_INT128__)
__extension__ typedef unsigned __int128 neap_wide;

static inline uint64_t neap_fold(uint64_t a, uint64_t b)
{
    neap_wide product = (neap_wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
#else
#define neap_fold neap_fold_by_halves
#endif

#endif
