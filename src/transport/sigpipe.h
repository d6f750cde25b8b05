/* Keeps SIGPIPE from ending the program while libcurl writes.
 *
 * CURLOPT_NOSIGNAL, which threads need, also stops libcurl from ignoring SIGPIPE, and versions
 * before 7.88 let OpenSSL write to a socket without MSG_NOSIGNAL. The disposition of a signal
 * belongs to the program; here only the calling thread's mask is changed, and put back. */
#ifndef NEAP_TRANSPORT_SIGPIPE_H
#define NEAP_TRANSPORT_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

struct neap_sigpipe {
    bool held; /* the mask was changed */
    sigset_t before;
};

void neap_sigpipe_hold(struct neap_sigpipe *guard);

/* A SIGPIPE that came meanwhile is gone. */
void neap_sigpipe_release(struct neap_sigpipe *guard);

#endif
