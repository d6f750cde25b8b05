/* Model of the bulkhead in memory shared by processes that may be killed: src/policy/bulkhead.c,
 * whose steps A1 to A6, R1 to R3, C1 and C2 are named alike here. See README.md.
 *
 * Checked by `make models`; a variant that fails breaks the assertion with that word in it:
 *
 *     holds -DMAX=1 -DCALLERS=2 -DSTEPS=3 -DKILLS=2
 *     holds -DMAX=2 -DCALLERS=2 -DSTEPS=2 -DKILLS=2
 *     holds -DMAX=2 -DCALLERS=3 -DSTEPS=1 -DKILLS=1
 *     ends  -DMAX=1 -DCALLERS=2 -DSTEPS=2 -DKILLS=1
 *     fails -DMAX=1 -DCALLERS=2 -DSTEPS=1 -DKILLS=0 -DWITHOUT_SWAP at_work
 *     fails -DMAX=1 -DCALLERS=2 -DSTEPS=3 -DKILLS=0 -DWITHOUT_USES at_work
 *     fails -DMAX=1 -DCALLERS=2 -DSTEPS=1 -DKILLS=1 -DNAME_LATER slot
 *     fails -DMAX=2 -DCALLERS=3 -DSTEPS=2 -DKILLS=1 -DWITHOUT_C2 was_full
 *     fails -DMAX=2 -DCALLERS=3 -DSTEPS=1 -DKILLS=0 -DWITHOUT_A5 was_full
 */
#define REAPER 0
#define JUDGE  (CALLERS + 1) /* holders: callers are 1 to CALLERS */

/* A slot: uses | holder 3 | out 1. A permit: the slot's number from 1 on, above its word. */
#define OUT        1
#define NAME(h)    ((h) << 1)
#define HOLDER(w)  (((w) >> 1) & 7)
#ifdef WITHOUT_USES
#define FREE(w)    0
#else
#define FREE(w)    ((((w) >> 4) + 1) << 4)
#endif
#define PERMIT(i, w) ((((i) + 1) << 8) | (w))
#define SLOT(p)      (((p) >> 8) - 1)
#define WORD(p)      ((p) & 255)

#ifdef WITHOUT_SWAP
#define FREE_AT(i)   was_free
#else
#define FREE_AT(i)   ((slot[i] & OUT) == 0)
#endif

short slot[MAX];
byte freed = 1, full_at = 0;

/* Not part of the protocol: what is checked. */
byte at_work;               /* callers that were admitted, live, and have not begun to release */
short available = MAX;      /* places, where one counts as given back at R3 */
bool was_full[JUDGE + 1];   /* since the acquire of that holder began, available was not above 0 */
byte unfinished[JUDGE + 1]; /* R1 without R3, which C2 makes good */
byte kills = KILLS; /* so many may still be killed */
bool dead[JUDGE + 1], is_buried[JUDGE + 1], has_ended[JUDGE + 1];

/* Each step on shared memory begins with it: there the process may be killed. */
#define MAY_DIE if :: true :: kills > 0 -> kills--; goto died fi

inline note_available() {
    atomic {
        if
        :: available <= 0 ->
            h = 0;
            do
            :: h <= JUDGE -> was_full[h] = true; h++
            :: else -> break
            od;
            h = 0
        :: else
        fi
    }
}

/* neap_bulkhead_acquire: take_any, search, take_slot. The slot where the search begins (A3) is any:
 * `next` only spares searches. */
