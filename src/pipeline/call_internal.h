/* What the files of the call share among themselves: call.c steps, call_admission.c has an attempt
 * admitted by the policies that call_stages.c asks, call_launch.c begins it, call_hedge.c tries a
 * second one beside it, call_judgement.c decides after one, call_end.c ends, call_fallback.c finds
 * what stands in for a failure, call_following.c waits for another call's outcome. */
#ifndef NEAP_PIPELINE_CALL_INTERNAL_H
#define NEAP_PIPELINE_CALL_INTERNAL_H

#include "pipeline/call.h"

/* The one place where a state is assigned.
 *
 *     NEW         -> FOLLOWING, ADMISSION, DONE
 *                                             nothing is held
 *     FOLLOWING   -> ADMISSION, LIVE, FALLBACK, DONE
 *                                             nothing is held
 *     ADMISSION   -> LIVE, ADMISSION (waiting), FALLBACK, DONE, BACKOFF
 *                                             may hold a breaker permit and a rate reservation
 *     LIVE        -> ASKING, BACKOFF, ADMISSION, CANCELLING, FALLBACK, DONE
 *                                             each live attempt holds its permits
 *     ASKING      -> the same                 the judged attempt holds at most a breaker permit
 *     BACKOFF     -> ADMISSION, DONE          nothing is held, the retry is paid for
 *     CANCELLING  -> FALLBACK, DONE           attempts that are being ended hold their permits
 *     FALLBACK    -> FALLBACK, DONE           nothing is held
 *     DONE                                    nothing is held, the result is there */
void neap_call_enter(struct neap_call *call, enum neap_call_state state);

/* A new call, but for its trace. */
void neap_call_reset(struct neap_call *call, const struct neap_call_setup *setup);

struct neap_effect neap_call_wait_effect(const struct neap_call *call);
double neap_call_random(struct neap_call *call);

/* The call begins now: it is counted, and its time runs. */
void neap_call_count_begin(struct neap_call *call, int64_t now_ns);

/* The first attempt of its own. */
struct neap_effect neap_call_set_out(struct neap_call *call, int64_t now_ns);

/* FOLLOW, and all that happens while FOLLOWING. */
struct neap_effect neap_call_follow(struct neap_call *call, int64_t now_ns);
struct neap_effect neap_call_step_following(struct neap_call *call, int64_t now_ns,
                                            const struct neap_event *event);

/* The attempts are over: the result stands, and fallbacks may follow. */
struct neap_effect neap_call_conclude(struct neap_call *call, int64_t now_ns);

/* Is enough left to begin an attempt? If not, neap_call_out_of_time ends the call. */
bool neap_call_has_time(const struct neap_call *call, int64_t now_ns);
struct neap_effect neap_call_out_of_time(struct neap_call *call, int64_t now_ns);

/* Asks the policy of each stage whether an attempt may begin; what it grants the call holds. */
typedef struct neap_admission neap_call_ask_stage(struct neap_call *call, int64_t now_ns);
extern neap_call_ask_stage *const neap_call_stages[NEAP_STAGE_COUNT];

/* Of a stage that has refused: would a later deadline have let the attempt wait until then? */
bool neap_call_wants_time(const struct neap_call *call, int64_t now_ns, enum neap_stage stage,
                          int64_t until_ns);

/* Of a stage that has not admitted: true in shadow mode, where that is only counted, and the call
 * goes on as if it had been admitted. */
bool neap_call_overrules(struct neap_call *call, int64_t now_ns, enum neap_stage stage,
                         enum neap_decision decision);

/* An attempt that all have admitted begins, with the permits of the call; its entry of the trace,
 * UINT32_MAX where there was no memory for one. */
uint32_t neap_call_launch(struct neap_call *call, int64_t now_ns);

/* The same, counted, and perhaps struck by chaos: SEND; or the end, where too little time is left.
 */
struct neap_effect neap_call_send(struct neap_call *call, int64_t now_ns);

/* Begins asking for admission to a new attempt. */
struct neap_effect neap_call_admit(struct neap_call *call, int64_t now_ns);

/* Goes on after a wait for one of the stages. */
struct neap_effect neap_call_resume_admission(struct neap_call *call, int64_t now_ns);

/* Gives back what admission holds so far. */
void neap_call_drop_admission(struct neap_call *call, int64_t now_ns);

/* The attempt that a second one may yet be tried beside: the newest, alone; NULL where there is
 * none.
 */
const struct neap_attempt *neap_call_lone_attempt(const struct neap_call *call);

/* Tries to begin a second attempt beside the live one, only if nothing has to be waited for. Once
 * an attempt: a refusal stands. True if there is a SEND in *effect. */
bool neap_call_hedge(struct neap_call *call, int64_t now_ns, struct neap_effect *effect);

/* Judges an attempt that has ended, whose slot is free by now: call->judged. */
struct neap_effect neap_call_judge(struct neap_call *call, int64_t now_ns);
struct neap_effect neap_call_judge_answer(struct neap_call *call, int64_t now_ns,
                                          const struct neap_answer *answer);

/* Records an attempt's result with the breaker and gives its permits back. */
void neap_call_settle(struct neap_call *call, struct neap_attempt *attempt,
                      enum neap_verdict verdict, int64_t now_ns);

/* The outcome of what was ended from outside: CANCELLED, or PHASE. */
struct neap_outcome neap_call_broken_off(enum neap_kind kind);

/* The next live attempt to end, or the conclusion where none is left. */
struct neap_effect neap_call_end_the_living(struct neap_call *call, int64_t now_ns);

/* Ends the attempts: `stop` says why, if anything, and goes into the trace. */
struct neap_effect neap_call_finish(struct neap_call *call, int64_t now_ns, enum neap_stop stop);

/* Ends a call whose first attempt was refused. */
struct neap_effect neap_call_finish_refused(struct neap_call *call, int64_t now_ns,
                                            enum neap_kind kind, int64_t retry_after_ns);

/* The result is there: is it a success, or something that stands in for it? */
struct neap_effect neap_call_cover(struct neap_call *call, int64_t now_ns);
struct neap_effect neap_call_fallback_answer(struct neap_call *call, int64_t now_ns,
                                             const struct neap_answer *answer);

/* The end, with call->result; `status` is that of the answer, a fallback's included. */
struct neap_effect neap_call_done(struct neap_call *call, int64_t now_ns, bool ok, int status);

/* Is anybody told of such events? A notice costs more to make than to throw away. */
static inline bool neap_call_tells(const struct neap_call *call, enum neap_notice_kind kind)
{
    return (call->setup.watched & (1u << kind)) != 0;
}

/* Only of a kind that is told. */
void neap_call_note(struct neap_call *call, const struct neap_notice *notice);
void neap_call_note_breaker(struct neap_call *call, const struct neap_breaker_change *change,
                            int64_t now_ns);

#endif
