/* Reader of structured fields (RFC 8941): bare items and parameters, without allocation.
 *
 * Each function reads from the front of what is left and moves on; where the text is malformed it
 * answers false and the reader is not to be used any more. Texts found point into the field. */
#ifndef NEAP_POLICY_STRUCTURED_FIELD_H
#define NEAP_POLICY_STRUCTURED_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct neap_sf_reader {
    const char *at, *end;
};

enum neap_sf_type {
    NEAP_SF_INTEGER,
    NEAP_SF_DECIMAL,
    NEAP_SF_STRING,
    NEAP_SF_TOKEN,
    NEAP_SF_BYTES,
    NEAP_SF_BOOLEAN
};

struct neap_sf_item {
    enum neap_sf_type type;
    int64_t integer; /* INTEGER: its value, at most 15 digits; BOOLEAN: 0 or 1; else 0 */
    /* The item as it stands in the field; of STRING and BYTES what is between the marks, so that a
     * string still has its escapes. */
    const char *text;
    size_t bytes;
};

struct neap_sf_parameter {
    const char *name;
    size_t name_bytes;
    struct neap_sf_item value; /* a name alone stands for true */
};

enum neap_sf_step { NEAP_SF_FOUND, NEAP_SF_END, NEAP_SF_MALFORMED };

/* A reader of the field's value without the optional white space around it. `text` may be NULL
 * where `bytes` is 0. */
struct neap_sf_reader neap_sf_open(const char *text, size_t bytes);

/* True where nothing is left. */
bool neap_sf_is_at_end(const struct neap_sf_reader *reader);

/* RFC 8941 4.2.3.1 */
bool neap_sf_read_bare_item(struct neap_sf_reader *reader, struct neap_sf_item *item);

/* RFC 8941 4.2.3.2: the next parameter behind an item; END where none follows. A name may come more
 * than once: the last one counts. */
enum neap_sf_step neap_sf_read_parameter(struct neap_sf_reader *reader,
                                         struct neap_sf_parameter *parameter);

/* RFC 8941 4.2.1: the comma between two members of a list; END at the end of the field. A comma
 * with nothing behind it is malformed. */
enum neap_sf_step neap_sf_read_comma(struct neap_sf_reader *reader);

/* The string without its escapes. `out` needs item->bytes bytes; no NUL is written. The number of
 * bytes written is returned. Only for NEAP_SF_STRING. */
size_t neap_sf_unescape(const struct neap_sf_item *item, char *out);

#endif
