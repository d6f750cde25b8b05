#include "store/redis_link.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/duration.h"
#include "platform/clock.h"
#include "store/redis_tls.h"

/* ----------------------------------------------------------------------------------- waiting */

static int milliseconds_until(int64_t end_ns)
{
    int64_t left_ns = neap_time_since(end_ns, neap_clock_monotonic_ns());
    return (int)neap_time_min((left_ns + NEAP_MS - 1) / NEAP_MS, INT32_MAX);
}

/* Until the socket is ready for what was wanted. */
static enum neap_link_status wait_until(int fd, long wanted, int64_t end_ns)
{
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    if (wanted == NEAP_LINK_BROKEN)
        return NEAP_LINK_LOST;
    if (wanted == NEAP_LINK_WANTS_WRITE)
        watched.events = POLLOUT;
    for (;;) {
        int ready = poll(&watched, 1, milliseconds_until(end_ns));
        if (ready > 0)
            return NEAP_LINK_OK;
        if (ready == 0)
            return NEAP_LINK_LATE;
        if (errno != EINTR)
            return NEAP_LINK_LOST;
    }
}

static long outcome_of(ssize_t moved, long wanted)
{
    if (moved > 0)
        return moved;
    bool is_early = moved < 0 && (errno == EAGAIN || errno == EINTR);
    return is_early ? wanted : NEAP_LINK_BROKEN;
}

long neap_socket_send(int fd, const char *bytes, size_t count)
{
    return outcome_of(send(fd, bytes, count, MSG_NOSIGNAL), NEAP_LINK_WANTS_WRITE);
}

long neap_socket_receive(int fd, char *bytes, size_t capacity)
{
    return outcome_of(recv(fd, bytes, capacity, 0), NEAP_LINK_WANTS_READ);
}

enum neap_link_status neap_link_send(struct neap_link *link, const char *bytes, size_t count,
                                     int64_t end_ns)
{
    while (count > 0) {
        long sent = link->tls ? neap_redis_tls_send(link->tls, bytes, count)
                              : neap_socket_send(link->fd, bytes, count);
        if (sent > 0) {
            bytes += sent;
            count -= (size_t)sent;
            continue;
        }
        enum neap_link_status status = wait_until(link->fd, sent, end_ns);
        if (status != NEAP_LINK_OK)
            return status;
    }
    return NEAP_LINK_OK;
}

enum neap_link_status neap_link_receive(struct neap_link *link, char *bytes, size_t capacity,
                                        int64_t end_ns, size_t *received)
{
    for (;;) {
        long got = link->tls ? neap_redis_tls_receive(link->tls, bytes, capacity)
                             : neap_socket_receive(link->fd, bytes, capacity);
        if (got > 0) {
            *received = (size_t)got;
            return NEAP_LINK_OK;
        }
        enum neap_link_status status = wait_until(link->fd, got, end_ns);
        if (status != NEAP_LINK_OK)
            return status;
    }
}

/* -------------------------------------------------------------------------------- connecting */

/* The error of the connection, 0 where it stands, EINPROGRESS where the end came first. */
static int finish_connect(int fd, int64_t end_ns)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    switch (wait_until(fd, NEAP_LINK_WANTS_WRITE, end_ns)) {
    case NEAP_LINK_LATE:
        return EINPROGRESS;
    case NEAP_LINK_LOST:
        return errno;
    case NEAP_LINK_OK:
        break;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 ? error : errno;
}

static int try_address(struct neap_link *link, const struct sockaddr *address, socklen_t bytes,
                       int64_t end_ns)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = connect(fd, address, bytes) == 0 ? 0 : errno;
    if (error == EINPROGRESS)
        error = finish_connect(fd, end_ns);
    if (error == 0)
        link->fd = fd;
    else
        close(fd);
    return error;
}

static int connect_to_path(struct neap_link *link, const char *path, int64_t end_ns)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    return try_address(link, (const struct sockaddr *)&address, sizeof address, end_ns);
}

/* Neither waits for more to send, nor forgets a server that has vanished. */
static void tune(int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static int connect_to_any(struct neap_link *link, const struct addrinfo *address, int64_t end_ns)
{
    int error = EADDRNOTAVAIL;
    for (; address; address = address->ai_next) {
        error = try_address(link, address->ai_addr, address->ai_addrlen, end_ns);
        if (error == 0)
            tune(link->fd);
        if (error == 0 || error == EINPROGRESS)
            return error;
    }
    return error;
}

/* What kept it from being found, or NULL and the connection's error. */
static const char *connect_to_host(struct neap_link *link, const char *host, int port,
                                   int64_t end_ns, int *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    char service[16];
    (void)snprintf(service, sizeof service, "%d", port);
    int result = getaddrinfo(host, service, &hints, &addresses);
    if (result != 0)
        return gai_strerror(result);
    *error = connect_to_any(link, addresses, end_ns);
    freeaddrinfo(addresses);
    return NULL;
}

static enum neap_link_status refuse(char message[NEAP_MESSAGE_BYTES], int error, const char *reason,
                                    const char *host)
{
    bool is_late = !reason && error == EINPROGRESS;
    char text[64];
    if (is_late)
        reason = "no connection within the time limit";
    if (!reason)
        reason = strerror_r(error, text, sizeof text);
    (void)snprintf(message, NEAP_MESSAGE_BYTES, "Redis cannot be reached: %s: %s", reason, host);
    return is_late ? NEAP_LINK_LATE : NEAP_LINK_LOST;
}

static enum neap_link_status shake_hands(struct neap_link *link, int64_t end_ns,
                                         char message[NEAP_MESSAGE_BYTES])
{
    for (;;) {
        long wanted = neap_redis_tls_shake_hands(link->tls, message);
        if (wanted > 0)
            return NEAP_LINK_OK;
        if (wanted == NEAP_LINK_BROKEN)
            return NEAP_LINK_LOST;
        enum neap_link_status status = wait_until(link->fd, wanted, end_ns);
        if (status != NEAP_LINK_OK) {
            (void)snprintf(message, NEAP_MESSAGE_BYTES,
                           "Redis did not complete the TLS handshake within the time limit");
            return status;
        }
    }
}

static enum neap_link_status secure(struct neap_link *link,
                                    const struct neap_redis_settings *settings, int64_t end_ns,
                                    char message[NEAP_MESSAGE_BYTES])
{
    link->tls = neap_redis_tls_new(link->fd, settings->host, settings->ca_file, message);
    enum neap_link_status status = link->tls ? shake_hands(link, end_ns, message) : NEAP_LINK_LOST;
    if (status != NEAP_LINK_OK)
        neap_link_close(link);
    return status;
}

enum neap_link_status neap_link_open(struct neap_link *link,
                                     const struct neap_redis_settings *settings, int64_t end_ns,
                                     char message[NEAP_MESSAGE_BYTES])
{
    const char *reason = NULL;
    int error = 0;
    *link = (struct neap_link){.fd = -1};
    if (settings->host[0] == '/')
        error = connect_to_path(link, settings->host, end_ns);
    else
        reason = connect_to_host(link, settings->host, settings->port, end_ns, &error);
    if (reason || error != 0)
        return refuse(message, error, reason, settings->host);
    return settings->tls ? secure(link, settings, end_ns, message) : NEAP_LINK_OK;
}

void neap_link_close(struct neap_link *link)
{
    neap_redis_tls_free(link->tls);
    if (link->fd >= 0)
        close(link->fd);
    *link = (struct neap_link){.fd = -1};
}
