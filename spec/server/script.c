/* Scripts: lines that are consumed one at a time, each possibly several times. */
#include "script.h"

#include "map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct line {
    char *what;
    double argument;
    long times; /* -1: for ever */
    long left;
};

struct script {
    struct line *lines;
    size_t count;
    size_t at;
    int is_round; /* begins anew after its last line */
    unsigned long consumed;
    unsigned long exhausted;
};

struct scripts {
    pthread_mutex_t lock;
    struct map by_name;
};

static void script_release(void *value)
{
    struct script *script = value;
    for (size_t i = 0; i < script->count; i++)
        free(script->lines[i].what);
    free(script->lines);
    *script = (struct script){0};
}

struct scripts *scripts_new(void)
{
    struct scripts *scripts = memory_get(sizeof *scripts);
    pthread_mutex_init(&scripts->lock, NULL);
    return scripts;
}

void scripts_free(struct scripts *scripts)
{
    if (scripts == NULL)
        return;
    map_clear(&scripts->by_name, script_release);
    pthread_mutex_destroy(&scripts->lock);
    free(scripts);
}

void scripts_reset(struct scripts *scripts)
{
    pthread_mutex_lock(&scripts->lock);
    map_clear(&scripts->by_name, script_release);
    pthread_mutex_unlock(&scripts->lock);
}

static long count_of(const char *word)
{
    if (word == NULL)
        return 1;
    if (strcmp(word, "*") == 0)
        return -1;
    return strtol(word[0] == 'x' ? word + 1 : word, NULL, 10);
}

static void add_line(struct script *script, char *words)
{
    char *rest = NULL;
    const char *what = strtok_r(words, " \t\r", &rest);
    if (what == NULL || what[0] == '#')
        return;
    if (strcmp(what, "again") == 0) {
        script->is_round = 1;
        return;
    }
    const char *count = strtok_r(NULL, " \t\r", &rest);
    const char *argument = strtok_r(NULL, " \t\r", &rest);
    script->lines = memory_grow(script->lines, (script->count + 1) * sizeof *script->lines);
    long times = count_of(count);
    script->lines[script->count++] = (struct line){
        .what = memory_string(what, strlen(what)),
        .argument = argument != NULL ? strtod(argument, NULL) : 0,
        .times = times,
        .left = times,
    };
}

void scripts_put(struct scripts *scripts, const char *name, const char *lines)
{
    char *copy = memory_string(lines, strlen(lines));
    pthread_mutex_lock(&scripts->lock);
    struct script *script = map_make(&scripts->by_name, name, sizeof *script);
    script_release(script);
    char *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        add_line(script, line);
    pthread_mutex_unlock(&scripts->lock);
    free(copy);
}

static void begin_anew(struct script *script)
{
    for (size_t i = 0; i < script->count; i++)
        script->lines[i].left = script->lines[i].times;
    script->at = 0;
}

static void pass_spent_lines(struct script *script)
{
    while (script->at < script->count && script->lines[script->at].left == 0)
        script->at++;
}

static struct line *current_line(struct script *script)
{
    pass_spent_lines(script);
    if (script->at == script->count && script->is_round) {
        begin_anew(script);
        pass_spent_lines(script);
    }
    return script->at < script->count ? &script->lines[script->at] : NULL;
}

static int consume(struct script *script, struct step *step)
{
    struct line *line = current_line(script);
    if (line == NULL) {
        script->exhausted++;
        return 0;
    }
    step->what = memory_string(line->what, strlen(line->what));
    step->argument = line->argument;
    if (line->left > 0)
        line->left--;
    script->consumed++;
    return 1;
}

int scripts_next(struct scripts *scripts, const char *name, struct step *step)
{
    pthread_mutex_lock(&scripts->lock);
    struct script *script = map_get(&scripts->by_name, name);
    int found = script != NULL && consume(script, step);
    pthread_mutex_unlock(&scripts->lock);
    return found;
}

static void report(const struct script *script, struct text *json)
{
    long remaining = 0;
    int endless = script->is_round;
    for (size_t i = script->at; i < script->count; i++) {
        if (script->lines[i].left < 0)
            endless = 1;
        else
            remaining += script->lines[i].left;
    }
    text_format(json, "{\"consumed\":%lu,\"remaining\":%ld,\"exhausted\":%lu,\"endless\":%s}",
                script->consumed, remaining, script->exhausted, endless ? "true" : "false");
}

int scripts_report(struct scripts *scripts, const char *name, struct text *json)
{
    pthread_mutex_lock(&scripts->lock);
    const struct script *script = map_get(&scripts->by_name, name);
    if (script != NULL)
        report(script, json);
    pthread_mutex_unlock(&scripts->lock);
    return script != NULL;
}
