/* Verdict: what a transfer came to, in the project's kinds. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "transport/curl_compat.h"
#include "transport/transport_internal.h"

static const char refused_unprocessed[] = "the server refused the stream unprocessed";
static const char endless_head[] = "the head of the response is too long";

struct rule {
    CURLcode code;
    const char *said; /* only where libcurl's text has this; NULL: always */
    enum neap_kind kind;
    bool certificate; /* no use in trying again */
};

/* The first rule that fits. libcurl gives some causes the code of others, its text tells them
 * apart. */
static const struct rule rules[] = {
    /* We lack memory, a descriptor or a thread. */
    {CURLE_COULDNT_RESOLVE_HOST, "thread failed to start", NEAP_KIND_ERROR, false},
    {CURLE_COULDNT_RESOLVE_PROXY, "thread failed to start", NEAP_KIND_ERROR, false},
    {CURLE_COULDNT_RESOLVE_HOST, NULL, NEAP_KIND_RESOLVE, false},
    {CURLE_COULDNT_RESOLVE_PROXY, NULL, NEAP_KIND_RESOLVE, false},
    {CURLE_COULDNT_CONNECT, NULL, NEAP_KIND_CONNECT, false},
    {CURLE_INTERFACE_FAILED, NULL, NEAP_KIND_CONNECT, false},
    {CURLE_PROXY, NULL, NEAP_KIND_CONNECT, false},
    {CURLE_SSL_CONNECT_ERROR, "alert unknown ca", NEAP_KIND_TLS, true},
    {CURLE_SSL_CONNECT_ERROR, "alert bad certificate", NEAP_KIND_TLS, true},
    {CURLE_SSL_CONNECT_ERROR, "alert certificate required", NEAP_KIND_TLS, true},
    {CURLE_SSL_CONNECT_ERROR, NULL, NEAP_KIND_TLS, false},
    {CURLE_SSL_SHUTDOWN_FAILED, NULL, NEAP_KIND_TLS, false},
    {CURLE_USE_SSL_FAILED, NULL, NEAP_KIND_TLS, false},
    {CURLE_PEER_FAILED_VERIFICATION, NULL, NEAP_KIND_TLS, true},
    {CURLE_SSL_CERTPROBLEM, NULL, NEAP_KIND_TLS, true},
    {CURLE_SSL_CIPHER, NULL, NEAP_KIND_TLS, true},
    {CURLE_SSL_CACERT_BADFILE, NULL, NEAP_KIND_TLS, true},
    {CURLE_SSL_CRL_BADFILE, NULL, NEAP_KIND_TLS, true},
    {CURLE_SSL_ISSUER_ERROR, NULL, NEAP_KIND_TLS, true},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, NULL, NEAP_KIND_TLS, true},
    {CURLE_SSL_INVALIDCERTSTATUS, NULL, NEAP_KIND_TLS, true},
    {CURLE_SSL_CLIENTCERT, NULL, NEAP_KIND_TLS, true},
    {CURLE_OPERATION_TIMEDOUT, NULL, NEAP_KIND_TIMEOUT, false},
    /* In TLS 1.3 the server refuses our certificate when the request is already under way. */
    {CURLE_RECV_ERROR, "alert unknown ca", NEAP_KIND_TLS, true},
    {CURLE_RECV_ERROR, "alert bad certificate", NEAP_KIND_TLS, true},
    {CURLE_RECV_ERROR, "alert certificate required", NEAP_KIND_TLS, true},
    {CURLE_RECV_ERROR, "chunked-encoding", NEAP_KIND_PROTOCOL, false},
    {CURLE_RECV_ERROR, "Too large response headers", NEAP_KIND_TOO_LARGE, false},
    {CURLE_RECV_ERROR, NULL, NEAP_KIND_RESET, false},
    {CURLE_SEND_ERROR, NULL, NEAP_KIND_RESET, false},
    {CURLE_GOT_NOTHING, NULL, NEAP_KIND_RESET, false},
    {CURLE_PARTIAL_FILE, NULL, NEAP_KIND_RESET, false},
    {CURLE_HTTP2, NULL, NEAP_KIND_RESET, false},
    {CURLE_HTTP2_STREAM, NULL, NEAP_KIND_RESET, false},
    {CURLE_FILESIZE_EXCEEDED, NULL, NEAP_KIND_TOO_LARGE, false},
    {NEAP_CURLE_TOO_LARGE, NULL, NEAP_KIND_TOO_LARGE, false},
    {CURLE_OUT_OF_MEMORY, NULL, NEAP_KIND_ERROR, false},
    {CURLE_FAILED_INIT, NULL, NEAP_KIND_ERROR, false},
    {CURLE_WEIRD_SERVER_REPLY, NULL, NEAP_KIND_PROTOCOL, false},
    {CURLE_UNSUPPORTED_PROTOCOL, NULL, NEAP_KIND_PROTOCOL, false},
    {CURLE_BAD_CONTENT_ENCODING, NULL, NEAP_KIND_PROTOCOL, false},
    {CURLE_WRITE_ERROR, NULL, NEAP_KIND_PROTOCOL, false},
};

static const struct rule otherwise = {CURLE_OK, NULL, NEAP_KIND_PROTOCOL, false};

static const struct rule *rule_for(const struct neap_transfer *transfer, CURLcode code)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].code == code &&
            (!rules[i].said || strstr(transfer->error_text, rules[i].said)))
            return &rules[i];
    return &otherwise;
}

