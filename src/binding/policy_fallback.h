/* The key `fallback` of a client policy: a list whose entries are functions, or tables that name
 * one way to answer and the kinds of error they are for. */
#ifndef NEAP_BINDING_POLICY_FALLBACK_H
#define NEAP_BINDING_POLICY_FALLBACK_H

#include "binding/options.h"

/* The target is the client policy, whose pipeline learns the number of entries, their kinds, and
 * which are the cache. What the others do is left in the table of kept functions: "fallback" is a
 * list of { kind = "function" | "service" | "default" | "cache", value = what was given, request =
 * function | nil }. */
neap_option_read neap_read_fallback;

#endif
