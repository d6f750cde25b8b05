/* Model of the look-up of cells without the lock, while others evict and make cells and may be
 * killed: src/shared/region_seek.c, region_evict.c, region_cells.c and region_holders.c, whose
 * functions are named alike here. See README.md.
 *
 * Checked by `make models`; a variant that fails breaks the assertion with that word in it:
 *
 *     holds -DSEEKERS=1 -DSTEPS=2 -DMAKES=3 -DKILLS=1
 *     holds -DSEEKERS=2 -DSTEPS=1 -DMAKES=2 -DKILLS=1
 *     fails -DSEEKERS=1 -DSTEPS=1 -DMAKES=2 -DKILLS=0 -DWITHOUT_TOUCH is_cell
 *     fails -DSEEKERS=1 -DSTEPS=1 -DMAKES=2 -DKILLS=0 -DWITHOUT_WIPE is_cell
 *     fails -DSEEKERS=1 -DSTEPS=1 -DMAKES=2 -DKILLS=0 -DHAND_LATER pinned
 *     fails -DSEEKERS=1 -DSTEPS=1 -DMAKES=2 -DKILLS=0 -DBITS_FIRST pinned
 *     fails -DSEEKERS=1 -DSTEPS=1 -DMAKES=3 -DKILLS=0 -DWITHOUT_BEGINS is_cell
 */
#define GRANULES 2

/* Names of cells. One of WANTED or OTHER has one granule, one of LARGE both; what its maker writes
 * into the second one looks like a cell of the name that is wanted, but begins none. */
#define WANTED 1
#define OTHER  2
#define LARGE  3

/* A link is the number of a granule plus 1. */
byte bucket = 1, link_of[GRANULES], name[GRANULES], serial[GRANULES];
bool begins[GRANULES], in_use[GRANULES];
byte touching[SEEKERS], hand[SEEKERS]; /* links */
bool holder_bit[SEEKERS * GRANULES];   /* in the cells: holders */
byte last_serial = 2;

/* Not part of the protocol: what is checked. */
bool is_cell[GRANULES]; /* a chain leads to it; while one mends, `begins` may not say so */
byte pinned[SEEKERS];   /* the link of what a live seeker has found and not unpinned */

byte kills = KILLS; /* so many may still be killed */

/* Each step on shared memory begins with it: there the process may be killed. */
#define MAY_DIE if :: true :: kills > 0 -> kills--; goto died fi

/* neap_region_seek: follow, touch_cell, neap_region_grasp, hold */
inline seek(me) {
    atomic { MAY_DIE; link = bucket }
    do
    :: atomic { link == 0 || steps == GRANULES -> break }
    :: atomic { else ->
            steps++;
#ifndef WITHOUT_TOUCH
            MAY_DIE;
            touching[me] = link /* touch */
#endif
       }
       atomic {
            if
            :: serial[link - 1] == 0 -> link = 0; break
            :: else
            fi
       }
#ifndef WITHOUT_BEGINS
       atomic {
            if
            :: !begins[link - 1] -> link = 0; break
            :: else
            fi
       }
#endif
       atomic {
            if
            :: name[link - 1] == WANTED -> /* neap_region_is_wanted */
                assert(is_cell[link - 1]);
                pinned[me] = link;
                break
            :: else
            fi
       }
       atomic { link = link_of[link - 1] }
    od;
#ifdef HAND_LATER
    touching[me] = 0;
#endif
    atomic { /* all hands may be full */
        if
        :: pinned[me] != 0 -> MAY_DIE; hand[me] = link
        :: pinned[me] != 0 -> MAY_DIE; holder_bit[me * GRANULES + link - 1] = true
        :: pinned[me] == 0
        fi
    }
    atomic { MAY_DIE; touching[me] = 0; link = 0; steps = 0 } /* let_go */
}

proctype seeker(byte me) {
    byte link, steps, left_to_do = STEPS;
    do
    :: atomic { left_to_do > 0 -> left_to_do-- }
        seek(me);
        atomic { /* neap_region_unpin, neap_region_drop, give_up */
            if
            :: pinned[me] != 0 ->
                MAY_DIE;
                link = pinned[me];
                pinned[me] = 0;
            :: else
            fi
        }
        atomic {
            if
            :: link != 0 && hand[me] != 0 -> MAY_DIE; hand[me] = 0
            :: link != 0 && hand[me] == 0 -> MAY_DIE; holder_bit[me * GRANULES + link - 1] = false
            :: else
            fi;
            link = 0
        }
    :: atomic { left_to_do == 0 -> break }
    od;
died:
    atomic { pinned[me] = 0; link = 0; steps = 0; left_to_do = 0 }
}

