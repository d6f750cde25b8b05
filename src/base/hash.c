#include "base/hash.h"

static uint64_t rotate_left(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static void mix(uint64_t v[4])
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

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    mix(v);
    v[0] ^= word;
}

static uint64_t little_endian(const uint8_t *data, size_t bytes)
{
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; i++)
        word |= (uint64_t)data[i] << (8 * i);
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
        absorb(v, little_endian(at, 8));
    absorb(v, little_endian(at, left) | (uint64_t)bytes << 56);
    v[2] ^= 0xFF;
    mix(v);
    mix(v);
    mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
