#include "policy/chaos.h"

bool neap_chaos_strikes(const struct neap_chaos_policy *policy, double r)
{
    return r < policy->rate;
}

bool neap_chaos_replaces(const struct neap_chaos_policy *policy)
{
    return policy->error != NEAP_KIND_NONE || policy->status != 0;
}
