/* Model of the breaker's half-open probes in memory shared by processes that may be killed:
 * src/policy/breaker.c and breaker_probes.c, whose functions are named alike here. See README.md.
 *
 * Checked by `make models`; a variant that fails breaks the assertion with that word in it:
 *
 *     holds -DPERMITS=1 -DCALLERS=2 -DSTEPS=1 -DKILLS=2
 *     holds -DPERMITS=2 -DCALLERS=2 -DSTEPS=1 -DKILLS=1
 *     holds -DPERMITS=1 -DCALLERS=2 -DSTEPS=2 -DKILLS=0
 *     ends  -DPERMITS=1 -DCALLERS=2 -DSTEPS=1 -DKILLS=1
 *     fails -DPERMITS=1 -DCALLERS=2 -DSTEPS=1 -DKILLS=0 -DWITHOUT_SWAP on_wire
 *     fails -DPERMITS=1 -DCALLERS=2 -DSTEPS=2 -DKILLS=0 -DCHECK_BEFORE_READ owner
 *     fails -DPERMITS=1 -DCALLERS=2 -DSTEPS=2 -DKILLS=0 -DWITHOUT_GENERATION owner
 *     fails -DPERMITS=1 -DCALLERS=2 -DSTEPS=3 -DKILLS=0 -DWITHOUT_USES owner
 *     fails -DPERMITS=1 -DCALLERS=2 -DSTEPS=1 -DKILLS=1 -DWITHOUT_LEASE -DWITHOUT_RECLAIM permit
 *     fails -DPERMITS=1 -DCALLERS=2 -DSTEPS=1 -DKILLS=1 -DWITHOUT_DECIDE permit
 *     fails -DPERMITS=1 -DCALLERS=2 -DSTEPS=1 -DKILLS=1 -DWITHOUT_RECLAIM out_of_the_dead
 */
#define REAPER 0
#define JUDGE  (CALLERS + 1) /* holders: callers are 1 to CALLERS */
#define NEEDED PERMITS       /* results, until they are judged: min(min_calls, permits) */
#define LATEST 1             /* the clock stands at 0 to LATEST, and at FAR for the judge */
#define LEASE  1
#define FAR    5

mtype = { CLOSED, OPEN, HALF_OPEN };

/* A cell: generation | holder 3 | uses 3 | content 4; the content as in breaker_probes.c. */
#define FREE       0
#define SUCCEEDED  1
#define FAILED     2
#define OUT        8 /* plus the end of the lease */
#define CELL(g, h, u, c) (((g) << 10) | ((h) << 7) | (((u) & 7) << 4) | (c))
#define TAG(w)     ((w) >> 10)
#define HOLDER(w)  (((w) >> 7) & 7)
#define USES(w)    (((w) >> 4) & 7)
#define CONTENT(w) ((w) & 15)
#define IS_OUT(w)  (CONTENT(w) >= OUT)
#define LEASE_END(w) (CONTENT(w) - OUT)
#define NONE       -1
#ifdef WITHOUT_SWAP
#define UNCHANGED(i, w) true
#else
#define UNCHANGED(i, w) (cell[i] == w)
#endif
#define MARK(w)    ((w) & 127) /* uses and lease */
#ifdef WITHOUT_USES
#define NEXT_USE(w) 0
#else
#define NEXT_USE(w) (USES(w) + 1)
#endif

/* The state word is one: its parts are read and swapped at once. */
mtype state = OPEN;
byte generation = 1;
short cell[PERMITS];
byte now = 0; /* moves on where somebody reads it */

/* Not part of the protocol: what is checked. */
#define GENERATIONS 16
byte on_wire[GENERATIONS]; /* callers that were admitted as probes, live, and have not recorded */
byte owner[PERMITS];       /* whose admission the cell holds: counted from 1 on */
byte admissions;
byte kills = KILLS; /* so many may still be killed */
bool dead[JUDGE + 1], has_ended[JUDGE + 1];

/* Each step on shared memory begins with it: there the process may be killed. */
#define MAY_DIE if :: true :: kills > 0 -> kills--; goto died fi