inline acquire(me) {
    atomic { MAY_DIE; was_full[me] = available <= 0; seen_freed = freed } /* A1 */
    do
    :: atomic { /* A2, A3 */
            MAY_DIE;
            is_full = full_at == seen_freed;
            left = (is_full -> 1 : MAX);
            if
            :: i = 0
            :: i = MAX - 1
            fi
       }
       do
#ifdef WITHOUT_SWAP
       :: atomic { left > 0 && permit == 0 -> was_free = (slot[i] & OUT) == 0 }
          atomic {
#else
       :: atomic { left > 0 && permit == 0 ->
#endif
            MAY_DIE;
            if
            :: FREE_AT(i) -> /* A4 */
#ifdef NAME_LATER
                slot[i] = slot[i] | OUT;
#else
                slot[i] = slot[i] | NAME(me) | OUT;
#endif
                permit = PERMIT(i, slot[i]);
                available--;
                note_available();
                at_work++;
                assert(at_work <= MAX)
            :: else -> i = (i + 1) % MAX; left--
            fi }
       :: atomic { else -> break }
       od;
#ifdef NAME_LATER
       atomic {
            if
            :: permit != 0 ->
                MAY_DIE;
                slot[i] = slot[i] | NAME(me);
                permit = PERMIT(i, slot[i])
            :: else
            fi
       }
#endif
       atomic {
            if
            :: permit != 0 || is_full -> break
            :: else ->
                MAY_DIE;
                is_full = freed == seen_freed; /* A5 */
                seen_freed = freed;            /* A1, of the next round */
#ifdef WITHOUT_A5
                is_full = true
#endif
            fi
       }
       atomic {
            if
            :: is_full -> MAY_DIE; full_at = seen_freed; break /* A6 */
            :: else
            fi
       }
    od;
    atomic {
        assert(permit != 0 || was_full[me]); /* a refusal was true at one moment */
        seen_freed = 0; left = 0; i = 0; is_full = false; was_full[me] = false
    }
}

/* give_back. R2 moves `next` alone, so it is not here. */
inline give_back(me, place, expected) {
    atomic {
        MAY_DIE;
        is_given = slot[place] == expected; /* R1 */
        if
        :: is_given -> slot[place] = FREE(expected); unfinished[me]++
        :: else
        fi
    }
    atomic { /* R3 */
        if
        :: is_given -> MAY_DIE; freed++; available++; unfinished[me]--; is_given = false
        :: else
        fi
    }
}

/* One after the other: acquire and release, and a release of what was released before. */
proctype caller(byte me) {
    short permit, late;
    byte left_to_do = STEPS, seen_freed, left, i, h;
    bool is_full, is_given, was_free;
    do
    :: atomic { left_to_do > 0 && permit == 0 -> left_to_do-- }
        acquire(me)
    :: atomic { permit != 0 -> MAY_DIE; late = permit; permit = 0; at_work-- }
        give_back(me, SLOT(late), WORD(late))
    :: atomic { left_to_do > 0 && late != 0 -> left_to_do-- }
        give_back(me, SLOT(late), WORD(late))
    :: atomic { left_to_do == 0 && permit == 0 -> break }
    od;
    atomic { goto ended }
died:
    atomic {
        dead[me] = true;
        if
        :: permit != 0 -> at_work--
        :: else
        fi
    }
ended:
    atomic {
        has_ended[me] = true; permit = 0; late = 0; left_to_do = 0; seen_freed = 0;
        left = 0; i = 0; is_full = false; is_given = false; was_full[me] = false
    }
}

/* neap_bulkhead_reclaim, of every holder that has died (neap_region_reap: one at a time has the
 * lock). Whoever comes after one who was killed over it begins anew. */
proctype reaper() {
    byte h, i;
    short word;
    bool is_given;
died:
    atomic { h = 1; i = 0; word = 0; is_given = false }
    do
    :: h <= CALLERS ->
        atomic { has_ended[h]; i = (dead[h] && !is_buried[h] -> 0 : MAX) }
        do
        :: i < MAX ->
            atomic { MAY_DIE; word = slot[i] } /* C1 */
            if
            :: (word & OUT) && HOLDER(word) == h -> give_back(REAPER, i, word)
            :: else
            fi;
            i++
        :: else -> break
        od;
        atomic { /* C2 */
            if
            :: dead[h] && !is_buried[h] ->
                MAY_DIE;
#ifndef WITHOUT_C2
                freed++;
#endif
                available = available + unfinished[h] + unfinished[REAPER];
                unfinished[h] = 0; unfinished[REAPER] = 0;
                is_buried[h] = true
            :: else
            fi;
            h++
        }
    :: else -> break
    od;
    atomic { has_ended[REAPER] = true; h = 0; i = 0; word = 0 }
}

/* When all have ended, no place is lost: all slots are free, and whoever asks gets each of them. */
proctype judge() {
    short permit;
    byte seen_freed, left, i, h, taken;
    bool is_full, was_free;
    atomic { has_ended[REAPER]; kills = 0 }
    do
    :: taken < MAX -> assert((slot[taken] & OUT) == 0); taken++
    :: else -> break
    od;
    assert(at_work == 0);
    taken = 0;
    do
    :: taken < MAX -> acquire(JUDGE); assert(permit != 0); permit = 0; taken++
    :: else -> break
    od;
    acquire(JUDGE);
    assert(permit == 0);
died: /* nobody kills him */
}

init {
    byte n = 1;
    atomic {
        do
        :: n <= CALLERS -> run caller(n); n++
        :: else -> break
        od;
        run reaper();
        run judge()
    }
}
