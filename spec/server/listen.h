/* The ports: what is bound, and the thread of each accepted connection. */
#ifndef MISBEHAVE_LISTEN_H
#define MISBEHAVE_LISTEN_H

#include "exchange.h"

enum { PORTS = 14 };

struct ports;

/* Binds all of them on 127.0.0.1; NULL if something fails. The server outlives the ports. */
struct ports *ports_open(struct server *server, const char *tls_directory);
/* Accepts until the server's stop_fd or `signal_fd` is readable, or `input_fd` ends. */
void ports_serve(struct ports *ports, int input_fd, int signal_fd);
/* Closes the ports, after the threads of all connections have ended: the server must have been
 * told to stop. */
void ports_close(struct ports *ports);
/* Adds `"plain":1234,"flaky":1235,...,"tls":{"good":1236,...}`. */
void ports_report(const struct ports *ports, struct text *json);

#endif
