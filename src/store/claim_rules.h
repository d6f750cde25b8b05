/* The rules of a claim as a pure function, for the kinds that read a claim before they write it. */
#ifndef NEAP_STORE_CLAIM_RULES_H
#define NEAP_STORE_CLAIM_RULES_H

#include "store/store.h"

/* What is stored of a claim beside its result. */
struct neap_claim_record {
    uint8_t fingerprint[NEAP_STORE_DIGEST_BYTES];
    uint8_t token[NEAP_STORE_TOKEN_BYTES];
    int64_t lease_end_ns, expires_ns;
    bool recovered; /* by its present owner */
    bool done;      /* it has a result */
};

enum neap_claim_verdict {
    NEAP_CLAIM_FIRST,  /* NEW: the record was made anew, and a result stored before is void */
    NEAP_CLAIM_TAKEN,  /* NEW: the record has changed its owner or its lease */
    NEAP_CLAIM_REFUSED /* RUNNING or DONE: the record is as it was */
};

/* Fills `claim`, but not its result, and changes `record` where it is claimed. `exists` is false
 * where there is no record. */
enum neap_claim_verdict neap_claim_judge(struct neap_claim_record *record, bool exists,
                                         const struct neap_claim_request *request,
                                         struct neap_claim *claim);

/* Whether the record, which has not expired, is this token's; with or without a result. */
bool neap_claim_is_of(const struct neap_claim_record *record, const uint8_t *token, int64_t now_ns);

#endif
