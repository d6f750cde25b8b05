#include "platform/nginx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void count(void *context)
{
    ++*(int *)context;
}

static void a_process_that_is_no_nginx_has_no_requests(void **state)
{
    int request = 0, ended = 0;
    (void)state;
    assert_false(neap_nginx_on_request_end(&request, count, &ended));
    assert_int_equal(ended, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_is_no_nginx_has_no_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
