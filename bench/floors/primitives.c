/* The floors of a decision: what one operation of the machine costs, in nanoseconds.
 * With a CORE, another process does `add` there at the same time, in the same memory.
 * Usage: primitives add|clock|coarse|getrandom COUNT [CORE] */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "result.h"
#include "rival.h"

static _Atomic uint64_t *number;

static void add(long count)
{
    for (long i = 0; i < count; i++)
        atomic_fetch_add(number, 1);
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

static void add_forever(void)
{
    bench_rival_is_ready();
    for (;;)
        add(1000);
}

int main(int count, char **words)
{
    if (count < 3)
        bench_fail("usage: primitives add|clock|coarse|getrandom COUNT [CORE]");
    const struct operation *operation = find(words[1]);
    long repetitions = strtol(words[2], NULL, 10);
    number = mmap(NULL, sizeof *number, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (number == MAP_FAILED)
        bench_fail("primitives: no shared memory");
    pid_t rival = count > 3 ? bench_rival_start(strtoul(words[3], NULL, 10), add_forever) : 0;
    operation->repeat(repetitions / 10);
    struct bench_begun begun = bench_begin();
    operation->repeat(repetitions);
    bench_print_operations("ns", begun, repetitions);
    if (rival > 0)
        bench_rival_stop(rival);
    return 0;
}
