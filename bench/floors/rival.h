/* Another process that does the same at the same time, on a core of its own. */
#ifndef BENCH_RIVAL_H
#define BENCH_RIVAL_H

#include <stddef.h>
#include <sys/types.h>

/* Forks a process that runs on CORE and calls FOREVER, which never returns, and begins by calling
 * bench_rival_is_ready. Returns when it is ready. It dies with this process. */
pid_t bench_rival_start(size_t core, void (*forever)(void));
void bench_rival_is_ready(void);

void bench_rival_stop(pid_t rival);

#endif
