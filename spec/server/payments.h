/* The money: payments taken, with idempotency keys, and the answers that got lost on purpose.
 *
 * Safe to use from several threads. */
#ifndef MISBEHAVE_PAYMENTS_H
#define MISBEHAVE_PAYMENTS_H

#include "base.h"

struct payments;

struct payment {
    uint64_t id;  /* 0: not taken */
    int replayed; /* the key was seen before, no new payment was made */
    int mishap;   /* the caller is to lose this one, before or after as it asked */
};

enum mishap { MISHAP_NONE, MISHAP_BEFORE, MISHAP_AFTER };

struct payments *payments_new(void);
void payments_free(struct payments *payments);
void payments_reset(struct payments *payments);

/* An attempt to pay, with the key as the header had it (NULL: none). A mishap befalls each key
 * once, and each attempt without a key; MISHAP_BEFORE leaves the money where it is. */
struct payment payments_attempt(struct payments *payments, const char *key, uint32_t body_crc,
                                enum mishap mishap);

/* Adds members of the report, without braces around them. */
void payments_report(struct payments *payments, struct text *json);

#endif
