/* Options: reads a table that a user wrote into a C struct, row by row of a static description.
 *
 * A row holds the name, kind, range and default of one key; messages are made from the same row.
 * A user's mistake never raises here: it becomes a text that starts with the full path of the key,
 * `policy.retry.max_attempts: expected an integer >= 1, got -1`. Metatables of the user's tables
 * are not asked. What cannot be turned into C data, a function, is kept in a Lua table under its
 * path without the root, "retry.when".
 *
 * Only a lack of memory raises. So the struct must live where a collector or a caller finds it, in
 * a userdata with __gc, initialised and thus releasable, before it is filled. */
#ifndef NEAP_BINDING_OPTIONS_H
#define NEAP_BINDING_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attributes.h"
#include "binding/compat.h"

enum neap_option_kind {
    NEAP_OPTION_BOOLEAN,  /* bool */
    NEAP_OPTION_INTEGER,  /* uint32_t; 3.0 is an integer too */
    NEAP_OPTION_NUMBER,   /* double; NaN and the infinities are out of every range */
    NEAP_OPTION_SECONDS,  /* int64_t of nanoseconds */
    NEAP_OPTION_BYTES,    /* uint64_t */
    NEAP_OPTION_TEXT,     /* char *, a copy without NUL inside */
    NEAP_OPTION_TEXTS,    /* char ** and size_t: a list of at least one text */
    NEAP_OPTION_CHOICE,   /* int or an enum of its size */
    NEAP_OPTION_FUNCTION, /* bool, true where a function was given and kept */
    NEAP_OPTION_VALUE,    /* nothing: only the Lua type is checked */
    NEAP_OPTION_TABLE,    /* the rows of `table` */
    NEAP_OPTION_INCLUDE,  /* without a name: the rows of `table` count as this table's own */
    NEAP_OPTION_CUSTOM,   /* what `read` makes of it */
    NEAP_OPTION_KIND_COUNT
};

enum neap_option_flag {
    NEAP_OPTION_REQUIRED = 1,   /* once the table is there that it belongs to */
    NEAP_OPTION_ABOVE = 2,      /* `min` itself is out of range */
    NEAP_OPTION_OFF = 4,        /* TABLE: `on` is false unless the key is given */
    NEAP_OPTION_OR_FALSE = 8,   /* false is taken as well: it turns `on` off */
    NEAP_OPTION_OR_TRUE = 16,   /* true is taken as well, for a table of nothing but defaults */
    NEAP_OPTION_BY_TEXT = 32,   /* CHOICE: a number stands for its decimal text */
    NEAP_OPTION_UPPER = 64,     /* TEXTS: copied in upper case */
    NEAP_OPTION_SECRET = 128,   /* a message does not repeat the text */
    NEAP_OPTION_INVERTED = 256, /* BOOLEAN: the struct holds the opposite */
    NEAP_OPTION_WORD = 512      /* as CHOICE: a message may repeat a wrong word */
};

struct neap_option_choice {
    const char *name; /* NULL ends the list */
    int value;
};

/* Where the reader stands: a list on the C stack from the innermost key to the root. */
struct neap_option_path {
    const struct neap_option_path *parent; /* NULL: the root */
    const char *name;                      /* NULL: `position` is the key */
    size_t name_bytes;
    int position;
};

struct neap_option_reader {
    lua_State *L;
    const struct neap_alloc *alloc; /* makes the copies of texts; NULL where the rows have none */
    int functions; /* stack index of the table that keeps them; 0: none are taken */
    const struct neap_option_path *path;
};

/* The value is on top of the stack and stays there. False with a message pushed. */
typedef bool neap_option_read(struct neap_option_reader *reader, void *target);

/* `offset`, `count`, `on` and `mark` are places in the struct that the table's rows are about;
 * those of `other` count from the same start. No struct has `on` or `mark` at its very beginning.
 */
struct neap_option {
    const char *name;
    int position; /* instead of a name: the key is this integer */
    enum neap_option_kind kind;
    unsigned flags; /* enum neap_option_flag */
    size_t offset;  /* TABLE, INCLUDE: where the struct of its rows begins */

    double min, max; /* of the numbers; max 0: no upper end */
    const char *unit;
    double number; /* default of numbers, booleans and choices; HUGE_VAL: NEAP_NEVER, UINT64_MAX */

    const char *text; /* default of TEXT (NULL: none), and of TEXTS as words */
    size_t count;     /* TEXTS: where the size_t is */
    bool (*is_valid)(const char *text, size_t bytes); /* NULL: any text but the empty one */
    const char *noun;                                 /* "a header name", where is_valid is set */

    const struct neap_option_choice *choices;
    const struct neap_option_table *table;
    unsigned types;       /* VALUE, CUSTOM: which Lua types, 1u << LUA_T… */
    const char *expected; /* TEXTS, VALUE, CUSTOM: "a list of field names" */
    neap_option_read *read;
    void (*set_default)(void *target); /* CUSTOM; may be NULL */

    const struct neap_option *other; /* another row, which takes values of other types */
    size_t on;                       /* where a bool tells whether the part is on; 0: nowhere */
    size_t mark; /* where `mark_value` is written once the key is given; 0: nowhere */
    int mark_value;
    neap_option_read *check; /* after the key was read in whatever form: what one row cannot say */

    /* For documents, as Markdown whose links count from docs/: what the key means, and what is
     * there in place of a default that a value of its kind could say. */
    const char *about, *otherwise;
    const struct neap_option_table *keys; /* CUSTOM: rows that `read` reads by itself */
};

struct neap_option_table {
    const struct neap_option *rows;
    size_t count;
};

#define NEAP_OPTION_ROWS(array)                                                                    \
    {                                                                                              \
        .rows = (array), .count = sizeof(array) / sizeof((array)[0])                               \
    }

/* Writes the default of every row, also of parts that are off by default. Raises without memory. */
void neap_options_defaults(lua_State *L, const struct neap_option_table *table, void *target,
                           const struct neap_alloc *alloc);

/* Reads the value at `index`, writing what is given there and nothing else. `root` is the first
 * word of each path. True with the stack as it was, or false with a message pushed; the struct then
 * is partly filled. */
NEAP_MUST_CHECK bool neap_options_read(lua_State *L, int index, const char *root,
                                       const struct neap_option_table *table, void *target,
                                       const struct neap_alloc *alloc, int functions);

/* For rows that read on their own. Each leaves the stack as neap_option_read says. */

/* Defaults, then what the table on top of the stack says, into a struct of the row's own. */
NEAP_MUST_CHECK bool neap_option_read_table(struct neap_option_reader *reader,
                                            const struct neap_option_table *table, void *target);

/* The value on top by this row, as if it stood alone. */
NEAP_MUST_CHECK bool neap_option_read_row(struct neap_option_reader *reader,
                                          const struct neap_option *row, void *target);

/* The table on top is a list: calls `element` for one after the other, with its position in
 * `reader->path`. False too where the table has keys besides 1 to its length. */
NEAP_MUST_CHECK bool neap_option_read_list(struct neap_option_reader *reader,
                                           neap_option_read *element, void *target);

/* A copy of the text, or an error of Lua that says that memory is lacking. */
char *neap_option_copy_text(struct neap_option_reader *reader, const char *text, size_t bytes);

#endif