/* A permit. `number` is the cell's, from 1 on; 0: of a call that is no probe. */
typedef permit_of {
    bool is_there;
    byte generation, mark, number;
    byte owner /* not part of the protocol */
};

#define IS_CURRENT(g) (generation == (g))

/* `seen` is what the word was when the step read it. */
inline change_state(next, is_done) {
    atomic {
        MAY_DIE;
        is_done = generation == seen_generation && state == seen_state;
        if
        :: is_done -> state = next; generation++; begun = generation;
                      assert(generation < GENERATIONS)
        :: else
        fi
    }
}

/* neap_breaker_probes_prepare */
inline prepare() {
    do
    :: atomic { i < PERMITS ->
            MAY_DIE;
#ifdef CHECK_BEFORE_READ
            is_done = IS_CURRENT(seen_generation) }
       atomic { word = cell[i] }
#else
            word = cell[i] }
       atomic { is_done = IS_CURRENT(seen_generation) }
#endif
       atomic {
            if
            :: !is_done -> break
            :: else ->
                MAY_DIE;
                if
                :: cell[i] == word -> cell[i] = CELL(seen_generation + 1, 0, 0, FREE); i++
                :: else
                fi
            fi
       }
    :: atomic { else -> break }
    od;
    atomic { i = 0; word = 0; is_done = false }
}

/* neap_breaker_probes_take and take_cell */
inline take(me, of_generation) {
    do
    :: atomic { i < PERMITS -> MAY_DIE; word = cell[i] }
       atomic {
            if
            :: CONTENT(word) != FREE || !IS_CURRENT(of_generation) -> i++; word = NONE
            :: else
            fi
       }
       atomic {
            if
            :: word != NONE ->
                MAY_DIE;
                if
                :: UNCHANGED(i, word) ->
                    cell[i] = CELL(of_generation, me, USES(word), OUT + my_now + LEASE);
                    admissions++;
                    owner[i] = admissions;
                    permit.is_there = true;
                    permit.generation = of_generation;
                    permit.mark = MARK(cell[i]);
                    permit.number = i + 1;
                    permit.owner = admissions;
                    on_wire[of_generation]++;
                    assert(on_wire[of_generation] <= PERMITS);
                    break
                :: else
                fi
            :: else
            fi
       }
    :: atomic { else -> break }
    od;
    atomic { i = 0; word = 0 }
}

/* neap_breaker_probes_settle, of the permit that `record` was given */
inline settle(result) {
    do
    :: atomic { MAY_DIE; word = cell[given.number - 1] }
       atomic {
            if
            :: !IS_OUT(word) || MARK(word) != given.mark -> break
#ifndef WITHOUT_GENERATION
            :: IS_OUT(word) && MARK(word) == given.mark && !IS_CURRENT(given.generation) -> break
#endif
            :: else
            fi
       }
       atomic {
            MAY_DIE;
            if
            :: cell[given.number - 1] == word ->
#ifndef WITHOUT_SWAP /* breaks this too, but is about the other assertion */
                assert(owner[given.number - 1] == given.owner);
#endif
                cell[given.number - 1] = CELL(TAG(word), 0,
                    (result == FREE -> NEXT_USE(word) : USES(word)), result);
                settled = true;
                break
            :: else
            fi
       }
    od;
    word = 0
}

/* neap_breaker_probes_tally; the first evaluation decides */
inline decide() {
    do
    :: atomic { i < PERMITS ->
            if
            :: TAG(cell[i]) == seen_generation && CONTENT(cell[i]) == FAILED -> results++; failures++
            :: TAG(cell[i]) == seen_generation && CONTENT(cell[i]) == SUCCEEDED -> results++
            :: else
            fi;
            i++ }
    :: atomic { else -> break }
    od;
    if
    :: results >= NEEDED && failures * 2 >= results -> change_state(OPEN, is_done)   /* open_at */
    :: results >= NEEDED && failures * 2 < results -> change_state(CLOSED, is_done) /* close_at */
    :: else
    fi;
    atomic { i = 0; results = 0; failures = 0; is_done = false }
}

