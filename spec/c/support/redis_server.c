#include "support/redis_server.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "platform/clock.h"

#define OPTIONS_MOST 32
#define START_NS (20 * NEAP_SECOND)

bool redis_server_exists(void)
{
    return system("command -v redis-server >/dev/null 2>&1") == 0;
}

static void run(const struct redis_server *server, const char *const *options)
{
    const char *argument[OPTIONS_MOST] = {"redis-server",
                                          "--port",
                                          "0",
                                          "--unixsocket",
                                          server->path,
                                          "--dir",
                                          server->directory,
                                          "--save",
                                          "",
                                          "--appendonly",
                                          "no",
                                          "--daemonize",
                                          "no",
                                          "--loglevel",
                                          "warning"};
    size_t count = 15;
    while (options && *options && count + 1 < OPTIONS_MOST)
        argument[count++] = *options++;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!freopen("/dev/null", "w", stdout))
        _exit(126);
    execvp("redis-server", (char *const *)(uintptr_t)argument);
    _exit(127);
}

static int reach(const struct redis_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, server->path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Any answer will do: one that wants a password is up too. */
static bool is_up(const struct redis_server *server)
{
    char answer[64];
    redis_server_say(server, "PING", answer, sizeof answer);
    return answer[0] == '+' || strncmp(answer, "-NOAUTH", 7) == 0;
}

void redis_server_start(struct redis_server *server, const char *const *options)
{
    if (server->directory[0] == '\0') {
        (void)snprintf(server->directory, sizeof server->directory, "/tmp/neap-redis-XXXXXX");
        assert_non_null(mkdtemp(server->directory));
        (void)snprintf(server->path, sizeof server->path, "%s/socket", server->directory);
    }
    (void)unlink(server->path);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0)
        run(server, options);
    int64_t end_ns = neap_clock_monotonic_ns() + START_NS;
    while (!is_up(server)) {
        assert_true(neap_clock_monotonic_ns() < end_ns);
        assert_int_equal(waitpid(server->pid, NULL, WNOHANG), 0);
        usleep(5000); /* between two looks */
    }
}

void redis_server_stop(struct redis_server *server)
{
    if (server->pid <= 0)
        return;
    (void)kill(server->pid, SIGKILL);
    (void)waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void redis_server_remove(struct redis_server *server)
{
    redis_server_stop(server);
    if (server->directory[0] == '\0')
        return;
    (void)unlink(server->path);
    (void)rmdir(server->directory);
    server->directory[0] = '\0';
}

void redis_server_say(const struct redis_server *server, const char *line, char *answer,
                      size_t bytes)
{
    ssize_t got = 0;
    int fd = reach(server);
    if (fd >= 0 && send(fd, line, strlen(line), MSG_NOSIGNAL) >= 0 &&
        send(fd, "\r\n", 2, MSG_NOSIGNAL) == 2)
        got = recv(fd, answer, bytes - 1, 0);
    if (fd >= 0)
        close(fd);
    answer[got > 0 ? got : 0] = '\0';
}

void redis_server_expect(const struct redis_server *server, const char *line, const char *expected)
{
    char answer[256];
    redis_server_say(server, line, answer, sizeof answer);
    if (strncmp(answer, expected, strlen(expected)) != 0)
        fail_msg("Redis answered %s to %s", answer, line);
}

/* Redis cannot choose a port itself, so that several are tried. */
int redis_server_listen(const struct redis_server *server, const char *setting)
{
    char line[80], answer[64];
    for (int i = 0; i < 100; i++) {
        int port = 20000 + (getpid() + i * 97) % 12000;
        (void)snprintf(line, sizeof line, "CONFIG SET %s %d", setting, port);
        redis_server_say(server, line, answer, sizeof answer);
        if (answer[0] == '+')
            return port;
    }
    fail_msg("no port is free: %s", answer);
    return 0;
}
