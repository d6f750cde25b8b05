/* The ports: what is bound, and the thread of each accepted connection. */
#include "listen.h"

#include "h2.h"
#include "serve.h"
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum kind {
    KIND_HTTP,
    KIND_FLAKY,   /* does to a connection what the action script "accept" says, then as HTTP */
    KIND_REFUSED, /* bound, then closed */
    KIND_STALL,   /* a full queue that nobody empties: connecting does not end */
    KIND_TLS,
    KIND_TLS_STALL,
    KIND_TLS_GARBAGE,
    KIND_TLS_CUT
};

struct port_wish {
    const char *name;
    enum kind kind;
    struct tls_wish tls;
};

static const struct port_wish wishes[PORTS] = {
    {"plain", KIND_HTTP, {0}},
    {"flaky", KIND_FLAKY, {0}},
    {"refused", KIND_REFUSED, {0}},
    {"stall", KIND_STALL, {0}},
    {"good", KIND_TLS, {.certificate = "good"}},
    {"selfsigned", KIND_TLS, {.certificate = "selfsigned"}},
    {"expired", KIND_TLS, {.certificate = "expired"}},
    {"wrongname", KIND_TLS, {.certificate = "wrongname"}},
    {"clientauth", KIND_TLS, {.certificate = "good", .client_certificate = 1}},
    {"h2", KIND_TLS, {.certificate = "good", .h2 = 1}},
    {"tls11", KIND_TLS, {.certificate = "good", .max_version = TLS1_1_VERSION}},
    {"tlsstall", KIND_TLS_STALL, {0}},
    {"tlsgarbage", KIND_TLS_GARBAGE, {0}},
    {"tlscut", KIND_TLS_CUT, {0}},
};

enum { STALL_CONNECTIONS = 4, STACK_BYTES = 256 * 1024, BACKLOG = 4096 };

struct port {
    const struct port_wish *wish;
    int fd;
    int number;
    SSL_CTX *context;
    int stalled[STALL_CONNECTIONS]; /* of a KIND_STALL: what fills its queue */
};

struct ports {
    struct server *server;
    pthread_mutex_t lock;
    pthread_cond_t none_left;
    size_t threads;
    struct port list[PORTS];
};

/* --- one connection ------------------------------------------------------------------------ */

struct visit {
    struct ports *ports;
    const struct port *port;
    int fd;
};

static void serve_flaky(struct server *server, struct conn *conn, int *counted)
{
    struct step step = {0};
    if (!scripts_next(server->actions, "accept", &step)) {
        serve_http(server, conn, "flaky", counted);
        return;
    }
    if (strcmp(step.what, "reset") == 0)
        conn_reset(conn);
    else if (strcmp(step.what, "stall") == 0)
        conn_wait(conn, step.argument > 0 ? step.argument : 3600);
    else if (strcmp(step.what, "serve") == 0)
        serve_http(server, conn, "flaky", counted);
    else
        conn_finish(conn);
    free(step.what);
}

static void serve_tls(struct server *server, struct conn *conn, const struct port *port,
                      int *counted)
{
    int done = conn_handshake(conn, port->context);
    if (!done)
        conn_finish(conn); /* a reset would overtake the alert that says why */
    ledger_handshake(server->ledger, done, done && SSL_session_reused(conn->ssl));
    if (done && tls_chose_h2(conn->ssl))
        serve_h2(server, conn);
    else if (done)
        serve_http(server, conn, port->wish->name, counted);
}

static void serve_tls_garbage(struct conn *conn)
{
    static const char garbage[] = "this is no handshake of any TLS \xff\x00\xfe\x01";
    if (conn_fill(conn, -1) == CONN_DATA)
        conn_send(conn, garbage, sizeof garbage - 1);
    conn_finish(conn);
}

static void serve_tls_cut(struct conn *conn)
{
    if (conn_fill(conn, -1) == CONN_DATA)
        conn_reset(conn);
}

static void serve(struct server *server, struct conn *conn, const struct port *port, int *counted)
{
    switch (port->wish->kind) {
    case KIND_HTTP:
        serve_http(server, conn, port->wish->name, counted);
        break;
    case KIND_FLAKY:
        serve_flaky(server, conn, counted);
        break;
    case KIND_TLS:
        serve_tls(server, conn, port, counted);
        break;
    case KIND_TLS_STALL:
        conn_wait(conn, 3600);
        break;
    case KIND_TLS_GARBAGE:
        serve_tls_garbage(conn);
        break;
    case KIND_TLS_CUT:
        serve_tls_cut(conn);
        break;
    case KIND_REFUSED:
    case KIND_STALL:
        break;
    }
}

static void thread_ended(struct ports *ports)
{
    pthread_mutex_lock(&ports->lock);
    if (--ports->threads == 0)
        pthread_cond_signal(&ports->none_left);
    pthread_mutex_unlock(&ports->lock);
}

static void *visit_run(void *argument)
{
    struct visit visit = *(struct visit *)argument;
    struct server *server = visit.ports->server;
    free(argument);
    int counted = 1;
    struct conn *conn = conn_new(visit.fd, server->stop_fd);
    conn->id = ledger_connect(server->ledger, visit.port->wish->name);
    serve(server, conn, visit.port, &counted);
    conn_drop(conn);
    if (counted)
        ledger_disconnect(server->ledger, conn);
    conn_free(conn);
    OPENSSL_thread_stop();
    thread_ended(visit.ports);
    return NULL;
}

