/* The answers that the guard gives in place of the handler: problem details of RFC 9457.
 *
 * `type` is a name for programs and leads nowhere; `detail` is for people. Nothing of the request,
 * of the handler's error or of the store's state is told. Pure. */
#ifndef NEAP_PIPELINE_PROBLEM_H
#define NEAP_PIPELINE_PROBLEM_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/status.h"
#include "pipeline/stored_answer.h"
#include "policy/key_field.h"

enum neap_problem {
    NEAP_PROBLEM_NONE,
    NEAP_PROBLEM_KEY,        /* 400: see the fault */
    NEAP_PROBLEM_CONFLICT,   /* 409, Retry-After: 1: the first request under the key still runs */
    NEAP_PROBLEM_OTHER_WORK, /* 422: the key stands for another request */
    NEAP_PROBLEM_STORE_DOWN, /* 503: nothing was done */
    NEAP_PROBLEM_RAISED,     /* 500: the handler raised, nobody knows what it did */
    NEAP_PROBLEM_NOT_KEPT,   /* 500: the work was done, its answer found no room in the store */
    NEAP_PROBLEM_DAMAGED     /* 500: the work was done, its stored answer cannot be read */
};

int neap_problem_status(enum neap_problem problem);

#define NEAP_PROBLEM_HEADERS_MAX 2u

/* Room for a problem's answer; what points at it must not outlive it. */
struct neap_problem_answer {
    struct neap_stored_answer answer;
    struct neap_stored_header headers[NEAP_PROBLEM_HEADERS_MAX];
    struct neap_buffer body;
};

/* Status, Content-Type, Retry-After and body of a problem other than NONE. `fault` and `header`,
 * the name of the key's header, are looked at for NEAP_PROBLEM_KEY only; a name may hold any bytes.
 * On NEAP_OK the caller ends the answer by neap_problem_answer_deinit, and it must not move before;
 * NEAP_NO_MEMORY leaves nothing to end. */
NEAP_MUST_CHECK enum neap_status neap_problem_answer_init(struct neap_problem_answer *answer,
                                                          enum neap_problem problem,
                                                          enum neap_key_fault fault,
                                                          const char *header,
                                                          const struct neap_alloc *alloc);

void neap_problem_answer_deinit(struct neap_problem_answer *answer);

#endif
