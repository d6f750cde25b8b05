/* Preloaded under an interpreter: two names whose addresses this process makes up, whatever the
 * machine's resolver is.
 *
 * The first question for rebinding.invalid is answered with an address of the outside, each later
 * one with 127.0.0.1. mixed.invalid has both at once. What is at the outer address is, in truth,
 * the same port of 127.0.0.1: whoever looks at the address it connects to sees the outer one. */
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#define OUTER "192.0.2.1"
#define INNER "127.0.0.1"

typedef int ask(const char *, const char *, const struct addrinfo *, struct addrinfo **);
typedef int reach(int, const struct sockaddr *, socklen_t);

static _Atomic int questions;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    ask *next = (ask *)dlsym(RTLD_NEXT, "getaddrinfo");
    if (!name || !strstr(name, ".invalid"))
        return next(name, service, hints, found);
    if (strcmp(name, "rebinding.invalid") == 0)
        return next(atomic_fetch_add(&questions, 1) == 0 ? OUTER : INNER, service, hints, found);
    if (strcmp(name, "mixed.invalid") != 0)
        return EAI_NONAME;
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
