/* Sockets: libcurl's descriptors on the loop.
 *
 * A connection that goes back to the pool stays registered in epoll, since asking epoll_ctl twice a
 * request costs more than the rest of a turn: libcurl's "remove" is taken to heart only when an
 * idle connection has something to say (it was closed), and when it is closed here.
 *
 * A socket that never was connected is closed by libcurl 7.88 without a word, and the system gives
 * its number to whoever is next: nginx, for one of its clients. So what libcurl lets go of
 * unconnected is forgotten at once, and nothing is done to a descriptor by its number alone: it
 * must still be the one that was opened. */
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/duration.h"
#include "transport/transport_internal.h"

/* NULL where there is no page for it. */
static struct neap_socket **slot_of(const struct neap_sockets *sockets, int fd)
{
    size_t page = (size_t)fd / NEAP_SOCKETS_A_PAGE;
    if (fd < 0 || page >= sockets->page_count || !sockets->page[page])
        return NULL;
    return &sockets->page[page]->at[(size_t)fd % NEAP_SOCKETS_A_PAGE];
}

struct neap_socket *neap_sockets_find(const struct neap_transport *transport, int fd)
{
    struct neap_socket **slot = slot_of(&transport->sockets, fd);
    return slot ? *slot : NULL;
}

void neap_sockets_note_protocol(struct neap_transport *transport, int fd, bool http2)
{
    struct neap_socket *socket = neap_sockets_find(transport, fd);
    if (socket)
        socket->http2 = http2;
}

bool neap_sockets_lead_to(const struct neap_transport *transport, uint64_t origin)
{
    const struct neap_sockets *sockets = &transport->sockets;
    for (size_t page = 0; page < sockets->page_count; page++) {
        const struct neap_socket_page *those = sockets->page[page];
        for (size_t i = 0; those && i < NEAP_SOCKETS_A_PAGE; i++)
            if (those->at[i] && those->at[i]->origin == origin)
                return true;
    }
    return false;
}

/* Above all descriptors that it has a page for. */
static int end_of(const struct neap_sockets *sockets)
{
    return (int)(sockets->page_count * NEAP_SOCKETS_A_PAGE);
}

static bool make_room_for_page(struct neap_transport *transport, size_t page)
{
    struct neap_sockets *sockets = &transport->sockets;
    size_t count = page + 1;
    if (page < sockets->page_count)
        return true;
    void *pages = neap_resize(transport->alloc, sockets->page, count * sizeof *sockets->page);
    if (!pages)
        return false;
    sockets->page = pages;
    memset(sockets->page + sockets->page_count, 0,
           (count - sockets->page_count) * sizeof(struct neap_socket_page *));
    sockets->page_count = count;
    return true;
}

static bool make_room(struct neap_transport *transport, int fd)
{
    struct neap_sockets *sockets = &transport->sockets;
    size_t page = (size_t)fd / NEAP_SOCKETS_A_PAGE;
    if (slot_of(sockets, fd))
        return true;
    if (!make_room_for_page(transport, page))
        return false;
    sockets->page[page] = neap_alloc_zeroed(transport->alloc, sizeof *sockets->page[page]);
    return sockets->page[page] != NULL;
}

static void forget(struct neap_transport *transport, int fd)
{
    struct neap_socket *socket = neap_sockets_find(transport, fd);
    if (!socket)
        return;
    neap_loop_unwatch(transport->loop, &socket->watch);
    *slot_of(&transport->sockets, fd) = NULL;
    if (socket->ours) {
        transport->stats.open--;
        socket->shard->open--;
    }
    if (socket->origin != 0)
        neap_sharing_note_loss(transport, socket->origin);
    neap_free(transport->alloc, socket);
}

static uint64_t inode_of(int fd)
{
    struct stat about;
    return fstat(fd, &about) == 0 ? (uint64_t)about.st_ino : 0;
}

static bool is_the_same(const struct neap_socket *socket, int fd)
{
    return inode_of(fd) == socket->inode;
}

/* libcurl waits for an answer only where it is connected; one that has come at once needs no
 * waiting. */
static bool was_connected(const struct neap_socket *socket, int fd)
{
    struct sockaddr_storage peer;
    socklen_t bytes = sizeof peer;
    return socket->awaited ||
           (is_the_same(socket, fd) && getpeername(fd, (struct sockaddr *)&peer, &bytes) == 0);
}

/* libcurl takes a pooled connection for dead where a look at its socket finds the end of the
 * stream, but not where it finds a reset: the first look is taken here, and the next one finds the
 * end. */
static void take_first_look(int fd)
{
    char byte;
    ssize_t unused = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    (void)unused;
}

static void ready(struct neap_watch *watch, unsigned events, int64_t now_ns)
{
    struct neap_socket *socket = (struct neap_socket *)watch;
    struct neap_transport *transport = socket->transport;
    int bits = (events & NEAP_READABLE ? CURL_CSELECT_IN : 0) |
               (events & NEAP_WRITABLE ? CURL_CSELECT_OUT : 0);
    if (!socket->in_use) {
        take_first_look(watch->fd);
        neap_loop_unwatch(transport->loop, watch);
        return;
    }
    if (events & NEAP_READABLE)
        socket->readable_ns = now_ns;
    neap_transport_act(socket->shard, watch->fd, bits);
}

