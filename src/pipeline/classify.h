/* Classification: what an outcome means to the breaker, to the gates and to the fallbacks. */
#ifndef NEAP_PIPELINE_CLASSIFY_H
#define NEAP_PIPELINE_CLASSIFY_H

#include <stdbool.h>

#include "base/outcome.h"
#include "policy/admission.h"

/* Failures: transport errors, timeouts, an error of a wrapped function, and 500 502 503 504.
 * Ignored: 429 (it feeds the gate) and cancelling. Everything else is a success. */
enum neap_verdict neap_classify_verdict(const struct neap_outcome *outcome);

/* Does the chain of fallbacks run for this outcome? For every error, and for 408 425 429 and 500
 * and above. */
bool neap_classify_is_failure(const struct neap_outcome *outcome);

/* May a stored answer stand in by stale-if-error: a failure in the breaker's sense, or a refusal of
 * neap's own? */
bool neap_classify_allows_stale(const struct neap_outcome *outcome);

/* Would the same call be worth making again later: a refusal of neap's own, or a kind that is
 * retried and either safe to repeat or provably unsent? */
bool neap_classify_is_retryable(const struct neap_outcome *outcome, bool replayable);

#endif
