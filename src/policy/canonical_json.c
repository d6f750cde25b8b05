/* One pass copies the text token by token, in the order of the document, and cuts it into pieces: a
 * piece begins at each member of an object and at each object's end. The pieces are a linked list.
 * Where an object ends, its members, each a chain of pieces, are sorted and linked anew, which
 * touches no byte of what is inside of them. At last the list is walked once. */
#include "policy/canonical_json.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "policy/json_lexer.h"

#define NO_PIECE UINT32_MAX
#define FIRST_CAPACITY 16u

/* Ends where the piece of the next number begins. */
struct piece {
    uint32_t at, next;
};

struct member {
    uint32_t name_bytes;  /* the name stands where the first piece begins */
    uint32_t first, last; /* pieces */
};

struct level {
    bool is_object;
    uint32_t first_member;
};

enum expected {
    A_VALUE,
    A_VALUE_OR_END, /* behind [ */
    A_NAME,
    A_NAME_OR_END, /* behind { */
    A_COMMA_OR_END,
    NOTHING
};

struct writer {
    const struct neap_alloc *alloc;
    struct neap_json_lexer lexer;
    uint8_t *text; /* what the lexer has written, in the order of the document */
    struct piece *piece;
    uint32_t pieces, piece_capacity;
    struct member *member, *spare; /* of all open objects; room to sort in */
    uint32_t members, member_capacity;
    struct level level[NEAP_JSON_DEPTH_MAX];
    uint32_t depth;
    enum expected expected;
};

/* ---- pieces and members ---- */

static uint32_t written(const struct writer *writer)
{
    return (uint32_t)(writer->lexer.out - writer->text);
}

static uint32_t larger(uint32_t capacity)
{
    return capacity > 0 ? 2 * capacity : FIRST_CAPACITY;
}

/* What is written from here on belongs to a new piece. */
static bool cut(struct writer *writer)
{
    if (writer->pieces == writer->piece_capacity) {
        uint32_t capacity = larger(writer->piece_capacity);
        struct piece *piece = neap_resize(writer->alloc, writer->piece, capacity * sizeof *piece);
        if (!piece)
            return false;
        writer->piece = piece;
        writer->piece_capacity = capacity;
    }
    if (writer->pieces > 0)
        writer->piece[writer->pieces - 1].next = writer->pieces;
    writer->piece[writer->pieces++] = (struct piece){written(writer), NO_PIECE};
    return true;
}

static bool grow_members(struct writer *writer, struct member **list, uint32_t capacity)
{
    struct member *grown = neap_resize(writer->alloc, *list, capacity * sizeof *grown);
    if (grown)
        *list = grown;
    return grown != NULL;
}

static struct member *add_member(struct writer *writer)
{
    if (writer->members == writer->member_capacity) {
        uint32_t capacity = larger(writer->member_capacity);
        if (!grow_members(writer, &writer->member, capacity) ||
            !grow_members(writer, &writer->spare, capacity))
            return NULL;
        writer->member_capacity = capacity;
    }
    return &writer->member[writer->members++];
}

/* ---- order ---- */

/* Any order will do that depends on the names alone. */
static bool comes_before(const struct writer *writer, const struct member *a,
                         const struct member *b)
{
    const uint8_t *a_name = writer->text + writer->piece[a->first].at;
    const uint8_t *b_name = writer->text + writer->piece[b->first].at;
    size_t common = a->name_bytes < b->name_bytes ? a->name_bytes : b->name_bytes;
    int order = memcmp(a_name, b_name, common);
    return order < 0 || (order == 0 && a->name_bytes < b->name_bytes);
}

