/* Targets taken apart: a path and its query parameters, both percent-decoded.
 *
 * A parameter may be repeated; its order is kept. Owns its memory: query_free. */
#ifndef MISBEHAVE_QUERY_H
#define MISBEHAVE_QUERY_H

#include <stddef.h>
#include <stdint.h>

struct parameter {
    char *name;
    char *value;
};

struct query {
    char *path;
    struct parameter *list;
    size_t count;
};

void query_parse(struct query *query, const char *target);
void query_free(struct query *query);

/* The first value of that name; NULL if there is none. */
const char *query_get(const struct query *query, const char *name);
/* As above, with a default in its place. */
const char *query_text(const struct query *query, const char *name, const char *otherwise);
double query_number(const struct query *query, const char *name, double otherwise);
uint64_t query_count(const struct query *query, const char *name, uint64_t otherwise);
/* 1 if the parameter is there and is not "0". */
int query_flag(const struct query *query, const char *name);

#endif
