#include "support/child.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHILD_SECONDS 30

static bool is_child;

/* The leak check would look for threads that only the parent has, and a child leaves the parent's
 * memory where it is. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return is_child;
}

bool in_child(bool (*work)(void))
{
    int status = -1;
    fflush(NULL); /* what is buffered is the parent's to write */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        is_child = true;
        alarm(CHILD_SECONDS);
        _exit(work() ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int open_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static struct rlimit before;

void limit_descriptors(int count)
{
    int number = -1; /* of the first that is not to be had */
    for (int i = 0; i <= count; i++) {
        number = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, number + 1);
        assert_true(number >= 0);
        close(number);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit tight = {.rlim_cur = (rlim_t)number, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
}

void allow_descriptors(void)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}
