/* Which process this is, and whether another one still lives.
 *
 * What cannot be shared with a parent is recognised by the number alone. What processes share
 * recognises one by three things, because the system gives numbers anew: the number, when the
 * process started, and the namespace in which the number counts. Linux tells the last two in /proc
 * (proc_pid_stat(5), pid_namespaces(7)); where it tells nothing they are 0. Any thread. */
#ifndef NEAP_PLATFORM_PROCESS_H
#define NEAP_PLATFORM_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct neap_process {
    int64_t pid;
    uint64_t start;         /* in the kernel's ticks since boot; 0: unknown */
    uint64_t pid_namespace; /* an id; 0: unknown */
};

/* As getpid(2), but without a system call once it is known; a forked child, however it was forked,
 * finds its own. */
int64_t neap_process_id(void);

/* Where that number stands, once it is known, for as long as this process lives and in each that is
 * forked from it: 0 in one that has not asked for its own. NULL: nowhere. */
const _Atomic int64_t *neap_process_id_cell(void);

/* When the process of that number started, counted in the kernel's ticks since boot; 0 where there
 * is none, or where it cannot be read. */
uint64_t neap_process_start(int64_t pid);

/* The id of the namespace in which this process's numbers count; 0 where it cannot be read. */
uint64_t neap_process_namespace(void);

struct neap_process neap_process_self(void);

/* False where it is certain that the process is no more: no process has its number, or one that
 * started at another time, or one that has ended and whose parent has not yet asked for it. In
 * doubt true: one of another namespace cannot be seen from here. */
bool neap_process_lives(const struct neap_process *process);

#endif