static void start_visit(struct ports *ports, const struct port *port, int fd)
{
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct visit *visit = memory_get(sizeof *visit);
    *visit = (struct visit){.ports = ports, .port = port, .fd = fd};
    pthread_mutex_lock(&ports->lock);
    ports->threads++;
    pthread_mutex_unlock(&ports->lock);

    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int failed = pthread_create(&thread, &attributes, visit_run, visit);
    pthread_attr_destroy(&attributes);
    if (failed) {
        close(fd);
        free(visit);
        thread_ended(ports);
    }
}

static void accept_all(struct ports *ports, const struct port *port)
{
    for (;;) {
        int fd = accept4(port->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            start_visit(ports, port, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE)
            poll(NULL, 0, 10); /* until a connection ends */
        return;
    }
}

void ports_serve(struct ports *ports, int input_fd, int signal_fd)
{
    enum { STOP = PORTS, SIGNAL, INPUT, COUNT };
    struct pollfd fds[COUNT];
    for (size_t i = 0; i < PORTS; i++) {
        enum kind kind = ports->list[i].wish->kind;
        int accepts = kind != KIND_STALL && kind != KIND_REFUSED;
        fds[i] = (struct pollfd){.fd = accepts ? ports->list[i].fd : -1, .events = POLLIN};
    }
    fds[STOP] = (struct pollfd){.fd = ports->server->stop_fd, .events = POLLIN};
    fds[SIGNAL] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
    fds[INPUT] = (struct pollfd){.fd = input_fd, .events = POLLIN};
    for (;;) {
        char ignored[256];
        if (poll(fds, COUNT, -1) < 0)
            continue;
        if (fds[STOP].revents != 0 || fds[SIGNAL].revents != 0)
            return;
        if (fds[INPUT].revents != 0 && read(input_fd, ignored, sizeof ignored) <= 0)
            return;
        for (size_t i = 0; i < PORTS; i++)
            if (fds[i].revents != 0)
                accept_all(ports, &ports->list[i]);
    }
}

/* --- opening and closing ------------------------------------------------------------------- */

static struct sockaddr_in loopback(int number)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* One connection enters a queue of length 0. The others find it full and are not answered, nor is
 * any later one. */
static void fill_queue(struct port *port)
{
    struct sockaddr_in address = loopback(port->number);
    for (size_t i = 0; i < STALL_CONNECTIONS; i++) {
        port->stalled[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(port->stalled[i], (struct sockaddr *)&address, sizeof address) < 0)
            continue; /* it goes on in the background */
    }
}

static int bind_port(struct port *port)
{
    port->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(0);
    socklen_t bytes = sizeof address;
    if (port->fd < 0 || bind(port->fd, (struct sockaddr *)&address, bytes) != 0 ||
        getsockname(port->fd, (struct sockaddr *)&address, &bytes) != 0)
        return 0;
    port->number = ntohs(address.sin_port);
    return 1;
}

static int open_port(struct port *port, const char *tls_directory)
{
    const struct port_wish *wish = port->wish;
    if (!bind_port(port))
        return 0;
    if (wish->kind == KIND_REFUSED)
        return 1; /* bound and never listening: refused, and nobody else can take the port */
    if (listen(port->fd, wish->kind == KIND_STALL ? 0 : BACKLOG) != 0)
        return 0;
    if (wish->kind == KIND_STALL)
        fill_queue(port);
    if (wish->kind == KIND_TLS)
        port->context = tls_context(tls_directory, &wish->tls);
    return wish->kind != KIND_TLS || port->context != NULL;
}

struct ports *ports_open(struct server *server, const char *tls_directory)
{
    struct ports *ports = memory_get(sizeof *ports);
    ports->server = server;
    pthread_mutex_init(&ports->lock, NULL);
    pthread_cond_init(&ports->none_left, NULL);
    for (size_t i = 0; i < PORTS; i++) {
        ports->list[i].wish = &wishes[i];
        ports->list[i].fd = -1;
        memset(ports->list[i].stalled, -1, sizeof ports->list[i].stalled);
    }
    for (size_t i = 0; i < PORTS; i++) {
        if (!open_port(&ports->list[i], tls_directory)) {
            ports_close(ports);
            return NULL;
        }
    }
    return ports;
}

static void close_port(struct port *port)
{
    for (size_t i = 0; i < STALL_CONNECTIONS; i++)
        if (port->stalled[i] >= 0)
            close(port->stalled[i]);
    if (port->fd >= 0)
        close(port->fd);
    SSL_CTX_free(port->context);
}

void ports_close(struct ports *ports)
{
    pthread_mutex_lock(&ports->lock);
    while (ports->threads > 0)
        pthread_cond_wait(&ports->none_left, &ports->lock);
    pthread_mutex_unlock(&ports->lock);
    for (size_t i = 0; i < PORTS; i++)
        close_port(&ports->list[i]);
    pthread_cond_destroy(&ports->none_left);
    pthread_mutex_destroy(&ports->lock);
    free(ports);
}

static int uses_tls(enum kind kind)
{
    return kind == KIND_TLS || kind == KIND_TLS_STALL || kind == KIND_TLS_GARBAGE ||
           kind == KIND_TLS_CUT;
}

void ports_report(const struct ports *ports, struct text *json)
{
    text_string(json, "\"tls\":{");
    const char *comma = "";
    for (size_t i = 0; i < PORTS; i++) {
        if (uses_tls(ports->list[i].wish->kind)) {
            text_format(json, "%s\"%s\":%d", comma, wishes[i].name, ports->list[i].number);
            comma = ",";
        }
    }
    text_string(json, "}");
    for (size_t i = 0; i < PORTS; i++)
        if (!uses_tls(ports->list[i].wish->kind))
            text_format(json, ",\"%s\":%d", wishes[i].name, ports->list[i].number);
}
