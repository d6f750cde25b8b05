/* One call's life: a state machine that is told events and answers effects.
 *
 * It does no I/O, reads no clock and calls nobody. The driver performs each effect and comes back
 * with an event:
 *
 *     SEND a           begin attempt a            -> OUTCOME a, when it has ended
 *     CANCEL a         end attempt a              -> OUTCOME a, at once (what it would have come to
 *                                                    does not matter, `unsent` does)
 *     WAIT             nothing can be done now    -> TIME at neap_call_next_wakeup, or earlier
 *     ASK q            Lua must say something     -> ANSWER
 *     FALLBACK i       run entry i of the chain   -> ANSWER
 *     STORED           is there a stored answer that may stand in for this failure?
 *                                                 -> ANSWER
 *     DONE             the result is there        -> nothing any more
 *
 * While attempts are live the driver also steps with TIME at neap_call_next_wakeup; after SEND it
 * waits as after WAIT. CANCEL (the event) may come at any time and ends in DONE, and so does
 * REFUSE, by a host that cannot wait. More than one attempt can be live at once. SERVE in place of
 * BEGIN ends a call that a stored answer is enough for, before anything is asked or sent.
 *
 * A call may begin with FOLLOW instead: it waits for the outcome of another one that is alike, the
 * leader. SHARE brings that outcome, and then the call goes on with its own fallbacks; BEGIN, where
 * the leader is lost, lets it make attempts of its own; its own deadline ends it as any call.
 *
 * All waiting, refusing and repeating is decided here, in the order of docs/order.md. A call is
 * used by one thread; the state it shares with others (breaker, gates, …) is atomic. */
#ifndef NEAP_PIPELINE_CALL_H
#define NEAP_PIPELINE_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/outcome.h"
#include "base/random.h"
#include "metrics/counters.h"
#include "pipeline/pipeline.h"
#include "pipeline/trace.h"
#include "policy/cache_control.h"

#define NEAP_LIVE_MAX 2 /* attempts live at once */

enum neap_event_kind {
    NEAP_EVENT_BEGIN,
    NEAP_EVENT_SERVE,
    NEAP_EVENT_TIME,
    NEAP_EVENT_OUTCOME,
    NEAP_EVENT_ANSWER,
    NEAP_EVENT_CANCEL,
    NEAP_EVENT_REFUSE,
    NEAP_EVENT_FOLLOW,
    NEAP_EVENT_SHARE
};

/* What a response says about coming back; delays are -1 where it says nothing. */
struct neap_hint {
    int64_t retry_after_ns; /* Retry-After */
    int64_t rate_limit_ns;  /* RateLimit or X-RateLimit of an exhausted quota */
    bool foreign;   /* said by another origin than the one that was asked: no gate is closed */
    int stands_for; /* the response says that this one, of that status, is still good; 0: none */
};

struct neap_answer {
    enum neap_opinion when;    /* ASK WHEN */
    bool has_verdict;          /* ASK FAILURE: false leaves the default */
    enum neap_verdict verdict; /* ASK FAILURE */
    double delay_s;            /* ASK BACKOFF; below 0 or NaN counts as 0 */
    bool refreshed;            /* ASK REFRESH: there are new headers */
    bool answered;             /* FALLBACK, STORED: this is the answer */
    enum neap_source source;   /* FALLBACK and STORED, whether answered or not; SERVE */
    bool ok;                   /* answered: a response below 400, or a value */
    int status;                /* of its response, 0 if none */
    enum neap_kind error;      /* FALLBACK: what went wrong in it */
};

struct neap_event {
    enum neap_event_kind kind;
    uint32_t attempt;                   /* OUTCOME */
    const struct neap_outcome *outcome; /* OUTCOME */
    struct neap_hint hint;              /* OUTCOME */
    struct neap_answer answer;          /* ANSWER, SERVE */
    const struct neap_call *leader;     /* SHARE: has concluded, and neap_call_may_share */
};

