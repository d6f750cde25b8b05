/* One suite for every kind of store: `store` is a fresh one of the kind that is tested. */
#ifndef NEAP_SPEC_STORE_STORE_FIXTURE_H
#define NEAP_SPEC_STORE_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"
#include "store/store.h"
#include "support/failing_alloc.h"
#include "support/stores.h"

/* A day of our time, so that a nanosecond more is beyond what a double tells apart. */
#define NOW INT64_C(1767225600000000000)

static const struct store_kind *kind;
static struct failing_alloc memory;
static struct neap_store *store;

static inline int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    stores_prepare(kind);
    store = stores_open(kind, &memory.alloc);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    neap_store_free(store);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static inline void expect_status(enum neap_store_status got, enum neap_store_status wanted,
                                 int line)
{
    if (got != wanted)
        fail_msg("%s, line %d: status %d, wanted %d: %s", kind->name, line, got, wanted,
                 neap_store_message(store));
}
#define expect(call, wanted) expect_status(call, NEAP_STORE_##wanted, __LINE__)

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Runs the tests against each kind; the number of failures. */
#define RUN_FOR_EACH_KIND(tests, subject)                                                          \
    run_for_each_kind(tests, sizeof(tests) / sizeof(tests)[0], subject)

static inline int run_for_each_kind(const struct CMUnitTest *tests, size_t count,
                                    const char *subject)
{
    int failures = 0;
    for (size_t i = 0; i < STORE_KINDS; i++) {
        char name[64];
        kind = &store_kinds[i];
        const char *lack = stores_lack(kind);
        (void)snprintf(name, sizeof name, "%s: %s", subject, kind->name);
        failures += lack ? stores_skip(name, lack)
                         : _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    }
    stores_remove();
    return failures;
}

#endif
