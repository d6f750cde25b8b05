/* What the files of the circuit breaker share: its layout in memory and its packed state word. */
#ifndef NEAP_POLICY_BREAKER_INTERNAL_H
#define NEAP_POLICY_BREAKER_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "policy/breaker.h"

/* The rule of every word below but `word` itself: it is read first, then it is seen to be of the
 * caller's generation, by the generation that it carries or else by `word`, then it is swapped. So
 * a late caller never changes what a newer generation has written, and what it may still write
 * last is never looked at by a newer generation.
 *
 * What every result reads and changes stands together, so that in a shared cell it is one cache
 * line. */
struct neap_breaker {
    _Atomic uint64_t
        word; /* state 3 | would_open told 1 | on a ramp 1 | openings 16 | generation */
    _Atomic uint64_t sequence;     /* see breaker_words.h */
    _Atomic uint64_t totals;       /* see breaker_words.h */
    _Atomic int64_t open_until_ns; /* means something while open */
    _Atomic int64_t closed_at_ns;  /* means something while on a ramp */
    _Atomic uint64_t not_permitted;
    _Atomic uint64_t opened;
    _Atomic uint64_t cells[]; /* one for each probe, then the ring or the slices */
};

#define NEAP_BREAKER_GENERATION_BITS 28
#define NEAP_BREAKER_GENERATION_MASK ((UINT32_C(1) << NEAP_BREAKER_GENERATION_BITS) - 1)
#define NEAP_BREAKER_OPENINGS_MAX UINT32_C(0xFFFF)

#define NEAP_BREAKER_STATE_MASK UINT64_C(7)
#define NEAP_BREAKER_RAMP_SHIFT 4
#define NEAP_BREAKER_RAMP (UINT64_C(1) << NEAP_BREAKER_RAMP_SHIFT)
#define NEAP_BREAKER_GENERATION_SHIFT 21

static inline uint32_t neap_breaker_generation_of(uint64_t bits)
{
    return (uint32_t)(bits >> NEAP_BREAKER_GENERATION_SHIFT) & NEAP_BREAKER_GENERATION_MASK;
}

/* The state word, unpacked. */
struct neap_breaker_word {
    enum neap_breaker_state state;
    bool told;           /* metrics_only: it has said that it would have opened */
    bool ramp;           /* closed: by probes, so a ramp may follow */
    uint32_t openings;   /* in a row */
    uint32_t generation; /* never 0 */
    uint64_t raw;        /* as it was loaded: what a swap compares with */
};

static inline uint64_t neap_breaker_word_pack(struct neap_breaker_word word)
{
    return (uint64_t)word.state | (uint64_t)word.told << 3 |
           (uint64_t)word.ramp << NEAP_BREAKER_RAMP_SHIFT | (uint64_t)word.openings << 5 |
           (uint64_t)word.generation << NEAP_BREAKER_GENERATION_SHIFT;
}

/* Shared memory may have been written over by a stranger: bits that mean nothing are passed over,
 * a state that is none counts as closed, and the next swap puts the word right. */
static inline struct neap_breaker_word neap_breaker_word_unpack(uint64_t bits)
{
    return (struct neap_breaker_word){
        .state = (bits & NEAP_BREAKER_STATE_MASK) < NEAP_BREAKER_STATE_COUNT
                     ? (enum neap_breaker_state)(bits & NEAP_BREAKER_STATE_MASK)
                     : NEAP_BREAKER_CLOSED,
        .told = bits >> 3 & 1,
        .ramp = bits >> NEAP_BREAKER_RAMP_SHIFT & 1,
        .openings = (uint32_t)(bits >> 5) & NEAP_BREAKER_OPENINGS_MAX,
        .generation = neap_breaker_generation_of(bits),
        .raw = bits,
    };
}

static inline struct neap_breaker_word neap_breaker_word_load(const struct neap_breaker *breaker)
{
    return neap_breaker_word_unpack(atomic_load(&breaker->word));
}

static inline bool neap_breaker_is_current(const struct neap_breaker *breaker, uint32_t generation)
{
    return neap_breaker_word_load(breaker).generation == generation;
}

static inline uint32_t neap_breaker_next_generation(uint32_t generation)
{
    uint32_t next = (generation + 1) & NEAP_BREAKER_GENERATION_MASK;
    return next > 0 ? next : 1;
}

/* What a permit holds below its generation is breaker_probes.c's; 0 in that of a call that is no
 * probe. */
#define NEAP_BREAKER_PERMIT_SHIFT 25

static inline int64_t neap_breaker_plain_permit(uint32_t generation)
{
    return (int64_t)generation << NEAP_BREAKER_PERMIT_SHIFT;
}

/* 0 where none can be meant. */
static inline uint32_t neap_breaker_permit_generation(int64_t permit)
{
    int64_t generation = permit >> NEAP_BREAKER_PERMIT_SHIFT;
    return generation > 0 && generation <= NEAP_BREAKER_GENERATION_MASK ? (uint32_t)generation : 0;
}

/* The states in which results go into the window. */
static inline bool neap_breaker_has_window(enum neap_breaker_state state)
{
    return state == NEAP_BREAKER_CLOSED || state == NEAP_BREAKER_METRICS_ONLY;
}

/* One result, as the ring and the probes keep it: never 0. */
static inline unsigned neap_breaker_result(bool failed, bool slow)
{
    return 1u + (failed ? 1u : 0u) + (slow ? 2u : 0u);
}

static inline bool neap_breaker_result_failed(unsigned result)
{
    return (result - 1) & 1;
}

static inline bool neap_breaker_result_slow(unsigned result)
{
    return (result - 1) >> 1 & 1;
}

#define NEAP_BREAKER_PLAIN_SUCCESS 1u /* neither failed nor slow */
#define NEAP_BREAKER_RESULT_MAX 4u

#endif
