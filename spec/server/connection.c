/* One accepted connection, plain or TLS: reading, writing, waiting and the ways to end it. */
#include "connection.h"

#include "base.h"

#include <errno.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long an ending waits for the peer at most. */
static const double LINGER_S = 1.0;

struct conn *conn_new(int fd, int stop_fd)
{
    struct conn *conn = memory_get(sizeof *conn);
    conn->fd = fd;
    conn->stop_fd = stop_fd;
    return conn;
}

void conn_free(struct conn *conn)
{
    if (conn == NULL)
        return;
    conn_drop(conn);
    free(conn);
}

static int milliseconds_until(double deadline_s)
{
    double left = (deadline_s - clock_s()) * 1000;
    if (left <= 0)
        return 0;
    return left > 3600e3 ? 3600 * 1000 : (int)left + 1;
}

/* Waits for the events or the deadline (negative: none). CONN_TIMEOUT, CONN_DATA for one of the
 * events, CONN_GONE for the server's stop. */
static enum conn_event wait_for(const struct conn *conn, short events, double deadline_s)
{
    struct pollfd fds[2] = {
        {.fd = conn->fd, .events = events},
        {.fd = conn->stop_fd, .events = POLLIN},
    };
    for (;;) {
        int ready = poll(fds, 2, deadline_s < 0 ? -1 : milliseconds_until(deadline_s));
        if (ready < 0 && errno != EINTR)
            return CONN_GONE;
        if (ready > 0)
            return fds[1].revents != 0 ? CONN_GONE : CONN_DATA;
        if (ready == 0 && clock_s() >= deadline_s)
            return CONN_TIMEOUT;
    }
}

/* What to wait for after a TLS call that did not finish; 0 if it failed for good. */
static short wanted(SSL *ssl, int result)
{
    int error = SSL_get_error(ssl, result);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ)
        return POLLIN;
    return error == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
}

