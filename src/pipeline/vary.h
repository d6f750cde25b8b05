/* The names of the request headers that an answer depends on (RFC 9110 12.5.5, RFC 9111 4.1): those
 * of the policy, and those of the Vary headers of what one URL has answered so far.
 *
 * In lower case, sorted, each once, so that equal sets are equal bytes. Plain data; pure. */
#ifndef NEAP_PIPELINE_VARY_H
#define NEAP_PIPELINE_VARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "base/status.h"
#include "policy/idempotency_key.h"

#define NEAP_VARY_NAMES_MAX 32u
#define NEAP_VARY_TEXT_MAX 1024u

struct neap_vary {
    /* `*` stood there, or there are more names than fit: no stored answer ever matches. */
    bool matches_nothing;
    uint16_t count, text_bytes;
    struct {
        uint16_t at, bytes;
    } name[NEAP_VARY_NAMES_MAX];
    char text[NEAP_VARY_TEXT_MAX];
};

void neap_vary_init(struct neap_vary *vary);

/* Adds the names of a list with commas, the value of one Vary header. */
void neap_vary_add(struct neap_vary *vary, const char *list, size_t bytes);

struct neap_text neap_vary_name(const struct neap_vary *vary, size_t index);

bool neap_vary_equal(const struct neap_vary *one, const struct neap_vary *other);

/* The names as a store keeps them. `*blob` is freed by neap_free. NEAP_NO_MEMORY. */
NEAP_MUST_CHECK enum neap_status neap_vary_write(const struct neap_vary *vary,
                                                 const struct neap_alloc *alloc, char **blob,
                                                 size_t *blob_bytes);

/* Adds the names in a block that neap_vary_write made. False, with `vary` untouched, where it is
 * something else. */
bool neap_vary_read(struct neap_vary *vary, const void *blob, size_t bytes);

#endif
