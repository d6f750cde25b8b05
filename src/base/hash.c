#include "base/hash.h"

#include "base/wide.h"

static uint64_t rotate_left(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

/* The four words stay in registers only if everything is in one function. */
static inline void mix(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[3];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[2] = rotate_left(v[2], 32);
}

static inline void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    mix(v);
    v[0] ^= word;
}

/* Without a loop the compiler makes it one load. */
static inline uint64_t load_8(const uint8_t *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
           (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 |
           (uint64_t)at[7] << 56;
}

static inline uint64_t load_4(const uint8_t *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
}

/* Fewer than 8 bytes. */
static inline uint64_t load_rest(const uint8_t *at, size_t bytes)
{
    uint64_t word = 0;
    if (bytes >= 4)
        return load_4(at) | load_4(at + bytes - 4) << 8 * (bytes - 4);
    for (size_t i = 0; i < bytes; i++)
        word |= (uint64_t)at[i] << (8 * i);
    return word;
}

uint64_t neap_hash(const struct neap_hash_seed *seed, const void *data, size_t bytes)
{
    const uint64_t *k = seed->word;
    uint64_t v[4] = {k[0] ^ UINT64_C(0x736F6D6570736575), k[1] ^ UINT64_C(0x646F72616E646F6D),
                     k[0] ^ UINT64_C(0x6C7967656E657261), k[1] ^ UINT64_C(0x7465646279746573)};
    const uint8_t *at = data;
    size_t left = bytes;
    for (; left >= 8; left -= 8, at += 8)
        absorb(v, load_8(at));
    absorb(v, load_rest(at, left) | (uint64_t)bytes << 56);
    v[2] ^= 0xFF;
    mix(v);
    mix(v);
    mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The first and the last bytes of at most 16, which overlap where there are fewer. */
static inline void load_ends(const uint8_t *at, size_t bytes, uint64_t *first, uint64_t *last)
{
    *first = *last = 0;
    if (bytes >= 8) {
        *first = load_8(at);
        *last = load_8(at + bytes - 8);
    } else if (bytes >= 4) {
        *first = load_4(at);
        *last = load_4(at + bytes - 4);
    } else if (bytes > 0) {
        *first = (uint64_t)at[0] << 16 | (uint64_t)at[bytes / 2] << 8 | at[bytes - 1];
    }
}

uint64_t neap_hash_name(const struct neap_hash_seed *seed, const void *name, size_t bytes)
{
    const uint8_t *at = name;
    uint64_t hash = seed->word[0] + bytes;
    uint64_t first, last;
    for (; bytes > 16; bytes -= 16, at += 16)
        hash = neap_fold(load_8(at) ^ seed->word[1], load_8(at + 8) ^ hash);
    load_ends(at, bytes, &first, &last);
    hash = neap_fold(first ^ seed->word[1], last ^ hash);
    return neap_fold(hash ^ seed->word[0], seed->word[1]);
}