int conn_handshake(struct conn *conn, SSL_CTX *context)
{
    conn->ssl = SSL_new(context);
    SSL_set_mode(conn->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_fd(conn->ssl, conn->fd);
    for (;;) {
        ERR_clear_error();
        int result = SSL_accept(conn->ssl);
        if (result == 1)
            return 1;
        short events = wanted(conn->ssl, result);
        if (events == 0 || wait_for(conn, events, -1) == CONN_GONE) {
            conn->gone = 1;
            return 0;
        }
    }
}

/* One attempt to read: bytes, 0 for the end, -1 to wait for `events`. */
static ssize_t receive(struct conn *conn, void *to, size_t room, short *events)
{
    *events = POLLIN;
    if (conn->ssl != NULL) {
        ERR_clear_error();
        int bytes = SSL_read(conn->ssl, to, (int)room);
        if (bytes > 0)
            return bytes;
        *events = wanted(conn->ssl, bytes);
        return *events != 0 ? -1 : 0;
    }
    ssize_t bytes = recv(conn->fd, to, room, 0);
    if (bytes >= 0)
        return bytes;
    return errno == EAGAIN || errno == EINTR ? -1 : 0;
}

static enum conn_event receive_some(struct conn *conn, void *to, size_t room, double deadline_s,
                                    size_t *received)
{
    while (!conn->gone) {
        short events;
        ssize_t bytes = receive(conn, to, room, &events);
        if (bytes > 0) {
            *received = (size_t)bytes;
            return CONN_DATA;
        }
        enum conn_event event = bytes < 0 ? wait_for(conn, events, deadline_s) : CONN_GONE;
        if (event == CONN_TIMEOUT)
            return event;
        conn->gone = event == CONN_GONE;
    }
    return CONN_GONE;
}

enum conn_event conn_fill(struct conn *conn, double timeout_s)
{
    if (conn->in_at < conn->in_bytes)
        return CONN_DATA;
    conn->in_at = 0;
    conn->in_bytes = 0;
    double deadline_s = timeout_s < 0 ? -1 : clock_s() + timeout_s;
    return receive_some(conn, conn->in, sizeof conn->in, deadline_s, &conn->in_bytes);
}

int conn_byte(struct conn *conn)
{
    if (conn_fill(conn, -1) != CONN_DATA)
        return -1;
    return (unsigned char)conn->in[conn->in_at++];
}

size_t conn_read(struct conn *conn, void *to, size_t room)
{
    size_t buffered = conn->in_bytes - conn->in_at;
    if (buffered == 0) {
        size_t received = 0;
        receive_some(conn, to, room, -1, &received);
        return received;
    }
    size_t bytes = buffered < room ? buffered : room;
    memcpy(to, conn->in + conn->in_at, bytes);
    conn->in_at += bytes;
    return bytes;
}

int conn_read_all(struct conn *conn, void *to, size_t bytes)
{
    char *at = to;
    while (bytes > 0) {
        size_t got = conn_read(conn, at, bytes);
        if (got == 0)
            return 0;
        at += got;
        bytes -= got;
    }
    return 1;
}

/* One attempt to send: bytes, 0 for failure, -1 to wait for `events`. */
static ssize_t transmit(struct conn *conn, const void *data, size_t bytes, short *events)
{
    *events = POLLOUT;
    if (conn->ssl != NULL) {
        ERR_clear_error();
        int sent = SSL_write(conn->ssl, data, bytes > 1 << 20 ? 1 << 20 : (int)bytes);
        if (sent > 0)
            return sent;
        *events = wanted(conn->ssl, sent);
        return *events != 0 ? -1 : 0;
    }
    ssize_t sent = send(conn->fd, data, bytes, MSG_NOSIGNAL);
    if (sent > 0)
        return sent;
    return errno == EAGAIN || errno == EINTR ? -1 : 0;
}

int conn_send(struct conn *conn, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0 && !conn->gone) {
        short events;
        ssize_t sent = transmit(conn, at, bytes, &events);
        if (sent > 0) {
            at += sent;
            bytes -= (size_t)sent;
        } else if (sent == 0 || wait_for(conn, events, -1) == CONN_GONE) {
            conn->gone = 1;
        }
    }
    return !conn->gone;
}

int conn_wait(struct conn *conn, double seconds)
{
    if (conn->gone)
        return 0;
    if (seconds > 0 && wait_for(conn, POLLRDHUP, clock_s() + seconds) != CONN_TIMEOUT)
        conn->gone = 1;
    return !conn->gone;
}

static void end(struct conn *conn)
{
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    close(conn->fd);
    conn->fd = -1;
    conn->gone = 1;
}

/* A reset discards what the kernel has not sent yet, and what was sent belongs to the
 * behaviour. */
static void wait_until_sent(const struct conn *conn)
{
    int unsent = 0;
    for (int i = 0; i < 200 && ioctl(conn->fd, SIOCOUTQ, &unsent) == 0 && unsent > 0; i++)
        poll(NULL, 0, 1);
}

void conn_reset(struct conn *conn)
{
    if (conn->fd < 0)
        return;
    wait_until_sent(conn);
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    end(conn);
}

void conn_finish(struct conn *conn)
{
    if (conn->fd < 0)
        return;
    if (conn->ssl != NULL && !conn->gone) {
        ERR_clear_error();
        SSL_shutdown(conn->ssl);
        ERR_clear_error();
    }
    shutdown(conn->fd, SHUT_WR);
    double deadline_s = clock_s() + LINGER_S;
    ssize_t bytes = 1;
    while (bytes != 0 && wait_for(conn, POLLIN, deadline_s) == CONN_DATA)
        bytes = recv(conn->fd, conn->in, sizeof conn->in, 0) > 0;
    end(conn);
}

void conn_drop(struct conn *conn)
{
    if (conn->fd >= 0)
        end(conn);
}