static struct neap_socket *add(struct neap_shard *shard, int fd, bool ours)
{
    struct neap_transport *transport = shard->transport;
    forget(transport, fd);
    if (!make_room(transport, fd))
        return NULL;
    struct neap_socket *socket = neap_alloc_zeroed(transport->alloc, sizeof *socket);
    if (!socket)
        return NULL;
    socket->watch.ready = ready;
    socket->transport = transport;
    socket->shard = shard;
    socket->ours = ours;
    socket->inode = inode_of(fd);
    socket->opened_ns = neap_loop_now(transport->loop);
    socket->expires_ns = NEAP_NEVER;
    *slot_of(&transport->sockets, fd) = socket;
    transport->stats.open += ours;
    shard->open += ours;
    return socket;
}

struct neap_socket *neap_sockets_open(struct neap_shard *shard, int fd)
{
    return add(shard, fd, true);
}

static unsigned loop_events(int what)
{
    if (what == CURL_POLL_IN)
        return NEAP_READABLE;
    return what == CURL_POLL_OUT ? NEAP_WRITABLE : NEAP_READABLE | NEAP_WRITABLE;
}

static void note_expiry(struct neap_transport *transport, struct neap_socket *socket)
{
    const struct neap_transport_settings *settings = &transport->stock->settings;
    int64_t now_ns = neap_loop_now(transport->loop);
    socket->expires_ns = neap_time_min(neap_time_add(now_ns, settings->idle_ns),
                                       neap_time_add(socket->opened_ns, settings->ttl_ns));
    transport->sockets.next_expiry_ns =
        neap_time_min(transport->sockets.next_expiry_ns, socket->expires_ns);
}

/* libcurl counts both ages in whole seconds; a connection whose stream has ended is dead to it at
 * once. */
static void end_connection(struct neap_transport *transport, int fd)
{
    struct neap_socket *socket = neap_sockets_find(transport, fd);
    if (!is_the_same(socket, fd)) {
        forget(transport, fd);
        return;
    }
    socket->expires_ns = NEAP_NEVER;
    shutdown(fd, SHUT_RDWR);
}

void neap_sockets_expire(struct neap_transport *transport)
{
    struct neap_sockets *sockets = &transport->sockets;
    int64_t now_ns = neap_loop_now(transport->loop), next_ns = NEAP_NEVER;
    if (now_ns < sockets->next_expiry_ns)
        return;
    for (int fd = 0; fd < end_of(sockets); fd++) {
        struct neap_socket *socket = neap_sockets_find(transport, fd);
        if (!socket || socket->in_use)
            continue;
        if (now_ns >= socket->expires_ns) {
            end_connection(transport, fd);
        } else {
            next_ns = neap_time_min(next_ns, socket->expires_ns);
        }
    }
    sockets->next_expiry_ns = next_ns;
}

static void release(struct neap_transport *transport, int fd)
{
    struct neap_socket *socket = neap_sockets_find(transport, fd);
    if (!socket)
        return;
    socket->in_use = false;
    note_expiry(transport, socket);
    if (!socket->ours || !was_connected(socket, fd))
        forget(transport, fd);
    else if (socket->watch.events != NEAP_READABLE)
        neap_loop_unwatch(transport->loop, &socket->watch);
}

static void note_owner(CURL *easy, int fd)
{
    struct neap_transfer *transfer = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
    if (transfer)
        transfer->fd = fd;
}

/* -1 makes libcurl give up its whole multi handle, which is then told to all transfers. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
    struct neap_shard *shard = context;
    struct neap_transport *transport = shard->transport;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        release(transport, fd);
        return 0;
    }
    struct neap_socket *socket = neap_sockets_find(transport, fd);
    if (!socket)
        socket = add(shard, fd, false);
    if (!socket ||
        neap_loop_watch(transport->loop, &socket->watch, fd, loop_events(what)) != NEAP_OK) {
        transport->broken = true;
        return -1;
    }
    socket->in_use = true;
    socket->awaited |= what != CURL_POLL_OUT;
    note_owner(easy, fd);
    return 0;
}

static int on_close(void *context, curl_socket_t fd)
{
    forget(context, fd);
    return close(fd);
}

void neap_sockets_install(struct neap_shard *shard)
{
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
}

void neap_sockets_bind(struct neap_transport *transport, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transport);
}

void neap_sockets_forsake(struct neap_transport *transport)
{
    for (int fd = 0; fd < end_of(&transport->sockets); fd++) {
        const struct neap_socket *socket = neap_sockets_find(transport, fd);
        if (socket && is_the_same(socket, fd))
            close(fd);
    }
}

/* The shards, which count what is open, are gone. */
void neap_sockets_free(struct neap_transport *transport)
{
    struct neap_sockets *sockets = &transport->sockets;
    for (int fd = 0; fd < end_of(sockets); fd++) {
        struct neap_socket *socket = neap_sockets_find(transport, fd);
        if (socket)
            socket->ours = false;
        forget(transport, fd);
    }
    for (size_t page = 0; page < sockets->page_count; page++)
        neap_free(transport->alloc, sockets->page[page]);
    neap_free(transport->alloc, sockets->page);
    transport->sockets = (struct neap_sockets){.next_expiry_ns = NEAP_NEVER};
}
