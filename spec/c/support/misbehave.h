/* Starts the misbehaving server (spec/server/README.md) for a test of C. It is killed with the
 * test.
 */
#ifndef NEAP_SPEC_SUPPORT_MISBEHAVE_H
#define NEAP_SPEC_SUPPORT_MISBEHAVE_H

#include <sys/types.h>

struct misbehave {
    pid_t pid;
    int input; /* its stdin: it stops when this is closed */
    char directory[64];
    char description[2048]; /* the line of JSON in which it names its ports */
};

/* Fails the test where the server does not start. MISBEHAVE names its program; the default is
 * build/spec/misbehave. */
void misbehave_start(struct misbehave *server);
void misbehave_stop(struct misbehave *server);

/* The port of that name ("plain", "good", "h2", …). */
int misbehave_port(const struct misbehave *server, const char *name);

/* A file in its directory ("ca.pem"), as a path in `path`. */
const char *misbehave_file(const struct misbehave *server, const char *name, char path[128]);

#endif
