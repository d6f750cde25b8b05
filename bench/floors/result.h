/* What a subject tells the runner: one line of `name=value`, after the work was done. */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

#include <stddef.h>
#include <time.h>

/* Seconds, by CLOCK_MONOTONIC or CLOCK_PROCESS_CPUTIME_ID (all threads of the process). */
double bench_seconds(clockid_t clock);

/* The peak of the process's memory in KB, VmHWM of /proc/self/status; 0 where there is none. */
long bench_peak_kb(void);

/* Begins to count; what was done before is not counted. */
struct bench_begun {
    double wall;
    double cpu;
};
struct bench_begun bench_begin(void);

/* Prints the line for CALLS calls; the microseconds of each call are in LATENCIES, which is sorted,
 * or NULL. */
void bench_print(struct bench_begun begun, long calls, double *latencies);

/* Prints the line for COUNT operations that are too short to be timed one by one. */
void bench_print_operations(const char *name, struct bench_begun begun, long count);

/* Says why on stderr and ends the program: a bench with a wrong answer in it is worth nothing. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
