/* A small seeded generator for jitter and probes: xoshiro256** (Blackman and Vigna, 2018), its
 * state filled by SplitMix64. Not for secrets: keys draw from the platform's entropy. */
#ifndef NEAP_BASE_RANDOM_H
#define NEAP_BASE_RANDOM_H

#include <stdint.h>

struct neap_random {
    uint64_t state[4];
};

/* The same seed gives the same sequence on every machine. */
void neap_random_init(struct neap_random *random, uint64_t seed);

uint64_t neap_random_next(struct neap_random *random);

/* Uniform in [0, 1), with 53 bits. */
double neap_random_unit(struct neap_random *random);

#endif
