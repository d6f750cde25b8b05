#include "pipeline/problem.h"

#define TYPE_PREFIX "urn:neap:idempotency:"
#define MEDIA_TYPE "application/problem+json"

static const struct kind {
    int status;
    const char *retry_after; /* NULL: no such header */
    const char *name, *title;
    const char *detail; /* NULL: the key's fault */
} kinds[] = {
    [NEAP_PROBLEM_KEY] = {400, NULL, "key", "Idempotency key missing or unusable", NULL},
    [NEAP_PROBLEM_CONFLICT] = {409, "1", "running", "Request still running",
                               "The first request with this idempotency key is still running."},
    [NEAP_PROBLEM_OTHER_WORK] = {422, NULL, "other_request", "Idempotency key already used",
                                 "This idempotency key belongs to another request: its method, "
                                 "path or body was different."},
    [NEAP_PROBLEM_STORE_DOWN] = {503, NULL, "store", "Idempotency store unavailable",
                                 "The request was not carried out, because its idempotency key "
                                 "cannot be recorded at the moment."},
    [NEAP_PROBLEM_RAISED] = {500, NULL, "failed", "Request failed",
                             "The request failed in an unexpected way; a part of its work may "
                             "have been done."},
    [NEAP_PROBLEM_NOT_KEPT] = {500, NULL, "not_kept", "Answer not kept",
                               "The request was carried out, but its answer could not be kept."},
    [NEAP_PROBLEM_DAMAGED] = {500, NULL, "damaged", "Answer damaged",
                              "The request was carried out, but its answer cannot be read back."},
};

int neap_problem_status(enum neap_problem problem)
{
    return kinds[problem].status;
}

static enum neap_status append_character(struct neap_buffer *out, char c)
{
    if (c == '"' || c == '\\')
        return neap_buffer_append_format(out, "\\%c", c);
    if (c < ' ' || c > '~')
        return neap_buffer_append_format(out, "\\u%04x", (unsigned)(unsigned char)c);
    return neap_buffer_append(out, &c, 1);
}

/* Into a JSON string; a byte beyond ASCII is taken for the Latin-1 character of its number, so that
 * the result is JSON whatever the bytes. */
static enum neap_status append_escaped(struct neap_buffer *out, const char *text)
{
    enum neap_status status = NEAP_OK;
    for (; *text != '\0' && status == NEAP_OK; text++)
        status = append_character(out, *text);
    return status;
}

static enum neap_status append_all(struct neap_buffer *out, const char *const *parts, size_t count)
{
    enum neap_status status = NEAP_OK;
    for (size_t i = 0; i < count && status == NEAP_OK; i++)
        status = neap_buffer_append_text(out, parts[i]);
    return status;
}

static enum neap_status append_type(struct neap_buffer *out, const struct kind *kind,
                                    enum neap_key_fault fault)
{
    const char *const with_fault[] = {"{\"type\":\"" TYPE_PREFIX, kind->name, "_",
                                      neap_key_fault_name(fault)};
    return append_all(out, with_fault, kind->detail ? 2 : 4);
}

static enum neap_status append_detail(struct neap_buffer *out, const struct kind *kind,
                                      enum neap_key_fault fault, const char *header)
{
    if (kind->detail)
        return append_escaped(out, kind->detail);
    enum neap_status status = append_escaped(out, header);
    if (status == NEAP_OK)
        status = append_escaped(out, ": ");
    return status == NEAP_OK ? append_escaped(out, neap_key_fault_text(fault)) : status;
}

static enum neap_status append_body(struct neap_buffer *out, const struct kind *kind,
                                    enum neap_key_fault fault, const char *header)
{
    enum neap_status status = append_type(out, kind, fault);
    if (status == NEAP_OK)
        status = neap_buffer_append_format(out, "\",\"title\":\"%s\",\"status\":%d,\"detail\":\"",
                                           kind->title, kind->status);
    if (status == NEAP_OK)
        status = append_detail(out, kind, fault, header);
    return status == NEAP_OK ? neap_buffer_append_text(out, "\"}") : status;
}

static void set_headers(struct neap_problem_answer *answer, const struct kind *kind)
{
    answer->headers[0] =
        (struct neap_stored_header){neap_text_of("Content-Type"), neap_text_of(MEDIA_TYPE)};
    if (kind->retry_after)
        answer->headers[1] = (struct neap_stored_header){neap_text_of("Retry-After"),
                                                         neap_text_of(kind->retry_after)};
}

enum neap_status neap_problem_answer_init(struct neap_problem_answer *answer,
                                          enum neap_problem problem, enum neap_key_fault fault,
                                          const char *header, const struct neap_alloc *alloc)
{
    const struct kind *kind = &kinds[problem];
    neap_buffer_init(&answer->body, alloc);
    enum neap_status status = append_body(&answer->body, kind, fault, header);
    if (status != NEAP_OK) {
        neap_buffer_deinit(&answer->body);
        return status;
    }
    set_headers(answer, kind);
    answer->answer = (struct neap_stored_answer){
        .status = kind->status,
        .headers = answer->headers,
        .header_count = kind->retry_after ? 2 : 1,
        .body = {answer->body.data, answer->body.bytes},
    };
    return NEAP_OK;
}

void neap_problem_answer_deinit(struct neap_problem_answer *answer)
{
    neap_buffer_deinit(&answer->body);
}
