/* What differs between the versions of libcurl (7.80 and later). */
#ifndef NEAP_TRANSPORT_CURL_COMPAT_H
#define NEAP_TRANSPORT_CURL_COMPAT_H

#include <curl/curl.h>
#include <stdbool.h>

/* CURLE_TOO_LARGE of 8.6. */
#define NEAP_CURLE_TOO_LARGE ((CURLcode)100)

static inline CURLcode neap_curl_web_only(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

/* Without it, ending a transfer whose name is being resolved waits for the resolver's thread, which
 * can take many times any limit. The thread cleans up after itself. */
static inline CURLcode neap_curl_leave_resolver(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075700
    return curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#else
    (void)easy;
    return CURLE_OK;
#endif
}

/* Since 7.88 the bytes of TLS go through send with MSG_NOSIGNAL too; before, OpenSSL wrote them to
 * the socket itself. */
static inline bool neap_curl_can_raise_sigpipe(void)
{
    return curl_version_info(CURLVERSION_NOW)->version_num < 0x075800;
}

#endif
