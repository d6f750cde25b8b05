/* The floors of a decision: what one operation of the machine costs, in nanoseconds.
 * `contended` is an atomic add that another process makes at the same time in the same memory.
 * Usage: primitives add|contended|clock|coarse|getrandom COUNT */
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "result.h"

struct shared {
    _Atomic uint64_t number;
    _Atomic int ready;
};

static struct shared *shared;

static void add(long count)
{
    for (long i = 0; i < count; i++)
        atomic_fetch_add(&shared->number, 1);
}

static void read_clock(long count)
{
    for (long i = 0; i < count; i++)
        bench_seconds(CLOCK_MONOTONIC);
}

static void read_coarse_clock(long count)
{
    for (long i = 0; i < count; i++)
        bench_seconds(CLOCK_MONOTONIC_COARSE);
}

/* As many bytes as a UUID of version 4 has. */
static void draw(long count)
{
    unsigned char bytes[16];
    for (long i = 0; i < count; i++)
        if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
            bench_fail("primitives: getrandom failed");
}

static const struct operation {
    const char *name;
    void (*repeat)(long count);
} operations[] = {
    {"add", add},        {"contended", add}, {"clock", read_clock}, {"coarse", read_coarse_clock},
    {"getrandom", draw},
};

static const struct operation *find(const char *name)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    bench_fail("primitives: unknown operation '%s'", name);
}

/* Adds until it is killed; it dies with its parent. */
static pid_t start_rival(void)
{
    pid_t rival = fork();
    if (rival != 0)
        return rival;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    atomic_store(&shared->ready, 1);
    for (;;)
        add(1000);
}

int main(int count, char **words)
{
    if (count != 3)
        bench_fail("usage: primitives add|contended|clock|coarse|getrandom COUNT");
    const struct operation *operation = find(words[1]);
    long repetitions = strtol(words[2], NULL, 10);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        bench_fail("primitives: no shared memory");
    pid_t rival = strcmp(operation->name, "contended") == 0 ? start_rival() : 0;
    while (rival > 0 && atomic_load(&shared->ready) == 0)
        usleep(100);
    operation->repeat(repetitions / 10);
    struct bench_begun begun = bench_begin();
    operation->repeat(repetitions);
    bench_print_operations("ns", begun, repetitions);
    if (rival > 0) {
        kill(rival, SIGKILL);
        waitpid(rival, NULL, 0);
    }
    return 0;
}
