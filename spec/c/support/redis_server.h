/* A Redis of the test's own: in a new folder, on a unix socket there and no port unless asked for,
 * keeping nothing on disk. It ends with the test program, however that ends. */
#ifndef NEAP_SPEC_SUPPORT_REDIS_SERVER_H
#define NEAP_SPEC_SUPPORT_REDIS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct redis_server {
    char directory[64];
    char path[96]; /* of its socket */
    pid_t pid;     /* 0: not running */
};

/* Whether there is a program to start. */
bool redis_server_exists(void);

/* Returns when it answers; `options` are further arguments, up to NULL, or NULL. Starting one that
 * was stopped takes the same folder again. Fails the test where it does not start. */
void redis_server_start(struct redis_server *server, const char *const *options);

/* Kills it. */
void redis_server_stop(struct redis_server *server);

/* Kills it, and removes its folder. */
void redis_server_remove(struct redis_server *server);

/* Sends one line, and reads what comes back, cut to the room there is; "" where nothing came. */
void redis_server_say(const struct redis_server *server, const char *line, char *answer,
                      size_t bytes);

/* The same where the answer must begin with `expected`. */
void redis_server_expect(const struct redis_server *server, const char *line, const char *expected);

/* Lets it listen on a port of this machine that is free, by its setting `port` or `tls-port`, and
 * returns the port. */
int redis_server_listen(const struct redis_server *server, const char *setting);

#endif
