#include "platform/doorbell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/owner.h"

#define BACKLOG 64
#define HEARTBEAT_NS (NEAP_SECOND / 2)

struct visitor {
    struct neap_watch watch; /* first; readable once the visitor has left */
    struct neap_doorbell *bell;
    struct visitor *next, **link;
};

struct neap_doorbell {
    const struct neap_alloc *alloc;
    struct neap_loop *loop;
    struct neap_watch watch;          /* of the listening socket */
    struct neap_loop_timer heartbeat; /* set while there are visitors */
    int listener, address;
    struct visitor *visitors;
};

static void see_off(struct visitor *visitor)
{
    neap_loop_unwatch(visitor->bell->loop, &visitor->watch);
    close(visitor->watch.fd);
    *visitor->link = visitor->next;
    if (visitor->next)
        visitor->next->link = visitor->link;
    neap_free(visitor->bell->alloc, visitor);
}

/* Nobody has anything to say here: what is readable is the end, or noise to be thrown away. */
static void on_visitor(struct neap_watch *watch, unsigned events, int64_t now_ns)
{
    char noise[64];
    (void)events;
    (void)now_ns;
    if (recv(watch->fd, noise, sizeof noise, MSG_DONTWAIT) <= 0)
        see_off((struct visitor *)watch);
}

static void admit(struct neap_doorbell *bell, int fd)
{
    struct visitor *visitor = neap_alloc_zeroed(bell->alloc, sizeof *visitor);
    if (!visitor) {
        close(fd);
        return;
    }
    visitor->bell = bell;
    visitor->watch.ready = on_visitor;
    visitor->next = bell->visitors;
    visitor->link = &bell->visitors;
    if (visitor->next)
        visitor->next->link = &visitor->next;
    bell->visitors = visitor;
    visitor->watch.fd = fd;
    if (neap_loop_watch(bell->loop, &visitor->watch, fd, NEAP_READABLE) != NEAP_OK)
        see_off(visitor);
}

/* Without it visitors look around later, by time limits of their own. */
static bool keep_heartbeat(struct neap_doorbell *bell)
{
    int64_t when_ns = neap_time_add(neap_loop_now(bell->loop), HEARTBEAT_NS);
    return bell->heartbeat.node.index != 0 ||
           neap_loop_set(bell->loop, &bell->heartbeat, when_ns) == NEAP_OK;
}

/* False where somebody stands there who cannot be let in. */
static bool admit_all(struct neap_doorbell *bell)
{
    int fd;
    while ((fd = accept4(bell->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
        admit(bell, fd);
    return errno == EAGAIN;
}

static bool listen_again(struct neap_doorbell *bell)
{
    return neap_loop_watch(bell->loop, &bell->watch, bell->listener, NEAP_READABLE) == NEAP_OK;
}

static void on_heartbeat(struct neap_loop_timer *timer, int64_t now_ns)
{
    struct neap_doorbell *bell = NEAP_OWNER(timer, struct neap_doorbell, heartbeat);
    (void)now_ns;
    bool listens = listen_again(bell);
    neap_doorbell_ring(bell);
    if (!listens)
        keep_heartbeat(bell);
}

/* Where the system gives no descriptor for a visitor the socket stays readable: not to look at it
 * again before the next heartbeat keeps the thread from spinning. */
static void on_connect(struct neap_watch *watch, unsigned events, int64_t now_ns)
{
    struct neap_doorbell *bell = NEAP_OWNER(watch, struct neap_doorbell, watch);
    (void)events;
    (void)now_ns;
    bool admitted = admit_all(bell);
    if (keep_heartbeat(bell) && !admitted)
        neap_loop_unwatch(bell->loop, &bell->watch);
}

/* Binds in a directory that only this user can enter, keeps hold of the socket's inode by a
 * descriptor, and takes the name away again. */
static bool bind_nameless(struct neap_doorbell *bell, const char *parent)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char directory[64];
    if (snprintf(directory, sizeof directory, "%s/neap-XXXXXX", parent) >= (int)sizeof directory ||
        !mkdtemp(directory))
        return false;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/bell", directory);
    bool bound = bind(bell->listener, (struct sockaddr *)&address, sizeof address) == 0;
    if (bound) {
        bell->address = open(address.sun_path, O_PATH | O_CLOEXEC);
        unlink(address.sun_path);
    }
    rmdir(directory);
    return bound;
}

static bool listen_somewhere(struct neap_doorbell *bell)
{
    static const char *const parents[] = {"/tmp", "/dev/shm", "/var/tmp", "/run"};
    bool bound = false;
    bell->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    for (size_t i = 0; i < sizeof parents / sizeof parents[0] && !bound; i++)
        bound = bell->listener >= 0 && bind_nameless(bell, parents[i]);
    return bound && bell->address >= 0 && listen(bell->listener, BACKLOG) == 0;
}

enum neap_status neap_doorbell_new(const struct neap_alloc *alloc, struct neap_loop *loop,
                                   struct neap_doorbell **bell)
{
    struct neap_doorbell *made = neap_alloc_zeroed(alloc, sizeof *made);
    if (!made)
        return NEAP_NO_MEMORY;
    *made = (struct neap_doorbell){
        .alloc = alloc,
        .loop = loop,
        .watch.ready = on_connect,
        .heartbeat.fire = on_heartbeat,
        .listener = -1,
        .address = -1,
    };
    enum neap_status status = NEAP_SYSTEM;
    if (listen_somewhere(made))
        status = neap_loop_watch(loop, &made->watch, made->listener, NEAP_READABLE);
    if (status == NEAP_OK)
        *bell = made;
    else
        neap_doorbell_free(made);
    return status;
}

static void close_own(struct neap_doorbell *bell)
{
    if (bell->listener >= 0)
        close(bell->listener);
    if (bell->address >= 0)
        close(bell->address);
}

void neap_doorbell_free(struct neap_doorbell *bell)
{
    if (!bell)
        return;
    while (bell->visitors)
        see_off(bell->visitors);
    neap_loop_unwatch(bell->loop, &bell->watch);
    neap_loop_clear(bell->loop, &bell->heartbeat);
    close_own(bell);
    neap_free(bell->alloc, bell);
}

void neap_doorbell_forsake(struct neap_doorbell *bell)
{
    for (struct visitor *visitor = bell->visitors; visitor; visitor = visitor->next)
        close(visitor->watch.fd);
    close_own(bell);
}

int neap_doorbell_address(const struct neap_doorbell *bell)
{
    return bell->address;
}

/* Asking costs a fifth of accepting nobody, for which the system makes a socket first. */
static bool somebody_waits(const struct neap_doorbell *bell)
{
    struct pollfd listener = {.fd = bell->listener, .events = POLLIN};
    return poll(&listener, 1, 0) != 0;
}

/* Who has connected already must hear it, even if the loop has not come round to letting him in. */
void neap_doorbell_ring(struct neap_doorbell *bell)
{
    if (somebody_waits(bell))
        admit_all(bell);
    if (bell->visitors)
        keep_heartbeat(bell);
    for (struct visitor *visitor = bell->visitors; visitor; visitor = visitor->next) {
        ssize_t unused = send(visitor->watch.fd, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)unused;
    }
}
