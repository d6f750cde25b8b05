#include "transport/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include "transport/transport.h"

static bool is_inner(const char *text)
{
    struct sockaddr_storage storage = {0};
    if (strchr(text, ':')) {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        memcpy(&storage, &v6, sizeof v6);
    } else {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        assert_int_equal(inet_pton(AF_INET, text, &v4.sin_addr), 1);
        memcpy(&storage, &v4, sizeof v4);
    }
    return neap_reach_is_inner((const struct sockaddr *)&storage);
}

static void the_first_and_the_last_of_each_range_are_inner(void **state)
{
    static const char *const inner[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.0",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.255",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "224.0.0.0",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:0:0",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b:1::",
        "64:ff9b:1:ffff::1",
        "fc00::",
        "fdff:ffff::1",
        "fe80::",
        "febf::1",
        "fec0::",
        "feff::1",
        "ff00::",
        "ffff::1",
        "64:ff9b::10.0.0.1",
        "::ffff:0:127.0.0.1",
        "2001::",
        "2001:0:7f00:1::1",
        "2001:0:ffff:ffff::",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
        if (!is_inner(inner[i]))
            fail_msg("%s", inner[i]);
}

static void their_neighbours_are_not(void **state)
{
    static const char *const outer[] = {
        "1.0.0.0",         "9.255.255.255",   "11.0.0.0",         "100.63.255.255",
        "100.128.0.0",     "126.255.255.255", "128.0.0.0",        "169.253.255.255",
        "169.255.0.0",     "172.15.255.255",  "172.32.0.0",       "191.255.255.255",
        "192.0.1.0",       "192.167.255.255", "192.169.0.0",      "198.17.255.255",
        "198.20.0.0",      "223.255.255.255", "64:ff9b::8.8.8.8", "64:ff9b:2::",
        "2001:1::",        "2001:db8::1",     "::ffff:0:8.8.8.8", "2001:4860::8888",
        "2002:808:808::1", "2606:4700::1",    "fbff::1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof outer / sizeof *outer; i++)
        if (is_inner(outer[i]))
            fail_msg("%s", outer[i]);
}

static void another_family_leads_inside(void **state)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    (void)state;
    assert_true(neap_reach_is_inner((const struct sockaddr *)&path));
}

static bool is_pattern(const char *text)
{
    return neap_is_host_pattern(text, strlen(text));
}

static void a_pattern_is_a_host_or_its_sub_domains(void **state)
{
    (void)state;
    assert_true(is_pattern("api.example"));
    assert_true(is_pattern("*.example"));
    assert_true(is_pattern("10.0.0.1"));
    assert_true(is_pattern("[::1]"));
    assert_false(is_pattern(""));
    assert_false(is_pattern("*"));
    assert_false(is_pattern("*."));
    assert_false(is_pattern("*.*.example"));
    assert_false(is_pattern("a*.example"));
    assert_false(is_pattern("api.example:443"));
    assert_false(is_pattern("[]"));
    assert_false(neap_is_host_pattern("a\0b", 3));
}

static bool allows(char *pattern, const char *origin)
{
    struct neap_transport_settings settings = {.allow_hosts = &pattern, .allow_host_count = 1};
    return neap_reach_allows_host(&settings, origin);
}

static void a_host_is_compared_whole(void **state)
{
    struct neap_transport_settings open = {0};
    (void)state;
    assert_true(neap_reach_allows_host(&open, "https://any.example:443"));
    assert_true(allows("API.example", "https://api.example:443"));
    assert_false(allows("api.example", "https://api.example.:443"));
    assert_false(allows("api.example", "https://xapi.example:443"));
    assert_false(allows("api.example", "https://api.example.net:443"));
    assert_true(allows("*.example", "http://a.b.example:80"));
    assert_false(allows("*.example", "http://example:80"));
    assert_false(allows("*.example", "http://.example:80"));
    assert_true(allows("[::1]", "http://[::1]:80"));
    assert_false(allows("[::1]", "http://[::11]:80"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_and_the_last_of_each_range_are_inner),
        cmocka_unit_test(their_neighbours_are_not),
        cmocka_unit_test(another_family_leads_inside),
        cmocka_unit_test(a_pattern_is_a_host_or_its_sub_domains),
        cmocka_unit_test(a_host_is_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
