/* Load for a gateway: so many connections that are kept, one request after the other on each, and
 * each answer looked at. A wrong answer ends the program.
 * Usage: load PORT PATH BODY CALLS CONNECTIONS */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "result.h"

#define ANSWER_BYTES 8192
#define EVENTS 64

struct connection {
    int fd;
    char answer[ANSWER_BYTES + 1];
    size_t filled;
    double begun;
};

static struct {
    char request[1024];
    size_t request_bytes;
    const char *body;
    long calls, begun, ended;
    double *latencies;
} run;

static void ask(struct connection *connection)
{
    if (run.begun == run.calls)
        return;
    run.begun++;
    connection->filled = 0;
    connection->begun = bench_seconds(CLOCK_MONOTONIC);
    if (send(connection->fd, run.request, run.request_bytes, MSG_NOSIGNAL) !=
        (ssize_t)run.request_bytes)
        bench_fail("load: a request could not be sent: %s", strerror(errno));
}

static size_t content_length(const char *head)
{
    static const char name[] = "\r\nContent-Length:";
    const char *field = strcasestr(head, name);
    if (!field)
        bench_fail("load: an answer without a length: %s", head);
    return strtoul(field + sizeof name - 1, NULL, 10);
}

static void check(const struct connection *connection, const char *body, size_t bytes)
{
    if (strncmp(connection->answer, "HTTP/1.1 200 ", 13) != 0 || bytes != strlen(run.body) ||
        memcmp(body, run.body, bytes) != 0)
        bench_fail("load: a wrong answer: %s", connection->answer);
}

static void read_answer(struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->answer + connection->filled,
                       ANSWER_BYTES - connection->filled, 0);
    if (got <= 0)
        bench_fail("load: a connection ended early");
    connection->filled += (size_t)got;
    connection->answer[connection->filled] = '\0';
    const char *end = strstr(connection->answer, "\r\n\r\n");
    if (!end)
        return;
    size_t bytes = content_length(connection->answer);
    size_t head_bytes = (size_t)(end + 4 - connection->answer);
    if (connection->filled < head_bytes + bytes)
        return;
    check(connection, end + 4, connection->filled - head_bytes);
    run.latencies[run.ended++] = (bench_seconds(CLOCK_MONOTONIC) - connection->begun) * 1e6;
    ask(connection);
}

static void dial(struct connection *connection, uint16_t port, int epoll)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        bench_fail("load: no connection: %s", strerror(errno));
}

static void serve(int epoll, struct connection *connections, long count, long calls)
{
    struct epoll_event events[EVENTS];
    run.calls = calls;
    run.begun = run.ended = 0;
    for (long i = 0; i < count; i++)
        ask(&connections[i]);
    while (run.ended < calls) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++)
            read_answer(events[i].data.ptr);
    }
}

int main(int count, char **words)
{
    if (count != 6)
        bench_fail("usage: load PORT PATH BODY CALLS CONNECTIONS");
    long calls = strtol(words[4], NULL, 10), width = strtol(words[5], NULL, 10);
    run.body = words[3];
    run.request_bytes =
        (size_t)snprintf(run.request, sizeof run.request,
                         "GET %s HTTP/1.1\r\nHost: gateway\r\nAccept: application/json\r\n"
                         "Authorization: Bearer 4f1c2a\r\n\r\n",
                         words[2]);
    struct connection *connections = calloc((size_t)width, sizeof *connections);
    run.latencies = calloc((size_t)(calls + width), sizeof *run.latencies);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!connections || !run.latencies || calls < width)
        bench_fail("load: not enough memory, or fewer calls than connections");
    for (long i = 0; i < width; i++)
        dial(&connections[i], (uint16_t)strtol(words[1], NULL, 10), epoll);
    /* Connections of the gateway to its upstream, and traces of LuaJIT, are made first. */
    serve(epoll, connections, width, calls / 5 > width ? calls / 5 : width);
    struct bench_begun begun = bench_begin();
    serve(epoll, connections, width, calls);
    bench_print(begun, calls, run.latencies);
    for (long i = 0; i < width; i++)
        close(connections[i].fd);
    close(epoll);
    free(connections);
    free(run.latencies);
    return 0;
}
