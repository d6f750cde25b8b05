/* Settings: what is the same for all transfers of a transport, set once on each handle. */
#include <limits.h>
#include <string.h>

#include "base/duration.h"
#include "base/hash.h"
#include "base/version.h"
#include "transport/curl_compat.h"
#include "transport/transport_internal.h"

/* With four times as much each call costs a tenth more where 1000 run side by side, and a body of
 * megabytes arrives no faster. The least is what libcurl allows: what malloc keeps at hand, and a
 * page of memory less for each transfer under way. */
#define MOST_RECEIVE_BYTES 16384u
#define LEAST_RECEIVE_BYTES 1024u
#define RECEIVE_GROWTH 4u

/* Keeps the name of the first option that libcurl refused. */
struct preset {
    CURL *easy;
    const char *refused;
};

static void note(struct preset *preset, CURLcode code, const char *name)
{
    if (code != CURLE_OK && !preset->refused)
        preset->refused = name;
}

static void set_number(struct preset *preset, CURLoption option, long value, const char *name)
{
    note(preset, curl_easy_setopt(preset->easy, option, value), name);
}

static void set_text(struct preset *preset, CURLoption option, const char *value, const char *name)
{
    note(preset, curl_easy_setopt(preset->easy, option, value), name);
}

static long whole_seconds(int64_t ns)
{
    int64_t seconds = ns / NEAP_SECOND;
    return seconds < 1 ? 1 : seconds > INT_MAX ? INT_MAX : (long)seconds;
}

/* A connection that was idle is looked at by libcurl itself each time before it is used again (a
 * poll on its socket), so validate_after_ns asks for nothing more. */
static void preset_connections(struct preset *preset,
                               const struct neap_transport_settings *settings)
{
    set_number(preset, CURLOPT_MAXLIFETIME_CONN, whole_seconds(settings->ttl_ns), "ttl");
    set_number(preset, CURLOPT_MAXAGE_CONN, whole_seconds(settings->idle_ns), "idle");
    set_number(preset, CURLOPT_TCP_NODELAY, 1, "TCP_NODELAY");
    note(preset, neap_curl_leave_resolver(preset->easy), "QUICK_EXIT");
}

static void preset_http(struct preset *preset, const struct neap_transport_settings *settings)
{
    long version = settings->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
    note(preset, neap_curl_web_only(preset->easy), "PROTOCOLS");
    set_number(preset, CURLOPT_NOSIGNAL, 1, "NOSIGNAL");
    set_number(preset, CURLOPT_HTTP_VERSION, version, "http2");
    set_number(preset, CURLOPT_FOLLOWLOCATION, 0, "FOLLOWLOCATION");
    set_text(preset, CURLOPT_ACCEPT_ENCODING, "", "ACCEPT_ENCODING");
}

/* A file of certificates replaces the system's directory of them, and the other way round: who
 * names one does not want to trust the rest too. */
static void preset_trust(struct preset *preset, const struct neap_transport_settings *settings)
{
    if (settings->ca_file || settings->ca_path) {
        set_text(preset, CURLOPT_CAINFO, settings->ca_file, "ca_file");
        set_text(preset, CURLOPT_CAPATH, settings->ca_path, "ca_path");
        set_text(preset, CURLOPT_PROXY_CAINFO, settings->ca_file, "ca_file");
        set_text(preset, CURLOPT_PROXY_CAPATH, settings->ca_path, "ca_path");
    }
    set_number(preset, CURLOPT_SSL_VERIFYPEER, settings->verify, "verify");
    set_number(preset, CURLOPT_SSL_VERIFYHOST, settings->verify ? 2 : 0, "verify");
    set_number(preset, CURLOPT_PROXY_SSL_VERIFYPEER, settings->verify, "verify");
    set_number(preset, CURLOPT_PROXY_SSL_VERIFYHOST, settings->verify ? 2 : 0, "verify");
}

static void preset_tls(struct preset *preset, const struct neap_transport_settings *settings)
{
    long version = settings->min_tls >= 13 ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2;
    set_number(preset, CURLOPT_SSLVERSION, version, "min_version");
    set_number(preset, CURLOPT_PROXY_SSLVERSION, version, "min_version");
    set_text(preset, CURLOPT_SSLCERT, settings->cert, "cert");
    set_text(preset, CURLOPT_SSLKEY, settings->key, "key");
}