inline look_at_bits() {
    atomic {
        i = 0;
        do
        :: i < SEEKERS -> is_held = is_held || holder_bit[i * GRANULES + g]; i++
        :: else -> i = 0; break
        od
    }
}
/* neap_region_is_held: is_touched, then neap_region_is_pinned */
inline is_held_now() {
#ifdef BITS_FIRST
    look_at_bits();
#endif
    do
    :: atomic { i < SEEKERS -> is_held = is_held || touching[i] == g + 1 }
       atomic { is_held = is_held || hand[i] == g + 1; i++ }
    :: atomic { else -> i = 0; break }
    od;
#ifndef BITS_FIRST
    look_at_bits()
#endif
}

/* evict: detach, neap_region_unlink, neap_region_give_run */
inline evict() {
    atomic {
        MAY_DIE;
        was = serial[g];
#ifndef WITHOUT_WIPE
        serial[g] = 0
#endif
    }
    is_held_now();
    if
    :: atomic { is_held -> MAY_DIE; serial[g] = was }
    :: atomic { else ->
            MAY_DIE;
            is_cell[g] = false;
            if
            :: bucket == g + 1 -> bucket = link_of[g]
            :: else -> link_of[1 - g] = link_of[g]
            fi }
        atomic { MAY_DIE; begins[g] = false }
        atomic {
            in_use[g] = false;
            if
            :: name[g] == LARGE -> in_use[1] = false
            :: else
            fi
        }
    fi;
    atomic { is_held = false; was = 0 }
}

inline must_be_free(at) {
    i = 0;
    do
    :: i < SEEKERS -> assert(pinned[i] != (at) + 1); i++
    :: else -> i = 0; break
    od
}

/* make_cell: lay_out, neap_region_publish */
inline make(of_name) {
    atomic {
        MAY_DIE;
        must_be_free(g);
        in_use[g] = true; serial[g] = 0; name[g] = 0; link_of[g] = 0;
        if
        :: of_name == LARGE ->
            must_be_free(1);
            in_use[1] = true; serial[1] = 1; name[1] = WANTED; link_of[1] = 0
        :: else
        fi
    }
    atomic { MAY_DIE; name[g] = of_name }
    atomic { MAY_DIE; last_serial++; serial[g] = last_serial }
    atomic { MAY_DIE; link_of[g] = bucket }
    atomic { MAY_DIE; bucket = g + 1; is_cell[g] = true }
    atomic { MAY_DIE; begins[g] = true }
}

/* Has the lock. One who was killed is followed by one who mends first. */
proctype maker() {
    byte left_to_do = MAKES, g, i, was, of_name;
    bool is_held;
    goto begin;
died: /* neap_region_lock: mend, neap_region_clear_space, mend_chain */
    atomic {
        MAY_DIE;
        begins[0] = false; begins[1] = false; in_use[0] = false; in_use[1] = false;
        i = 0; was = 0; is_held = false; g = bucket
    }
    do
    :: atomic { g != 0 ->
            MAY_DIE;
            in_use[g - 1] = true;
            if
            :: name[g - 1] == LARGE -> in_use[1] = true
            :: else
            fi;
            if
            :: serial[g - 1] == 0 -> last_serial++; serial[g - 1] = last_serial
            :: else
            fi }
        atomic { MAY_DIE; begins[g - 1] = true; g = link_of[g - 1] }
    :: atomic { g == 0 -> break }
    od;
begin:
    do
    :: atomic { left_to_do > 0 -> left_to_do--;
            if
            :: g = 0
            :: g = 1
            fi }
        if
        :: atomic { begins[g] } evict()
        :: atomic { !in_use[g] -> of_name = WANTED } make(of_name)
        :: atomic { !in_use[g] -> of_name = OTHER } make(of_name)
        :: atomic { g == 0 && !in_use[0] && !in_use[1] -> of_name = LARGE } make(of_name)
        :: atomic { in_use[g] && !begins[g] }
        fi
    :: atomic { left_to_do == 0 -> break }
    od
}

init {
    byte n = 0;
    atomic {
        name[0] = OTHER; serial[0] = 1; begins[0] = true; is_cell[0] = true; in_use[0] = true; link_of[0] = 2;
        name[1] = WANTED; serial[1] = 2; begins[1] = true; is_cell[1] = true; in_use[1] = true;
        do
        :: n < SEEKERS -> run seeker(n); n++
        :: else -> break
        od;
        run maker()
    }
}
