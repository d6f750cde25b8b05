/* Preloaded under a program: names of which this process makes up what they come to, whatever the
 * machine's resolver is. No other name below .invalid has an address.
 *
 * The first question for rebinding.invalid is answered with an address of the outside, each later
 * one with 127.0.0.1. mixed.invalid has both at once. What is at the outer address is, in truth,
 * the same port of 127.0.0.1: whoever looks at the address it connects to sees the outer one.
 *
 * later.invalid is asked for in vain: the resolver has no answer now. So is slow.invalid, and that
 * takes longer than anybody waits. */
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define OUTER "192.0.2.1"
#define INNER "127.0.0.1"

typedef int ask(const char *, const char *, const struct addrinfo *, struct addrinfo **);
typedef int reach(int, const struct sockaddr *, socklen_t);

static const struct timespec long_time = {.tv_nsec = 600000000};

static _Atomic int questions;

/* Why a name that leads nowhere has no address. */
static int failure_of(const char *name)
{
    bool is_slow = strcmp(name, "slow.invalid") == 0;
    if (is_slow)
        nanosleep(&long_time, NULL);
    return is_slow || strcmp(name, "later.invalid") == 0 ? EAI_AGAIN : EAI_NONAME;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    ask *next = (ask *)dlsym(RTLD_NEXT, "getaddrinfo");
    if (!name || !strstr(name, ".invalid"))
        return next(name, service, hints, found);
    if (strcmp(name, "rebinding.invalid") == 0)
        return next(atomic_fetch_add(&questions, 1) == 0 ? OUTER : INNER, service, hints, found);
    if (strcmp(name, "mixed.invalid") != 0)
        return failure_of(name);
    int result = next(INNER, service, hints, found);
    if (result == 0 && next(OUTER, service, hints, &(*found)->ai_next) != 0)
        (*found)->ai_next = NULL;
    return result;
}

int connect(int fd, const struct sockaddr *address, socklen_t bytes)
{
    reach *next = (reach *)dlsym(RTLD_NEXT, "connect");
    struct sockaddr_in v4;
    if (address->sa_family != AF_INET || bytes < sizeof v4)
        return next(fd, address, bytes);
    memcpy(&v4, address, sizeof v4);
    if (v4.sin_addr.s_addr == htonl(0xc0000201))
        v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return next(fd, (const struct sockaddr *)&v4, sizeof v4);
}