/* settle_expired and neap_breaker_probes_expire: of those whose lease has ended any comes first */
inline settle_expired() {
#ifndef WITHOUT_LEASE
    do
    :: atomic { i < PERMITS ->
            MAY_DIE;
            word = cell[i];
            if
            :: !IS_OUT(word) || LEASE_END(word) > my_now -> i++; word = NONE
            :: else
            fi }
       atomic {
            if
            :: word != NONE && !IS_CURRENT(seen_generation) -> break
            :: else
            fi
       }
       atomic {
            if
            :: word != NONE ->
                MAY_DIE;
                settled = cell[i] == word;
                if
                :: settled -> cell[i] = CELL(seen_generation, 0, USES(word), FAILED); owner[i] = 0
                :: else
                fi;
                i = 0
            :: else
            fi
       }
       if
       :: settled -> settled = false; decide()
       :: else
       fi
    :: atomic { else -> break }
    od;
    atomic { i = 0; word = 0; settled = false }
#endif
#ifndef WITHOUT_DECIDE
    decide()
#endif
}

#define MAY_CHANGE (begun == 0 || begun == seen_generation)

/* neap_breaker_acquire: ask, ask_open, ask_half_open. That the wait of an open breaker has ended is
 * true or not for whoever asks; `always` for the judge. */
inline acquire(me, always) {
    atomic {
        if
        :: now < LATEST -> now++
        :: true
        fi;
        my_now = now
    }
    do
    :: atomic { MAY_DIE; seen_state = state; seen_generation = generation }
       if
       :: seen_state == CLOSED -> /* ask_anybody */
            atomic { permit.is_there = true; permit.generation = seen_generation }
            break
       :: seen_state == OPEN && !always && IS_CURRENT(seen_generation) -> break /* refused */
       :: seen_state == OPEN && MAY_CHANGE ->
            prepare();
            change_state(HALF_OPEN, is_done);
            if
            :: is_done ->
                is_done = false;
                take(me, begun);
                if
                :: permit.is_there || IS_CURRENT(begun) -> break
                :: else
                fi
            :: else
            fi
       :: seen_state == OPEN && !MAY_CHANGE ->
            if
            :: IS_CURRENT(seen_generation) -> break
            :: else
            fi
       :: seen_state == HALF_OPEN ->
            if
            :: MAY_CHANGE -> settle_expired()
            :: else
            fi;
            if
            :: MAY_CHANGE && !IS_CURRENT(seen_generation)
            :: else ->
                take(me, seen_generation);
                if
                :: permit.is_there || IS_CURRENT(seen_generation) -> break
                :: else
                fi
            fi
       fi
    od;
    atomic { my_now = 0; begun = 0; seen_state = 0; seen_generation = 0; is_done = false }
}

/* neap_breaker_record: record_result, record_probe. Whether the window trips is anybody's guess. */
inline record(result) {
    atomic {
        MAY_DIE;
        if
        :: now < LATEST -> now++
        :: true
        fi;
        my_now = now; seen_state = state; seen_generation = generation
    }
    if
#ifdef WITHOUT_GENERATION
    :: seen_state == HALF_OPEN && given.number > 0 ->
#else
    :: seen_state == HALF_OPEN && given.number > 0 && given.generation == seen_generation ->
#endif
        settle_expired();
        if
        :: !IS_CURRENT(seen_generation)
        :: else ->
            settle(result);
            if
            :: settled && result != FREE -> decide()
            :: else
            fi
        fi
    :: seen_state == CLOSED && given.number == 0 && given.generation == seen_generation &&
       result == FAILED ->
        if
        :: change_state(OPEN, is_done)
        :: skip
        fi
    :: else
    fi;
    atomic {
        my_now = 0; begun = 0; seen_state = 0; seen_generation = 0; is_done = false;
        settled = false
    }
}

/* What the caller has is given to `record` once, and what it had once more. */
inline give(from) {
    given.generation = from.generation;
    given.mark = from.mark;
    given.number = from.number;
    given.owner = from.owner
}
inline forget(one) {
    one.is_there = false; one.generation = 0; one.mark = 0; one.number = 0; one.owner = 0
}
/* Once nothing is left to do it makes no difference: fewer states. */
inline forget_the_last() {
    atomic {
        outcome = 0;
        if
        :: left_to_do == 0 -> forget(given)
        :: else
        fi
    }
}
inline leave_the_wire() {
    if
    :: permit.is_there && permit.number > 0 -> on_wire[permit.generation]--
    :: else
    fi
}

