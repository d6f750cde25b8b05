/* The Redis kind: the scripts that its steps are, in the Lua that Redis carries.
 *
 * Every script gets the prefix of all keys and whether it is tried again (see redis_step.h), then
 * its own arguments. It answers an array whose first element is OK, LOST or NONE, or for a claim
 * its state. A script makes the names of its keys itself, hence no Redis Cluster.
 *
 *   c:<key>     hash, a claim: f fingerprint, t token, l end of lease, x expiry, r recovered, d
 * done, v result v:<key>     hash, a cached answer: x expiry, v value oi          the last id of an
 * outbox entry op:<token>  the id that this try to put was given, for ten minutes oe:<id>     hash,
 * an entry: o outbox, k ordering key, s state (w waiting, t taken, d dead), d due or end of lease,
 * t token, n attempts, p put, v value, y reason, z died, w where it is scheduled ("r", "l" or "t",
 * then its member there), "" nowhere or:<outbox> sorted set by id: entries that may be given out
 *   ol:<outbox> sorted set of "<due>:<id>": entries whose moment is to come
 *   ot:<outbox> the same of taken ones, by the end of their leases
 *   oa:<outbox> set: the living
 *   od:<outbox> sorted set by id: the dead
 *   oq:<length of outbox>:<outbox><ordering key>  sorted set by id: a lane, the living of one
 *               ordering key
 *
 * Moments are decimals of 19 digits, compared as texts, since Lua's numbers hold no nanoseconds of
 * our days. Of each lane exactly one entry is scheduled: the taken one, else the first. */
#ifndef NEAP_STORE_REDIS_SCRIPTS_H
#define NEAP_STORE_REDIS_SCRIPTS_H

enum neap_redis_script {
    NEAP_REDIS_CLAIM, /* key, fingerprint, token, now, end of lease, expiry, milliseconds to keep */
    NEAP_REDIS_RENEW, /* key, token, now, end of lease */
    NEAP_REDIS_FINISH,  /* key, token, now, result */
    NEAP_REDIS_RELEASE, /* key, token, now */

    NEAP_REDIS_PUT, /* key, expiry, milliseconds to keep, value */

    NEAP_REDIS_OUTBOX_PUT,    /* outbox, ordering key, value, now, token of this try */
    NEAP_REDIS_OUTBOX_TAKE,   /* outbox, token, now, end of lease */
    NEAP_REDIS_OUTBOX_RENEW,  /* id, token, now, end of lease */
    NEAP_REDIS_OUTBOX_DONE,   /* id, token */
    NEAP_REDIS_OUTBOX_RETRY,  /* id, token, due */
    NEAP_REDIS_OUTBOX_BURY,   /* id, token, reason, now */
    NEAP_REDIS_OUTBOX_COUNT,  /* outbox, now */
    NEAP_REDIS_OUTBOX_DEAD,   /* outbox, after */
    NEAP_REDIS_OUTBOX_REVIVE, /* id, now */
    NEAP_REDIS_OUTBOX_DROP,   /* id */

    NEAP_REDIS_SCRIPTS
};

extern const char *const neap_redis_text[NEAP_REDIS_SCRIPTS];

#endif