/* Merges [from, middle) and [middle, end); of equal names the one on the left comes first. */
static void merge(const struct writer *writer, const struct member *list, uint32_t from,
                  uint32_t middle, uint32_t end, struct member *out)
{
    uint32_t left = from, right = middle;
    for (uint32_t i = from; i < end; i++) {
        bool is_right =
            left == middle || (right < end && comes_before(writer, &list[right], &list[left]));
        out[i] = is_right ? list[right++] : list[left++];
    }
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* A stable merge sort, from short runs to long ones; each name is looked at once a round, so long
 * names cost no more than their share. The sorted list is in one of the two rooms. */
static const struct member *sort(const struct writer *writer, struct member *list,
                                 struct member *room, uint32_t count)
{
    for (uint32_t run = 1; run < count; run *= 2) {
        for (uint32_t from = 0; from < count; from += 2 * run)
            merge(writer, list, from, smaller(from + run, count), smaller(from + 2 * run, count),
                  room);
        struct member *swapped = list;
        list = room;
        room = swapped;
    }
    return list;
}

/* The members of the object that ends here, whose last piece has just begun. */
static void link_sorted(struct writer *writer, uint32_t first_member)
{
    uint32_t count = writer->members - first_member;
    if (count < 2)
        return;
    struct member *list = writer->member + first_member;
    uint32_t before = list->first - 1;
    const struct member *sorted = sort(writer, list, writer->spare, count);
    for (uint32_t i = 0; i < count; i++) {
        writer->piece[before].next = sorted[i].first;
        before = sorted[i].last;
    }
    writer->piece[before].next = writer->pieces - 1;
}

/* ---- grammar ---- */

static void end_value(struct writer *writer)
{
    writer->expected = writer->depth > 0 ? A_COMMA_OR_END : NOTHING;
}

static enum neap_status open_level(struct writer *writer, bool is_object)
{
    if (writer->depth == NEAP_JSON_DEPTH_MAX)
        return NEAP_INVALID;
    writer->level[writer->depth++] = (struct level){is_object, writer->members};
    neap_json_write(&writer->lexer, is_object ? '{' : '[');
    writer->expected = is_object ? A_NAME_OR_END : A_VALUE_OR_END;
    return NEAP_OK;
}

static struct level *top(struct writer *writer)
{
    return &writer->level[writer->depth - 1];
}

static enum neap_status close_object(struct writer *writer)
{
    uint32_t first_member = top(writer)->first_member;
    if (!cut(writer))
        return NEAP_NO_MEMORY;
    link_sorted(writer, first_member);
    writer->members = first_member;
    return NEAP_OK;
}

static enum neap_status close_level(struct writer *writer)
{
    bool is_object = top(writer)->is_object;
    if (!neap_json_take(&writer->lexer, is_object ? '}' : ']'))
        return NEAP_INVALID;
    enum neap_status status = is_object ? close_object(writer) : NEAP_OK;
    if (status != NEAP_OK)
        return status;
    neap_json_write(&writer->lexer, is_object ? '}' : ']');
    writer->depth--;
    end_value(writer);
    return NEAP_OK;
}

static enum neap_status read_value(struct writer *writer)
{
    if (neap_json_take(&writer->lexer, '{'))
        return open_level(writer, true);
    if (neap_json_take(&writer->lexer, '['))
        return open_level(writer, false);
    if (!neap_json_copy_scalar(&writer->lexer))
        return NEAP_INVALID;
    end_value(writer);
    return NEAP_OK;
}

static enum neap_status read_value_or_end(struct writer *writer)
{
    bool is_end = neap_json_peek(&writer->lexer) == ']';
    return is_end ? close_level(writer) : read_value(writer);
}

static enum neap_status read_name(struct writer *writer)
{
    if (!cut(writer))
        return NEAP_NO_MEMORY;
    struct member *member = add_member(writer);
    if (!member)
        return NEAP_NO_MEMORY;
    uint32_t first = writer->pieces - 1;
    if (!neap_json_copy_string(&writer->lexer))
        return NEAP_INVALID;
    *member = (struct member){written(writer) - writer->piece[first].at, first, first};
    neap_json_skip_white(&writer->lexer);
    if (!neap_json_take(&writer->lexer, ':'))
        return NEAP_INVALID;
    neap_json_write(&writer->lexer, ':');
    writer->expected = A_VALUE;
    return NEAP_OK;
}

static enum neap_status read_name_or_end(struct writer *writer)
{
    bool is_end = neap_json_peek(&writer->lexer) == '}';
    return is_end ? close_level(writer) : read_name(writer);
}

/* Between members no comma is written: the quote of the next name parts them, wherever it will
 * stand. */
static enum neap_status read_comma_or_end(struct writer *writer)
{
    bool is_object = top(writer)->is_object;
    if (is_object)
        writer->member[writer->members - 1].last = writer->pieces - 1;
    if (!neap_json_take(&writer->lexer, ','))
        return close_level(writer);
    if (!is_object)
        neap_json_write(&writer->lexer, ',');
    writer->expected = is_object ? A_NAME : A_VALUE;
    return NEAP_OK;
}

static enum neap_status read_document(struct writer *writer)
{
    static enum neap_status (*const read[])(struct writer *) = {
        [A_VALUE] = read_value,
        [A_VALUE_OR_END] = read_value_or_end,
        [A_NAME] = read_name,
        [A_NAME_OR_END] = read_name_or_end,
        [A_COMMA_OR_END] = read_comma_or_end,
    };
    enum neap_status status = cut(writer) ? NEAP_OK : NEAP_NO_MEMORY;
    while (status == NEAP_OK && writer->expected != NOTHING) {
        neap_json_skip_white(&writer->lexer);
        status = read[writer->expected](writer);
    }
    neap_json_skip_white(&writer->lexer);
    bool is_whole = writer->lexer.at == writer->lexer.end;
    return status == NEAP_OK && !is_whole ? NEAP_INVALID : status;
}

/* ---- the result ---- */

static enum neap_status join(const struct writer *writer, char **out, size_t *out_bytes)
{
    size_t bytes = written(writer);
    char *joined = neap_alloc(writer->alloc, bytes);
    if (!joined)
        return NEAP_NO_MEMORY;
    char *at = joined;
    for (uint32_t i = 0; i != NO_PIECE; i = writer->piece[i].next) {
        uint32_t from = writer->piece[i].at;
        size_t end = i + 1 < writer->pieces ? writer->piece[i + 1].at : bytes;
        memcpy(at, writer->text + from, end - from);
        at += end - from;
    }
    *out = joined;
    *out_bytes = bytes;
    return NEAP_OK;
}

static void deinit(const struct writer *writer)
{
    neap_free(writer->alloc, writer->spare);
    neap_free(writer->alloc, writer->member);
    neap_free(writer->alloc, writer->piece);
    neap_free(writer->alloc, writer->text);
}

enum neap_status neap_canonical_json(const char *text, size_t bytes, const struct neap_alloc *alloc,
                                     char **canonical, size_t *canonical_bytes)
{
    struct writer writer;
    if (bytes < 1 || bytes > NEAP_JSON_BYTES_MAX)
        return NEAP_INVALID;
    memset(&writer, 0, sizeof writer);
    writer.alloc = alloc;
    writer.text = neap_alloc(alloc, bytes);
    if (!writer.text)
        return NEAP_NO_MEMORY;
    const uint8_t *from = (const uint8_t *)text;
    writer.lexer = (struct neap_json_lexer){from, from + bytes, writer.text};
    enum neap_status status = read_document(&writer);
    if (status == NEAP_OK)
        status = join(&writer, canonical, canonical_bytes);
    deinit(&writer);
    return status;
}
