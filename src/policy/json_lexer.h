/* Lexer of JSON (RFC 8259) that copies each token in one canonical spelling.
 *
 * Strings are copied as UTF-8 with escapes for the quote and the backslash only, so that \u0041 and
 * A become one; half of a surrogate pair, which JSON allows and UTF-8 does not, becomes the three
 * bytes that it would have, which no valid text holds. Numbers and words are copied as written.
 * What is written is never longer than what was read.
 *
 * Each function reads from the front of what is left and moves on; false means that no such token
 * stands there, and the lexer is not to be used any more. */
#ifndef NEAP_POLICY_JSON_LEXER_H
#define NEAP_POLICY_JSON_LEXER_H

#include <stdbool.h>
#include <stdint.h>

struct neap_json_lexer {
    const uint8_t *at, *end; /* what is left to read */
    uint8_t *out;            /* room for as many bytes as are left to read */
};

void neap_json_skip_white(struct neap_json_lexer *lexer);

/* The next byte; NUL, which begins no token, where nothing is left. */
uint8_t neap_json_peek(const struct neap_json_lexer *lexer);

/* Skips that byte where it is the next one. */
bool neap_json_take(struct neap_json_lexer *lexer, uint8_t byte);

/* Writes a byte in the place of one that was taken. */
void neap_json_write(struct neap_json_lexer *lexer, uint8_t byte);

/* A string must be valid UTF-8. */
bool neap_json_copy_string(struct neap_json_lexer *lexer);

/* A string, a number, true, false or null. */
bool neap_json_copy_scalar(struct neap_json_lexer *lexer);

#endif