enum neap_effect_kind {
    NEAP_EFFECT_SEND,
    NEAP_EFFECT_CANCEL,
    NEAP_EFFECT_WAIT,
    NEAP_EFFECT_ASK,
    NEAP_EFFECT_FALLBACK,
    NEAP_EFFECT_STORED,
    NEAP_EFFECT_DONE
};

enum neap_question { NEAP_ASK_FAILURE, NEAP_ASK_REFRESH, NEAP_ASK_WHEN, NEAP_ASK_BACKOFF };

struct neap_effect {
    enum neap_effect_kind kind;
    uint32_t attempt;            /* SEND, CANCEL: the number of the attempt, from 1 */
    int64_t left_ns;             /* SEND: until the call's deadline */
    enum neap_question question; /* ASK */
    uint32_t retry;              /* ASK BACKOFF: the n of this retry */
    bool queued;                 /* WAIT: in the bulkhead's queue; to be stepped with TIME as soon
                                    as it is the first there and a place may be free */
    bool chaos;                  /* SEND: disturbed as the policy says */
    uint32_t fallback;           /* FALLBACK: index from 0 */
    int64_t max_stale_ns;        /* STORED: of the fallback; NEAP_CACHE_UNSAID: stale-if-error */
};

enum neap_result_kind {
    NEAP_RESULT_RESPONSE, /* the last response that an attempt had */
    NEAP_RESULT_ERROR,    /* see `outcome` */
    NEAP_RESULT_FALLBACK, /* what the fallback answered */
    NEAP_RESULT_STORED    /* the stored answer that was served, found still good, or stood in */
};

struct neap_result {
    enum neap_result_kind kind;
    /* RESPONSE, ERROR, and STORED by its status; of the failure behind it for FALLBACK */
    struct neap_outcome outcome;
    enum neap_source source; /* where there is an answer */
    int64_t retry_after_ns;  /* -1: nobody said */
};

/* What listeners are told; bit 1 << notice in neap_call_setup.watched asks for it. */
enum neap_notice_kind {
    NEAP_NOTICE_ATTEMPT,
    NEAP_NOTICE_RETRY,
    NEAP_NOTICE_REJECT,
    NEAP_NOTICE_BREAKER,
    NEAP_NOTICE_FALLBACK,
    NEAP_NOTICE_DONE,
    NEAP_NOTICE_COUNT
};

struct neap_notice {
    enum neap_notice_kind kind;
    int64_t at_ns;
    uint32_t attempt;                   /* attempts made so far */
    struct neap_trace_entry entry;      /* the entry of the trace that it is about */
    double delay_s;                     /* RETRY */
    bool ok;                            /* DONE */
    enum neap_source source;            /* DONE, where there is an answer */
    struct neap_breaker_change breaker; /* BREAKER */
};

/* A step makes at most so many; the driver takes them after each. */
#define NEAP_NOTICE_MAX 12u

struct neap_call_setup {
    const struct neap_alloc *alloc;
    const struct neap_pipeline *pipeline;
    struct neap_pipeline_state state;
    struct neap_counters *counters;
    _Atomic int32_t *in_flight; /* this process's calls begun and not ended */
    struct neap_random *random;
    struct neap_timeouts timeout; /* the policy's, or the request's own */
    int64_t deadline_ns;          /* the request's own; NEAP_NEVER: none */
    bool replayable;
    bool is_private;               /* one thread alone has the counters */
    bool uninterruptible;          /* a function: time cannot end an attempt, it only counts */
    const _Atomic bool *chaos_off; /* the kill switch; NULL: nothing to disturb */
    bool has_cache;                /* stored answers stand in by stale-if-error */
    bool without_fallbacks; /* the caller wants to know what the attempts came to, and nothing else
                             */
    uint32_t watched;
    struct neap_notice *notice; /* room for NEAP_NOTICE_MAX; NULL where nothing is watched */
};

