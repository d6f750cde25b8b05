/* The floor of calls made one at a time: a bare easy handle in a loop. `minimal` is an example out
 * of a manual; `all` resets the handle and sets all options for each call, as a program does that
 * has requests of many kinds; `preset` keeps the handle's options, as neap does. Of several
 * HANDLES, each has a connection of its own, and the calls go round. Usage: easy minimal|all|preset
 * URL BODY CALLS [HANDLES] */
#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "result.h"

static struct bench_answer answer;

static void set_minimal(CURL *easy, const char *url)
{
    bench_handle_minimal(easy, &answer, url);
}

static void set_all(CURL *easy, const char *url)
{
    curl_easy_reset(easy);
    bench_handle_all(easy, &answer);
    bench_handle_per_call(easy, &answer, url);
}

static void set_per_call(CURL *easy, const char *url)
{
    bench_handle_per_call(easy, &answer, url);
}

typedef void set_options(CURL *easy, const char *url);

static set_options *options_of(CURL *easy, const char *mode)
{
    if (strcmp(mode, "minimal") == 0)
        return set_minimal;
    if (strcmp(mode, "all") == 0)
        return set_all;
    if (strcmp(mode, "preset") != 0)
        bench_fail("easy: unknown mode '%s'", mode);
    bench_handle_all(easy, &answer);
    return set_per_call;
}

static void call(CURL *easy, set_options *set, const char *url, const char *body)
{
    set(easy, url);
    bench_handle_check(easy, curl_easy_perform(easy), &answer, body);
}

static CURL **make_handles(long handles)
{
    CURL **made = calloc((size_t)handles, sizeof(CURL *));
    for (long i = 0; made && i < handles; i++)
        made[i] = curl_easy_init();
    return made;
}

int main(int count, char **words)
{
    if (count < 5)
        bench_fail("usage: easy minimal|all|preset URL BODY CALLS [HANDLES]");
    long calls = strtol(words[4], NULL, 10), handles = count > 5 ? strtol(words[5], NULL, 10) : 1;
    CURL **easy = make_handles(handles);
    double *latencies = calloc((size_t)calls, sizeof *latencies);
    if (!easy || !latencies || handles < 1)
        bench_fail("easy: not enough memory, or no handle");
    set_options *set = options_of(easy[0], words[1]);
    for (long i = 0; i < handles; i++) {
        options_of(easy[i], words[1]);
        call(easy[i], set, words[2], words[3]);
    }
    struct bench_begun begun = bench_begin();
    double last = begun.wall;
    for (long i = 0; i < calls; i++) {
        call(easy[i % handles], set, words[2], words[3]);
        double now = bench_seconds(CLOCK_MONOTONIC);
        latencies[i] = (now - last) * 1e6;
        last = now;
    }
    bench_print(begun, calls, latencies);
    for (long i = 0; i < handles; i++)
        curl_easy_cleanup(easy[i]);
    free(latencies);
    free(easy);
    return 0;
}
