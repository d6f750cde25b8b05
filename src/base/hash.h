/* A keyed hash of byte strings, safe for keys that a stranger chose: SipHash-1-3 (Aumasson and
 * Bernstein, "SipHash: a fast short-input PRF", 2012). Whoever does not know the seed cannot make
 * keys that collide. The same seed gives the same hash on every machine. */
#ifndef NEAP_BASE_HASH_H
#define NEAP_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct neap_hash_seed {
    uint64_t word[2];
};

uint64_t neap_hash(const struct neap_hash_seed *seed, const void *data, size_t bytes);

/* A third of the work for a name: keyed products, folded (the way of Wang Yi's wyhash). Which names
 * collide is for the seed to say. Not a pseudo-random function: for tables whose seed, hashes and
 * times stay inside, and that bear long chains. The same on every machine, as above. */
uint64_t neap_hash_name(const struct neap_hash_seed *seed, const void *name, size_t bytes);

#endif
