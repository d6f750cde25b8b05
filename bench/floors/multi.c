/* The floor of calls side by side: one bare multi handle on an epoll, curl_multi_socket_action, as
 * the manual of libcurl advises it. `preset` keeps the options of each easy handle from call to
 * call; `all` resets it and sets them anew.
 * Usage: multi preset|all URL BODY CALLS SIDE_BY_SIDE */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "handle.h"
#include "result.h"

#define EVENTS 256

struct slot {
    CURL *easy;
    struct bench_answer answer;
    double begun;
};

static struct {
    const char *url, *body;
    bool presets;
    long calls, begun, ended;
    double *latencies;
    CURLM *multi;
    int epoll;
    long wait_ms;
} run;

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    struct epoll_event event = {.data.fd = fd};
    (void)easy, (void)context;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(run.epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    epoll_ctl(run.epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    curl_multi_assign(run.multi, fd, &run);
    return 0;
}

static int on_timer(CURLM *multi, long wait_ms, void *context)
{
    (void)multi, (void)context;
    run.wait_ms = wait_ms;
    return 0;
}

static void act(int fd, int events)
{
    int running;
    if (curl_multi_socket_action(run.multi, fd, events, &running) != CURLM_OK)
        bench_fail("multi: curl_multi_socket_action failed");
}

static void begin(struct slot *slot)
{
    if (!run.presets) {
        curl_easy_reset(slot->easy);
        bench_handle_all(slot->easy, &slot->answer);
    }
    bench_handle_per_call(slot->easy, &slot->answer, run.url);
    curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
    slot->begun = bench_seconds(CLOCK_MONOTONIC);
    run.begun++;
    if (curl_multi_add_handle(run.multi, slot->easy) != CURLM_OK)
        bench_fail("multi: curl_multi_add_handle failed");
}

static void end(struct slot *slot, CURLcode code)
{
    bench_handle_check(slot->easy, code, &slot->answer, run.body);
    curl_multi_remove_handle(run.multi, slot->easy);
    run.latencies[run.ended++] = (bench_seconds(CLOCK_MONOTONIC) - slot->begun) * 1e6;
    if (run.begun < run.calls)
        begin(slot);
}

static void collect(void)
{
    int left;
    for (;;) {
        const CURLMsg *message = curl_multi_info_read(run.multi, &left);
        struct slot *slot = NULL;
        if (!message)
            return;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&slot);
        end(slot, code);
    }
}

static int curl_events(uint32_t events)
{
    return (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
           (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int count = run.wait_ms == 0 ? 0 : epoll_wait(run.epoll, events, EVENTS, (int)run.wait_ms);
    if (count == 0) {
        run.wait_ms = -1;
        act(CURL_SOCKET_TIMEOUT, 0);
    }
    for (int i = 0; i < count; i++)
        act(events[i].data.fd, curl_events(events[i].events));
    collect();
}

static void until_ended(long calls)
{
    while (run.ended < calls)
        turn();
}

static struct slot *make_slots(long side_by_side)
{
    struct slot *slots = calloc((size_t)side_by_side, sizeof *slots);
    for (long i = 0; slots && i < side_by_side; i++) {
        slots[i].easy = curl_easy_init();
        bench_handle_all(slots[i].easy, &slots[i].answer);
    }
    return slots;
}

/* The first call of each slot opens its connection and is not counted. */
static void warm_up(struct slot *slots, long side_by_side)
{
    run.calls = side_by_side;
    for (long i = 0; i < side_by_side; i++)
        begin(&slots[i]);
    until_ended(side_by_side);
    run.begun = run.ended = 0;
}

static CURLM *make_multi(long side_by_side)
{
    CURLM *multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, side_by_side);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, side_by_side);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, side_by_side);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    return multi;
}

int main(int count, char **words)
{
    if (count != 6)
        bench_fail("usage: multi preset|all URL BODY CALLS SIDE_BY_SIDE");
    long calls = strtol(words[4], NULL, 10), side_by_side = strtol(words[5], NULL, 10);
    run.presets = strcmp(words[1], "preset") == 0;
    run.url = words[2];
    run.body = words[3];
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.multi = make_multi(side_by_side);
    run.latencies = calloc((size_t)(calls + side_by_side), sizeof *run.latencies);
    struct slot *slots = make_slots(side_by_side);
    if (!run.multi || !run.latencies || !slots || calls < side_by_side)
        bench_fail("multi: not enough memory, or fewer calls than are to run side by side");
    warm_up(slots, side_by_side);
    run.calls = calls;
    struct bench_begun begun = bench_begin();
    for (long i = 0; i < side_by_side; i++)
        begin(&slots[i]);
    until_ended(calls);
    bench_print(begun, calls, run.latencies);
    for (long i = 0; i < side_by_side; i++)
        curl_easy_cleanup(slots[i].easy);
    curl_multi_cleanup(run.multi);
    close(run.epoll);
    free(slots);
    free(run.latencies);
    return 0;
}