/* A header line that never ends outgrows libcurl's own buffer before our limit sees it. */
static bool is_endless_line(const struct neap_transfer *transfer, CURLcode code)
{
    return code == CURLE_OUT_OF_MEMORY && transfer->sent && !transfer->head_done;
}

/* So does a head of HTTP/2, which is handed over as a whole: nghttp2 then tells that a function of
 * libcurl's has failed. */
static bool is_endless_head(const struct neap_transfer *transfer)
{
    return strstr(transfer->error_text, "nghttp2") && strstr(transfer->error_text, "-902");
}

static enum neap_kind kind_of(const struct neap_transfer *transfer, const struct rule *rule,
                              CURLcode code)
{
    if (is_endless_line(transfer, code) || is_endless_head(transfer))
        return NEAP_KIND_TOO_LARGE;
    bool early = rule->kind == NEAP_KIND_RESET || rule == &otherwise;
    return early && !transfer->sent ? NEAP_KIND_CONNECT : rule->kind;
}

/* libcurl's text may quote a URL, which may hold a credential. */
static const char *message_of(const struct neap_transfer *transfer, CURLcode code)
{
    const char *text = transfer->error_text;
    if (transfer->refused)
        return refused_unprocessed;
    if (is_endless_line(transfer, code))
        return "a header line of the response is too long";
    if (is_endless_head(transfer))
        return endless_head;
    bool quotes_url = strstr(text, "://") || strchr(text, '?') || strchr(text, '@');
    return text[0] == '\0' || quotes_url ? curl_easy_strerror(code) : text;
}

void neap_verdict_fail(struct neap_transfer *transfer, enum neap_kind kind, enum neap_phase phase,
                       const char *format, ...)
{
    struct neap_outcome *verdict = &transfer->verdict;
    va_list arguments;
    if (verdict->kind != NEAP_KIND_NONE)
        return;
    verdict->kind = kind;
    verdict->phase = phase;
    va_start(arguments, format);
    vsnprintf(verdict->message, sizeof verdict->message, format, arguments);
    va_end(arguments);
}

void neap_verdict_starve(struct neap_transfer *transfer, const char *message)
{
    transfer->verdict.ours |= transfer->verdict.kind == NEAP_KIND_NONE;
    neap_verdict_fail(transfer, NEAP_KIND_ERROR, NEAP_PHASE_NONE, "%s", message);
}

void neap_verdict_of_repetition(struct neap_transfer *transfer)
{
    if (is_endless_head(transfer))
        neap_verdict_fail(transfer, NEAP_KIND_TOO_LARGE, NEAP_PHASE_NONE, "%s", endless_head);
    else
        neap_verdict_fail(transfer, NEAP_KIND_RESET, NEAP_PHASE_NONE, "%s",
                          transfer->refused ? refused_unprocessed
                                            : "the connection ended before a response came");
}

/* A name that has other addresses too is judged by what became of those. */
static bool leads_inside(const struct neap_transfer *transfer, const struct neap_outcome *outcome)
{
    return transfer->denied && !transfer->dialled && outcome->kind == NEAP_KIND_CONNECT;
}

static void forbid(const struct neap_transfer *transfer, struct neap_outcome *outcome)
{
    bool redirected = transfer->hops > 0;
    outcome->kind = redirected ? NEAP_KIND_REDIRECT : NEAP_KIND_CONNECT;
    outcome->forbidden = !redirected;
    snprintf(outcome->message, sizeof outcome->message,
             "%s to an inner address, which "
             "policy.deny_private refuses",
             redirected ? "a redirect leads" : "the host leads");
}

/* Nor is a server to blame for a socket that we could not have: another of its addresses, which may
 * have refused us, is not the whole of it. */
static bool had_no_socket(const struct neap_transfer *transfer, const struct neap_outcome *outcome)
{
    return transfer->starved && outcome->kind == NEAP_KIND_CONNECT;
}

static void starve(struct neap_outcome *outcome)
{
    static const char text[] = "not enough memory or descriptors for a socket";
    outcome->kind = NEAP_KIND_ERROR;
    outcome->ours = true;
    neap_outcome_say(outcome, text, sizeof text);
}

static void judge_result(const struct neap_transfer *transfer, CURLcode code,
                         struct neap_outcome *outcome)
{
    const struct rule *rule = rule_for(transfer, code);
    outcome->kind = kind_of(transfer, rule, code);
    outcome->certificate = rule->certificate;
    outcome->ours = outcome->kind == NEAP_KIND_ERROR;
    if (outcome->kind == NEAP_KIND_TIMEOUT)
        outcome->phase = neap_stage_phase(transfer->stage);
    snprintf(outcome->message, sizeof outcome->message, "%.*s", NEAP_MESSAGE_BYTES - 1,
             message_of(transfer, code));
    if (leads_inside(transfer, outcome))
        forbid(transfer, outcome);
    else if (had_no_socket(transfer, outcome))
        starve(outcome);
}

void neap_verdict_of(const struct neap_transfer *transfer, CURLcode code,
                     struct neap_outcome *outcome)
{
    *outcome = transfer->verdict;
    outcome->unsent = neap_transfer_is_unsent(transfer);
    if (outcome->kind != NEAP_KIND_NONE)
        return;
    if (code != CURLE_OK) {
        judge_result(transfer, code, outcome);
    } else if (!transfer->head_done) {
        outcome->kind = NEAP_KIND_RESET;
        snprintf(outcome->message, sizeof outcome->message,
                 "the connection ended before a response came");
    } else {
        outcome->status = transfer->response->status;
    }
}
