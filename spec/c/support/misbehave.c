#include "support/misbehave.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *program(void)
{
    const char *named = getenv("MISBEHAVE");
    return named ? named : "build/spec/misbehave";
}

static void run(const struct misbehave *server, const int input[2], const int output[2])
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(input[0], STDIN_FILENO);
    dup2(output[1], STDOUT_FILENO);
    close(input[1]);
    close(output[0]);
    execl(program(), "misbehave", "--tls-dir", server->directory, (char *)NULL);
    _exit(127);
}

static void read_description(struct misbehave *server, int fd)
{
    size_t at = 0;
    while (at + 1 < sizeof server->description) {
        ssize_t bytes = read(fd, server->description + at, sizeof server->description - 1 - at);
        if (bytes <= 0)
            break;
        at += (size_t)bytes;
        if (memchr(server->description, '\n', at))
            break;
    }
    server->description[at] = '\0';
}

void misbehave_start(struct misbehave *server)
{
    int input[2], output[2];
    *server = (struct misbehave){.directory = "/tmp/neap-misbehave-XXXXXX"};
    assert_non_null(mkdtemp(server->directory));
    assert_int_equal(0, pipe(input));
    assert_int_equal(0, pipe(output));
    server->pid = fork();
    if (server->pid == 0)
        run(server, input, output);
    close(input[0]);
    close(output[1]);
    server->input = input[1];
    read_description(server, output[0]);
    close(output[0]);
    assert_non_null(strstr(server->description, "\"plain\""));
}

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    assert_int_equal(0, rmdir(path));
}

void misbehave_stop(struct misbehave *server)
{
    close(server->input);
    kill(server->pid, SIGTERM);
    waitpid(server->pid, NULL, 0);
    remove_directory(server->directory);
}

int misbehave_port(const struct misbehave *server, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(server->description, key);
    assert_non_null(at);
    return (int)strtol(at + strlen(key), NULL, 10);
}

const char *misbehave_file(const struct misbehave *server, const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", server->directory, name);
    return path;
}