enum neap_call_state {
    NEAP_CALL_NEW,
    NEAP_CALL_FOLLOWING,
    NEAP_CALL_ADMISSION,
    NEAP_CALL_LIVE,
    NEAP_CALL_ASKING,
    NEAP_CALL_BACKOFF,
    NEAP_CALL_CANCELLING,
    NEAP_CALL_FALLBACK,
    NEAP_CALL_DONE
};

/* Stages of admission in their order, from the outside in. */
enum neap_stage {
    NEAP_STAGE_BREAKER,
    NEAP_STAGE_GATE,
    NEAP_STAGE_RATE_LIMIT,
    NEAP_STAGE_BULKHEAD,
    NEAP_STAGE_COUNT
};

struct neap_attempt {
    uint32_t number; /* 0: the slot is free */
    int64_t started_ns, limit_ns, ended_ns;
    int64_t breaker_permit, bulkhead_permit; /* 0: none */
    enum neap_phase expired;                 /* CANCEL was asked for because of this limit */
    bool ended;                              /* its outcome waits to be judged */
    bool cancelling;
    struct neap_outcome outcome;
    struct neap_hint hint;
    uint32_t trace_index;
};

struct neap_call {
    struct neap_call_setup setup;
    enum neap_call_state state;
    int64_t began_ns, deadline_ns;
    uint32_t attempts, retries;

    /* admission */
    enum neap_stage stage;
    int64_t breaker_permit, bulkhead_permit;
    int64_t wait_until_ns, wait_began_ns;
    int64_t gate_waited_ns, bulkhead_until_ns;
    bool waiting, queued;

    struct neap_attempt live[NEAP_LIVE_MAX];
    uint32_t hedge_asked;       /* number of the attempt that was to get a second one beside it */
    struct neap_attempt judged; /* the one whose outcome is being decided on */
    enum neap_question question;
    enum neap_opinion when; /* the answer, kept while a backoff function is asked */
    bool refreshed;
    double previous_delay_s;
    uint64_t once_spent[(NEAP_STATUS_COUNT + 63) / 64];

    bool has_response;
    struct neap_outcome response, error;
    int64_t response_retry_after_ns;
    struct neap_result result;
    uint32_t fallback;
    int64_t fallback_began_ns;
    bool out_of_time;          /* with more time it might have come to something else */
    bool coalesced;            /* another call's outcome has served it */
    bool asked_cache;          /* about stale-if-error: once */
    bool revalidated;          /* the last response stands for a stored one */
    enum neap_kind broken_off; /* CANCELLED or PHASE: what ended it from outside; NONE: nothing */

    uint32_t notice_count; /* of setup.notice */

    struct neap_trace trace; /* the part of it that is not touched before it is needed is large */
};

/* The call must not move afterwards, but by neap_call_move. What `setup` points at must outlive it.
 */
void neap_call_init(struct neap_call *call, const struct neap_call_setup *setup);

/* To memory that is not in use. `from` is done afterwards, and holds nothing. */
void neap_call_move(struct neap_call *from, struct neap_call *to);

/* In a forked child, for a call that is the parent's: it is done, and gives nothing back. */
void neap_call_forsake(struct neap_call *call);

/* Gives back every permit that the call still holds (an abandoned call) and releases the trace.
 * Harmless on a call that is done. */
void neap_call_deinit(struct neap_call *call, int64_t now_ns);

struct neap_effect neap_call_step(struct neap_call *call, int64_t now_ns,
                                  const struct neap_event *event);

/* Are its attempts over? Fallbacks may still run. */
bool neap_call_has_concluded(const struct neap_call *call);

/* May what the leader has concluded serve that follower? Not where the leader was broken off, or
 * failed for want of time while the follower has more. */
bool neap_call_may_share(const struct neap_call *leader, const struct neap_call *follower);

/* For changes that a call does not make, those by hand: a call counts its own. */
void neap_count_transition(struct neap_counters *counters,
                           const struct neap_breaker_change *change);

/* When to step with TIME at the latest; NEAP_NEVER while only another event helps. */
int64_t neap_call_next_wakeup(const struct neap_call *call);

#endif
