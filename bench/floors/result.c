#include "result.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double bench_seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

long bench_peak_kb(void)
{
    char line[256];
    long peak_kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    if (!status)
        return 0;
    while (fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak_kb = strtol(line + 6, NULL, 10);
    fclose(status);
    return peak_kb;
}

struct bench_begun bench_begin(void)
{
    return (struct bench_begun){bench_seconds(CLOCK_MONOTONIC),
                                bench_seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_print(struct bench_begun begun, long calls, double *latencies)
{
    double wall = bench_seconds(CLOCK_MONOTONIC) - begun.wall;
    double cpu = bench_seconds(CLOCK_PROCESS_CPUTIME_ID) - begun.cpu;
    printf("rate=%.3f cpu=%.4f peak=%ld", (double)calls / wall, cpu / (double)calls * 1e6,
           bench_peak_kb());
    if (latencies) {
        qsort(latencies, (size_t)calls, sizeof *latencies, by_size);
        printf(" p99=%.2f", latencies[(calls * 99 + 99) / 100 - 1]);
    }
    printf("\n");
}

void bench_print_operations(const char *name, struct bench_begun begun, long count)
{
    double wall = bench_seconds(CLOCK_MONOTONIC) - begun.wall;
    printf("%s=%.4f\n", name, wall / (double)count * 1e9);
}

void bench_fail(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}
