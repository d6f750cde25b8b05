/* Targets taken apart: a path and its query parameters. */
#include "query.h"

#include "base.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    int letter = tolower((unsigned char)digit);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static char *decoded(const char *from, size_t bytes, int plus_is_space)
{
    char *to = memory_get(bytes + 1);
    size_t length = 0;
    for (size_t at = 0; at < bytes; at++) {
        int escape = from[at] == '%' && at + 2 < bytes;
        if (escape && hex_value(from[at + 1]) >= 0 && hex_value(from[at + 2]) >= 0) {
            to[length++] = (char)(hex_value(from[at + 1]) * 16 + hex_value(from[at + 2]));
            at += 2;
        } else {
            to[length++] = plus_is_space && from[at] == '+' ? ' ' : from[at];
        }
    }
    return to;
}

static void add_parameter(struct query *query, const char *pair, size_t bytes)
{
    if (bytes == 0)
        return;
    const char *equals = memchr(pair, '=', bytes);
    size_t name_bytes = equals != NULL ? (size_t)(equals - pair) : bytes;
    const char *value = equals != NULL ? equals + 1 : "1";
    size_t value_bytes = equals != NULL ? bytes - name_bytes - 1 : 1;
    query->list = memory_grow(query->list, (query->count + 1) * sizeof *query->list);
    query->list[query->count].name = decoded(pair, name_bytes, 1);
    query->list[query->count].value = decoded(value, value_bytes, 1);
    query->count++;
}

/* A proxy is sent "http://host/path": the origin is not the path's business. */
static const char *without_origin(const char *target)
{
    const char *scheme = strstr(target, "://");
    if (target[0] == '/' || scheme == NULL)
        return target;
    const char *slash = strchr(scheme + 3, '/');
    return slash != NULL ? slash : "/";
}

void query_parse(struct query *query, const char *target)
{
    *query = (struct query){0};
    target = without_origin(target);
    const char *mark = strchr(target, '?');
    query->path = decoded(target, mark != NULL ? (size_t)(mark - target) : strlen(target), 0);
    while (mark != NULL) {
        const char *pair = mark + 1;
        mark = strchr(pair, '&');
        add_parameter(query, pair, mark != NULL ? (size_t)(mark - pair) : strlen(pair));
    }
}

void query_free(struct query *query)
{
    for (size_t i = 0; i < query->count; i++) {
        free(query->list[i].name);
        free(query->list[i].value);
    }
    free(query->list);
    free(query->path);
    *query = (struct query){0};
}

const char *query_get(const struct query *query, const char *name)
{
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->list[i].name, name) == 0)
            return query->list[i].value;
    return NULL;
}

const char *query_text(const struct query *query, const char *name, const char *otherwise)
{
    const char *value = query_get(query, name);
    return value != NULL ? value : otherwise;
}

double query_number(const struct query *query, const char *name, double otherwise)
{
    const char *value = query_get(query, name);
    return value != NULL ? strtod(value, NULL) : otherwise;
}

uint64_t query_count(const struct query *query, const char *name, uint64_t otherwise)
{
    const char *value = query_get(query, name);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

int query_flag(const struct query *query, const char *name)
{
    const char *value = query_get(query, name);
    return value != NULL && strcmp(value, "0") != 0;
}
