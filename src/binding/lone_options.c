/* The policies of stand-alone objects: the keys of a client's, and a name for shared state. */
#include <math.h>

#include "binding/option_message.h"
#include "binding/option_tables.h"
#include "binding/policy_options.h"
#include "binding/policy_readers.h"

#define TYPE(name) (1u << LUA_T##name)

/* `name` comes first in each struct: one row serves them all. */
static bool read_lone_name(struct neap_option_reader *reader, void *target);

static const struct neap_option lone_name_row = {
    "name",
    .kind = NEAP_OPTION_CUSTOM,
    .types = TYPE(STRING),
    .expected = "a string of printable characters",
    .read = read_lone_name,
    .about = "of the state that processes share, see [a name](standalone.md#a-name)"};
static const struct neap_option_table lone_name_table = {.rows = &lone_name_row, .count = 1};

static bool read_lone_name(struct neap_option_reader *reader, void *target)
{
    struct neap_policy_name *name = target;
    size_t bytes;
    const char *text = lua_tolstring(reader->L, -1, &bytes);
    if (bytes == 0 || !neap_is_policy_name(text, bytes))
        return neap_option_fail_expected(reader, &lone_name_row);
    *name = (struct neap_policy_name){text, bytes};
    return true;
}

struct lone_breaker {
    struct neap_policy_name name;
    struct neap_breaker_policy policy;
};
struct lone_bulkhead {
    struct neap_policy_name name;
    struct neap_bulkhead_policy policy;
};
struct lone_limiter {
    struct neap_policy_name name;
    struct neap_rate_options rate;
};
struct lone_budget {
    struct neap_policy_name name;
    struct neap_retry_budget_policy policy;
};

static const struct neap_option lone_breaker_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &lone_name_table},
    {.kind = NEAP_OPTION_INCLUDE,
     .offset = offsetof(struct lone_breaker, policy),
     .table = &neap_breaker_options},
};
static const struct neap_option lone_bulkhead_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &lone_name_table},
    {.kind = NEAP_OPTION_INCLUDE,
     .offset = offsetof(struct lone_bulkhead, policy),
     .table = &neap_bulkhead_options},
};
static const struct neap_option lone_limiter_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &lone_name_table},
    {.kind = NEAP_OPTION_INCLUDE,
     .offset = offsetof(struct lone_limiter, rate),
     .table = &neap_rate_options},
    {"max_wait", .kind = NEAP_OPTION_SECONDS,
     .offset = offsetof(struct lone_limiter, rate.max_wait_ns), .number = HUGE_VAL,
     .about = "who would wait longer is refused; none: no limit"},
};
static const struct neap_option lone_budget_rows[] = {
    {.kind = NEAP_OPTION_INCLUDE, .table = &lone_name_table},
    {.kind = NEAP_OPTION_INCLUDE,
     .offset = offsetof(struct lone_budget, policy),
     .table = &neap_budget_options},
};
const struct neap_option_table neap_lone_breaker_options = NEAP_OPTION_ROWS(lone_breaker_rows);
const struct neap_option_table neap_lone_bulkhead_options = NEAP_OPTION_ROWS(lone_bulkhead_rows);
const struct neap_option_table neap_lone_limiter_options = NEAP_OPTION_ROWS(lone_limiter_rows);
const struct neap_option_table neap_lone_budget_options = NEAP_OPTION_ROWS(lone_budget_rows);

static bool read_lone(lua_State *L, int index, const struct neap_option_table *table, void *target)
{
    neap_options_defaults(L, table, target, NULL);
    return neap_options_read(L, index, NEAP_OPTION_ROOT, table, target, NULL, 0);
}

bool neap_read_breaker_policy(lua_State *L, int index, struct neap_breaker_policy *policy,
                              struct neap_policy_name *name)
{
    struct lone_breaker read = {.name.text = NULL};
    if (!read_lone(L, index, &neap_lone_breaker_options, &read))
        return false;
    *policy = read.policy;
    *name = read.name;
    return true;
}

bool neap_read_bulkhead_policy(lua_State *L, int index, struct neap_bulkhead_policy *policy,
                               struct neap_policy_name *name)
{
    struct lone_bulkhead read = {.name.text = NULL};
    if (!read_lone(L, index, &neap_lone_bulkhead_options, &read))
        return false;
    *policy = read.policy;
    *name = read.name;
    return true;
}

bool neap_read_rate_limiter_policy(lua_State *L, int index, struct neap_rate_limiter_policy *policy,
                                   struct neap_policy_name *name)
{
    struct lone_limiter read = {.name.text = NULL};
    if (!read_lone(L, index, &neap_lone_limiter_options, &read))
        return false;
    *policy = neap_limiter_of(&read.rate);
    *name = read.name;
    return true;
}

bool neap_read_retry_budget_policy(lua_State *L, int index, struct neap_retry_budget_policy *policy,
                                   struct neap_policy_name *name)
{
    struct lone_budget read = {.name.text = NULL};
    if (!read_lone(L, index, &neap_lone_budget_options, &read))
        return false;
    *policy = read.policy;
    *name = read.name;
    return true;
}

bool neap_read_backoff(lua_State *L, int index, struct neap_backoff *backoff)
{
    return read_lone(L, index, &neap_backoff_options, backoff);
}