inline some_result() {
    if
    :: outcome = FREE /* ignored */
    :: outcome = SUCCEEDED
    :: outcome = FAILED
    fi
}

proctype caller(byte me) {
    permit_of permit, given;
    mtype seen_state;
    byte left_to_do = STEPS, my_now, begun, seen_generation, i, results, failures, outcome;
    short word;
    bool is_done, settled;
    do
    :: atomic { left_to_do > 0 && !permit.is_there -> left_to_do-- }
        acquire(me, false)
    :: atomic { permit.is_there ->
            MAY_DIE;
            leave_the_wire();
            give(permit);
            forget(permit);
            some_result() }
        record(outcome);
        forget_the_last()
    :: atomic { left_to_do > 0 && given.number > 0 -> /* late, and twice */
            left_to_do--;
            some_result() }
        record(outcome);
        forget_the_last()
    :: atomic { left_to_do == 0 && !permit.is_there -> break }
    od;
    goto ended;
died:
    atomic { dead[me] = true; leave_the_wire() }
ended:
    atomic {
        has_ended[me] = true; forget(permit); forget(given);
        seen_state = 0; left_to_do = 0; my_now = 0; begun = 0; seen_generation = 0; i = 0;
        results = 0; failures = 0; outcome = 0; word = 0; is_done = false; settled = false
    }
}

/* neap_breaker_reclaim and neap_breaker_probes_reclaim, of every holder that has died, while the
 * others go on. Whoever comes after one who was killed over it begins anew. */
proctype reaper() {
    byte h, i, seen_generation;
    short word;
    bool is_half_open;
died:
    atomic { h = 1; i = 0; word = 0 }
    do
    :: h <= CALLERS ->
        atomic {
            has_ended[h];
            MAY_DIE;
            seen_generation = generation;
            is_half_open = state == HALF_OPEN;
#ifdef WITHOUT_RECLAIM
            i = PERMITS
#else
            i = (dead[h] && is_half_open -> 0 : PERMITS)
#endif
        }
        do
        :: atomic { i < PERMITS -> MAY_DIE; word = cell[i] }
            if
            :: atomic { IS_OUT(word) && HOLDER(word) == h && IS_CURRENT(seen_generation) }
                atomic {
                    MAY_DIE;
                    if
                    :: cell[i] == word ->
                        cell[i] = CELL(seen_generation, 0, NEXT_USE(word), FREE); owner[i] = 0
                    :: else
                    fi
                }
            :: else
            fi;
            i++
        :: atomic { else -> break }
        od;
        h++
    :: else -> break
    od;
    atomic { has_ended[REAPER] = true; h = 0; i = 0; word = 0; seen_generation = 0;
             is_half_open = false }
}

/* When all have ended: no probe is out in a name of the dead; whoever asks then is admitted, and
 * half open ends after as many results as are needed. */
proctype judge() {
    permit_of permit, given;
    mtype seen_state;
    byte my_now, begun, seen_generation, i, results, failures, asked, out_of_the_dead;
    short word;
    bool is_done, settled;
    atomic { has_ended[REAPER]; kills = 0 }
    if
    :: true ->
        now = FAR /* what nobody has reclaimed ends by its lease */
    :: true ->
        do
        :: i < PERMITS -> out_of_the_dead = out_of_the_dead +
                (state == HALF_OPEN && IS_OUT(cell[i]) && dead[HOLDER(cell[i])]);
            i++
        :: else -> break
        od;
        assert(out_of_the_dead == 0);
        i = 0
    fi;
    do
    :: asked < NEEDED && !(asked > 0 && state != HALF_OPEN) ->
        acquire(JUDGE, true);
        assert(permit.is_there);
        atomic { leave_the_wire(); give(permit); forget(permit) }
        record(SUCCEEDED);
        asked++
    :: else -> break
    od;
    assert(state != HALF_OPEN);
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