/* libcurl looks at a proxy only when it is used, and then quotes it, with its password. */
static bool is_proxy(const char *text)
{
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};
    char *scheme = NULL;
    bool known = false;
    CURLU *handle = curl_url();
    if (curl_url_set(handle, CURLUPART_URL, strstr(text, "://") ? text : "http://proxy",
                     CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
        curl_url_get(handle, CURLUPART_SCHEME, &scheme, 0);
    for (size_t i = 0; scheme && i < sizeof schemes / sizeof *schemes; i++)
        known = known || strcmp(scheme, schemes[i]) == 0;
    curl_free(scheme);
    curl_url_cleanup(handle);
    return known;
}

/* An empty text switches off what libcurl would read from the environment. */
static void preset_proxy(struct preset *preset, const struct neap_transport_settings *settings)
{
    bool has_proxy = settings->proxy_environment || settings->proxy;
    if (has_proxy) /* a request for a tunnel has no headers of ours */
        set_text(preset, CURLOPT_USERAGENT, "neap/" NEAP_VERSION, "USERAGENT");
    set_number(preset, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1, "SUPPRESS_CONNECT_HEADERS");
    if (settings->proxy_environment)
        return;
    if (settings->proxy && !is_proxy(settings->proxy))
        note(preset, CURLE_COULDNT_RESOLVE_PROXY, "proxy");
    set_text(preset, CURLOPT_PROXY, settings->proxy ? settings->proxy : "", "proxy");
    set_text(preset, CURLOPT_NOPROXY, "", "proxy");
}

CURL *neap_settings_make_easy(struct neap_transport *transport, const char **refused)
{
    struct preset preset = {.easy = curl_easy_init()};
    *refused = NULL;
    if (!preset.easy)
        return NULL;
    preset_http(&preset, &transport->stock->settings);
    preset_connections(&preset, &transport->stock->settings);
    preset_trust(&preset, &transport->stock->settings);
    preset_tls(&preset, &transport->stock->settings);
    preset_proxy(&preset, &transport->stock->settings);
    if (!preset.refused)
        return preset.easy;
    *refused = preset.refused;
    curl_easy_cleanup(preset.easy);
    return NULL;
}

bool neap_settings_client_certificate(struct neap_transfer *transfer, bool present)
{
    const struct neap_transport_settings *settings = &transfer->transport->stock->settings;
    if (!settings->cert || transfer->certificate_off == !present)
        return true;
    if (curl_easy_setopt(transfer->easy, CURLOPT_SSLCERT, present ? settings->cert : NULL) ||
        curl_easy_setopt(transfer->easy, CURLOPT_SSLKEY, present ? settings->key : NULL))
        return false;
    transfer->certificate_off = !present;
    return true;
}

/* libcurl hands a small buffer's worth of HTTP/2 over in a more roundabout way. */
static uint32_t fitting_bytes(const struct neap_transfer *transfer)
{
    return neap_shards_may_multiplex(transfer) ? MOST_RECEIVE_BYTES
                                               : transfer->transport->receive_bytes;
}

void neap_settings_forget_responses(struct neap_transport *transport)
{
    transport->receive_bytes = LEAST_RECEIVE_BYTES;
}

void neap_settings_fit_buffer(struct neap_transfer *transfer)
{
    uint32_t bytes = fitting_bytes(transfer);
    if (transfer->receive_bytes != bytes &&
        curl_easy_setopt(transfer->easy, CURLOPT_BUFFERSIZE, (long)bytes) == CURLE_OK)
        transfer->receive_bytes = bytes;
}

void neap_settings_note_response(const struct neap_transfer *transfer)
{
    struct neap_transport *transport = transfer->transport;
    uint64_t came = transfer->header_bytes + transfer->body_bytes;
    if (came > transport->receive_bytes && transport->receive_bytes < MOST_RECEIVE_BYTES)
        transport->receive_bytes *= RECEIVE_GROWTH;
}

static bool copy_text(const struct neap_alloc *alloc, const char **text)
{
    if (!*text)
        return true;
    *text = neap_copy_text(alloc, *text, strlen(*text));
    return *text != NULL;
}

static void free_hosts(const struct neap_alloc *alloc, struct neap_transport_settings *settings)
{
    for (size_t i = 0; i < settings->allow_host_count; i++)
        neap_free(alloc, settings->allow_hosts[i]);
    neap_free(alloc, settings->allow_hosts);
}

/* What was copied is the copy's, at each moment. */
static bool copy_hosts(const struct neap_alloc *alloc, struct neap_transport_settings *copy,
                       const struct neap_transport_settings *settings)
{
    size_t count = settings->allow_host_count;
    copy->allow_host_count = 0;
    copy->allow_hosts = NULL;
    if (count == 0)
        return true;
    copy->allow_hosts = neap_alloc(alloc, count * sizeof *copy->allow_hosts);
    for (size_t i = 0; copy->allow_hosts && i < count; i++) {
        const char *host = settings->allow_hosts[i];
        copy->allow_hosts[i] = neap_copy_text(alloc, host, strlen(host));
        if (!copy->allow_hosts[i])
            return false;
        copy->allow_host_count++;
    }
    return copy->allow_hosts != NULL;
}

void neap_settings_free(const struct neap_alloc *alloc, struct neap_transport_settings *settings)
{
    free_hosts(alloc, settings);
    neap_free(alloc, (void *)settings->ca_file);
    neap_free(alloc, (void *)settings->ca_path);
    neap_free(alloc, (void *)settings->cert);
    neap_free(alloc, (void *)settings->key);
    neap_free(alloc, (void *)settings->proxy);
}

enum neap_status neap_settings_copy(const struct neap_alloc *alloc,
                                    struct neap_transport_settings *copy,
                                    const struct neap_transport_settings *settings)
{
    const char **texts[] = {&copy->ca_file, &copy->ca_path, &copy->cert, &copy->key, &copy->proxy};
    size_t count = sizeof texts / sizeof *texts, copied = 0;
    *copy = *settings;
    bool has_hosts = copy_hosts(alloc, copy, settings);
    while (has_hosts && copied < count && copy_text(alloc, texts[copied]))
        copied++;
    if (copied == count)
        return NEAP_OK;
    for (size_t i = copied; i < count; i++)
        *texts[i] = NULL;
    return NEAP_NO_MEMORY;
}

static bool is_same_text(const char *text, const char *other)
{
    return text == other || (text && other && strcmp(text, other) == 0);
}

static bool is_same_tls(const struct neap_transport_settings *settings,
                        const struct neap_transport_settings *other)
{
    return settings->verify == other->verify && settings->min_tls == other->min_tls &&
           is_same_text(settings->ca_file, other->ca_file) &&
           is_same_text(settings->ca_path, other->ca_path) &&
           is_same_text(settings->cert, other->cert) && is_same_text(settings->key, other->key);
}

static bool is_same_pool(const struct neap_transport_settings *settings,
                         const struct neap_transport_settings *other)
{
    return settings->max_connections == other->max_connections &&
           settings->per_host == other->per_host && settings->ttl_ns == other->ttl_ns &&
           settings->idle_ns == other->idle_ns && settings->http2 == other->http2 &&
           settings->validate_after_ns == other->validate_after_ns;
}

static bool is_same_reach(const struct neap_transport_settings *settings,
                          const struct neap_transport_settings *other)
{
    if (settings->deny_private != other->deny_private ||
        settings->allow_host_count != other->allow_host_count)
        return false;
    for (size_t i = 0; i < settings->allow_host_count; i++)
        if (!is_same_text(settings->allow_hosts[i], other->allow_hosts[i]))
            return false;
    return true;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    struct neap_hash_seed seed = {{hash, text != NULL}};
    return neap_hash(&seed, text ? text : "", text ? strlen(text) : 0);
}

static uint64_t hash_numbers(const struct neap_transport_settings *settings)
{
    const struct neap_hash_seed seed = {{0, 0}};
    const uint64_t numbers[] = {settings->verify,
                                (uint64_t)settings->min_tls,
                                settings->proxy_environment,
                                settings->max_connections,
                                settings->per_host,
                                (uint64_t)settings->ttl_ns,
                                (uint64_t)settings->idle_ns,
                                (uint64_t)settings->validate_after_ns,
                                settings->http2,
                                settings->redirects,
                                settings->max_response_bytes,
                                settings->max_header_bytes,
                                settings->deny_private};
    return neap_hash(&seed, numbers, sizeof numbers);
}

uint64_t neap_settings_hash(const struct neap_transport_settings *settings)
{
    const char *texts[] = {settings->ca_file, settings->ca_path, settings->cert, settings->key,
                           settings->proxy};
    uint64_t hash = hash_numbers(settings);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        hash = hash_text(hash, texts[i]);
    for (size_t i = 0; i < settings->allow_host_count; i++)
        hash = hash_text(hash, settings->allow_hosts[i]);
    return hash;
}

bool neap_transport_settings_equal(const struct neap_transport_settings *settings,
                                   const struct neap_transport_settings *other)
{
    return is_same_tls(settings, other) && is_same_pool(settings, other) &&
           is_same_reach(settings, other) && is_same_text(settings->proxy, other->proxy) &&
           settings->proxy_environment == other->proxy_environment &&
           settings->redirects == other->redirects &&
           settings->max_response_bytes == other->max_response_bytes &&
           settings->max_header_bytes == other->max_header_bytes;
}
