/* Comparing what must not be guessed byte by byte: owner tokens, and header values of calls that
 * may be made for different people. */
#ifndef NEAP_BASE_SECRET_H
#define NEAP_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Whether so many bytes are the same; takes as long wherever they differ. `volatile` keeps the
 * compiler from leaving the loop early. */
static inline bool neap_is_same_secret(const void *one, const void *other, size_t bytes)
{
    const volatile unsigned char *a = one, *b = other;
    unsigned char difference = 0;
    for (size_t i = 0; i < bytes; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return difference == 0;
}

/* The same of two texts; only their lengths show. */
static inline bool neap_is_same_secret_text(const char *one, const char *other)
{
    size_t bytes = strlen(one);
    return bytes == strlen(other) && neap_is_same_secret(one, other, bytes);
}

#endif
