/* Open keys: of which keys the breaker is open, as noted by all who share a client.
 *
 * Up to NEAP_OPEN_KEYS are known at a time. A key that nobody has noted as open for
 * NEAP_OPEN_KEY_WINDOWS windows does not count any more: it may have been forgotten by then, with
 * its breaker. Equal keys have equal hashes in all processes; two keys of one hash count as one.
 *
 * Plain data of C11 atomics, empty when all is 0; any number of threads or processes may use it at
 * once, without a lock. `window` is the number of the window that is open now. */
#ifndef NEAP_METRICS_OPEN_KEYS_H
#define NEAP_METRICS_OPEN_KEYS_H

#include <stdatomic.h>
#include <stdint.h>

#define NEAP_OPEN_KEYS 16u
#define NEAP_OPEN_KEY_WINDOWS 10u

struct neap_open_keys {
    _Atomic uint64_t entry[NEAP_OPEN_KEYS]; /* hash and the number of a window; 0: free */
};

/* Where all places are taken, the key is not known. */
void neap_open_keys_note(struct neap_open_keys *keys, uint64_t hash, int64_t window);

/* It is not open any more. */
void neap_open_keys_forget(struct neap_open_keys *keys, uint64_t hash, int64_t window);

uint32_t neap_open_keys_count(const struct neap_open_keys *keys, int64_t window);

#endif
