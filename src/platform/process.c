#include "platform/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* Of proc_pid_stat(5), counted from 1. */
#define FIELD_STATE 3
#define FIELD_THREADS 20
#define FIELD_START 22

struct stat_line {
    char state;
    uint64_t threads, start;
};

/* The number of this process, on a page that each fork hands to the child as zeros: asking the
 * system costs as much as several clock readings, and every call asks. NULL before the first time,
 * and where the system has no such pages. A cache of a fact about the process, so it hangs on no
 * object. */
static _Atomic int64_t *_Atomic own_number;
static pthread_once_t own_number_once = PTHREAD_ONCE_INIT;

static void map_own_number(void)
{
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    if (madvise(page, bytes, MADV_WIPEONFORK) == 0)
        atomic_store_explicit(&own_number, page, memory_order_release);
    else
        munmap(page, bytes);
}

static int64_t ask_for_number(void)
{
    int64_t number = getpid();
    pthread_once(&own_number_once, map_own_number);
    _Atomic int64_t *page = atomic_load_explicit(&own_number, memory_order_acquire);
    if (page)
        atomic_store_explicit(page, number, memory_order_relaxed);
    return number;
}

int64_t neap_process_id(void)
{
    const _Atomic int64_t *page = atomic_load_explicit(&own_number, memory_order_acquire);
    int64_t number = page ? atomic_load_explicit(page, memory_order_relaxed) : 0;
    return number > 0 ? number : ask_for_number();
}

const _Atomic int64_t *neap_process_id_cell(void)
{
    (void)neap_process_id();
    return atomic_load_explicit(&own_number, memory_order_acquire);
}

static size_t read_file(const char *path, char *text, size_t capacity)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, capacity - 1);
    while (got < 0 && errno == EINTR)
        got = read(fd, text, capacity - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

/* Where that field begins; the text begins with field 3. NULL: there are fewer. */
static const char *field(const char *text, int number)
{
    for (int i = FIELD_STATE; i < number && text; i++) {
        text = strchr(text, ' ');
        if (text)
            text++;
    }
    return text;
}

/* Field 2 is the program's name in parentheses, and the name may hold spaces and parentheses: what
 * follows begins behind the last one. */
static bool read_stat(int64_t pid, struct stat_line *line)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    if (read_file(path, text, sizeof text) == 0)
        return false;
    const char *end_of_name = strrchr(text, ')');
    if (!end_of_name || end_of_name[1] != ' ')
        return false;
    const char *fields = end_of_name + 2;
    const char *threads = field(fields, FIELD_THREADS);
    const char *start = field(fields, FIELD_START);
    if (!threads || !start)
        return false;
    line->state = *fields;
    line->threads = strtoull(threads, NULL, 10);
    line->start = strtoull(start, NULL, 10);
    return true;
}

uint64_t neap_process_start(int64_t pid)
{
    struct stat_line line;
    return read_stat(pid, &line) ? line.start : 0;
}

uint64_t neap_process_namespace(void)
{
    struct stat file;
    return stat("/proc/self/ns/pid", &file) == 0 ? (uint64_t)file.st_ino : 0;
}

struct neap_process neap_process_self(void)
{
    int64_t pid = neap_process_id();
    return (struct neap_process){pid, neap_process_start(pid), neap_process_namespace()};
}

/* A process whose first thread ended before the others is shown as a zombie too. */
static bool has_ended(const struct stat_line *line)
{
    return (line->state == 'Z' || line->state == 'X') && line->threads <= 1;
}

static bool has_number(int64_t pid)
{
    bool is_possible = pid > 0 && (pid_t)pid == pid;
    return is_possible && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
}

bool neap_process_lives(const struct neap_process *process)
{
    struct stat_line line;
    if (process->pid_namespace != neap_process_namespace())
        return true;
    if (!has_number(process->pid))
        return false;
    if (!read_stat(process->pid, &line))
        return true;
    return !has_ended(&line) && (process->start == 0 || process->start == line.start);
}
