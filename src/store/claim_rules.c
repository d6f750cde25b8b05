#include "store/claim_rules.h"

#include <string.h>

#include "base/duration.h"
#include "base/secret.h"
#include "store/store_internal.h"

static bool is_token(const struct neap_claim_record *record, const uint8_t *token)
{
    return neap_is_same_secret(record->token, token, NEAP_STORE_TOKEN_BYTES);
}

static void give_to(struct neap_claim_record *record, const struct neap_claim_request *request)
{
    memcpy(record->token, request->token, sizeof record->token);
    record->lease_end_ns = neap_store_end_ns(request->now_ns, request->lease_ns);
}

static enum neap_claim_verdict begin(struct neap_claim_record *record,
                                     const struct neap_claim_request *request)
{
    *record = (struct neap_claim_record){
        .expires_ns = neap_store_end_ns(request->now_ns, request->ttl_ns),
    };
    memcpy(record->fingerprint, request->fingerprint, sizeof record->fingerprint);
    give_to(record, request);
    return NEAP_CLAIM_FIRST;
}

enum neap_claim_verdict neap_claim_judge(struct neap_claim_record *record, bool exists,
                                         const struct neap_claim_request *request,
                                         struct neap_claim *claim)
{
    *claim = (struct neap_claim){.state = NEAP_CLAIM_NEW};
    if (!exists || request->now_ns >= record->expires_ns)
        return begin(record, request);

    bool is_mine = is_token(record, request->token);
    bool has_ended = request->now_ns >= record->lease_end_ns;
    claim->other_work =
        memcmp(record->fingerprint, request->fingerprint, sizeof record->fingerprint) != 0;
    if (record->done) {
        claim->state = NEAP_CLAIM_DONE;
        return NEAP_CLAIM_REFUSED;
    }
    if (claim->other_work || !(is_mine || has_ended)) {
        claim->state = NEAP_CLAIM_RUNNING;
        claim->lease_left_ns = neap_time_since(record->lease_end_ns, request->now_ns);
        return NEAP_CLAIM_REFUSED;
    }
    record->recovered = record->recovered || !is_mine;
    give_to(record, request);
    claim->recovered = record->recovered;
    return NEAP_CLAIM_TAKEN;
}

bool neap_claim_is_of(const struct neap_claim_record *record, const uint8_t *token, int64_t now_ns)
{
    return now_ns < record->expires_ns && is_token(record, token);
}
