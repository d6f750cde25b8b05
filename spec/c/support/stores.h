/* The three kinds of store, so that one suite of behaviour runs against each.
 *
 * A kind that is not there (neap was built without its library, or there is no program to start) is
 * skipped, loudly, and where the variable CI is set it is a failure. */
#ifndef NEAP_SPEC_SUPPORT_STORES_H
#define NEAP_SPEC_SUPPORT_STORES_H

#include <stdbool.h>
#include <stddef.h>

#include "store/store.h"
#include "support/redis_server.h"

#define STORE_KINDS 3

struct store_kind {
    const char *name;
    bool is_shared; /* several objects work on the same data */
    enum neap_store_status (*open)(const struct neap_alloc *alloc, struct neap_store **store,
                                   char message[NEAP_MESSAGE_BYTES]);
};
extern const struct store_kind store_kinds[STORE_KINDS];

/* Why this kind cannot run here; NULL where it can. */
const char *stores_lack(const struct store_kind *kind);

/* The tests ask for a kind: what it needs is made, empty. */
void stores_prepare(const struct store_kind *kind);

/* A store of that kind, opened; fails the test where it cannot be. */
struct neap_store *stores_open(const struct store_kind *kind, const struct neap_alloc *alloc);

/* The SQLite file, made by its first user; the Redis, running after stores_prepare. */
const char *stores_path(void);
struct redis_server *stores_redis(void);

/* Removes all of it. */
void stores_remove(void);

/* Tells on stderr; the status with which a test program that can do nothing ends. */
int stores_skip(const char *what, const char *why);

/* ------------------------------------------------------------------------------------ shorthand */

struct neap_bytes bytes_of(const char *text);

/* A token, or a fingerprint, of that byte over and over. */
const uint8_t *token_of(char byte);
void fill_request(struct neap_claim_request *request, const char *key, char token, int64_t now_ns);

void assert_blob(const struct neap_blob *blob, const char *text);

#endif
