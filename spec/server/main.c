/* misbehave: a real server that goes wrong in every way that the specs need.
 *
 *     misbehave --tls-dir DIR [--ready FILE]
 *
 * Makes certificates in DIR, binds ports that the system chooses, tells them in one line of JSON
 * on stdout (or in FILE, which appears complete), and serves until stdin ends, SIGTERM, or a
 * control request. README.md is the manual. */
#include "certs.h"
#include "listen.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct options {
    const char *tls_directory;
    const char *ready_file;
};

static int parse_options(int count, char **words, struct options *options)
{
    for (int i = 1; i + 1 < count; i += 2) {
        if (strcmp(words[i], "--tls-dir") == 0)
            options->tls_directory = words[i + 1];
        else if (strcmp(words[i], "--ready") == 0)
            options->ready_file = words[i + 1];
        else
            return 0;
    }
    return count % 2 == 1 && options->tls_directory != NULL;
}

static void add_path(struct text *json, const char *name, const char *directory, const char *file)
{
    struct text path = {0};
    text_format(&path, "%s/%s", directory, file);
    text_format(json, ",\"%s\":", name);
    text_json(json, path.data, path.bytes);
    text_free(&path);
}

static void describe(const struct ports *ports, const char *directory, struct text *json)
{
    text_format(json, "{\"pid\":%ld,", (long)getpid());
    ports_report(ports, json);
    add_path(json, "ca_file", directory, "ca.pem");
    add_path(json, "server_cert", directory, "good.pem");
    add_path(json, "server_key", directory, "good.key");
    add_path(json, "client_cert", directory, "client.pem");
    add_path(json, "client_key", directory, "client.key");
    add_path(json, "stranger_cert", directory, "stranger.pem");
    add_path(json, "stranger_key", directory, "stranger.key");
    text_string(json, "}\n");
}

static int write_file(const char *path, const struct text *line)
{
    struct text draft = {0};
    text_format(&draft, "%s.draft", path);
    FILE *file = fopen(draft.data, "w");
    int written = file != NULL && fwrite(line->data, 1, line->bytes, file) == line->bytes;
    if (file != NULL && fclose(file) != 0)
        written = 0;
    if (written)
        written = rename(draft.data, path) == 0;
    text_free(&draft);
    return written;
}

static int announce(const struct ports *ports, const struct options *options)
{
    struct text line = {0};
    describe(ports, options->tls_directory, &line);
    int told;
    if (options->ready_file != NULL)
        told = write_file(options->ready_file, &line);
    else
        told = fputs(line.data, stdout) >= 0 && fflush(stdout) == 0;
    text_free(&line);
    return told;
}

static void allow_many_connections(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* SIGTERM and SIGINT become readable here; threads made later inherit the mask. */
static int signals_as_file(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void stop(const struct server *server)
{
    uint64_t one = 1;
    if (write(server->stop_fd, &one, sizeof one) < 0)
        perror("misbehave: stop");
}

static int run(struct server *server, const struct options *options, int signal_fd)
{
    if (!certs_make(options->tls_directory)) {
        fputs("misbehave: cannot make the certificates\n", stderr);
        return 1;
    }
    struct ports *ports = ports_open(server, options->tls_directory);
    if (ports == NULL || !announce(ports, options)) {
        fputs("misbehave: cannot open or announce the ports\n", stderr);
        return 1;
    }
    ports_serve(ports, STDIN_FILENO, signal_fd);
    stop(server);
    ports_close(ports);
    return 0;
}

int main(int count, char **words)
{
    struct options options = {0};
    if (!parse_options(count, words, &options)) {
        fputs("usage: misbehave --tls-dir DIR [--ready FILE]\n", stderr);
        return 2;
    }
    int signal_fd = signals_as_file();
    allow_many_connections();
    struct server server = {
        .stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .ledger = ledger_new(),
        .payments = payments_new(),
        .scripts = scripts_new(),
        .actions = scripts_new(),
        .gates = gates_new(),
    };
    int result = run(&server, &options, signal_fd);
    gates_free(server.gates);
    scripts_free(server.actions);
    scripts_free(server.scripts);
    payments_free(server.payments);
    ledger_free(server.ledger);
    close(server.stop_fd);
    close(signal_fd);
    return result;
}
