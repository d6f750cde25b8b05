/* Server-side TLS contexts. */
#include "tls.h"

#include "base.h"

#include <string.h>

static const unsigned char ONLY_HTTP1[] = "\x08http/1.1";
static const unsigned char H2_FIRST[] = "\x02h2\x08http/1.1";

static int choose(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_bytes,
                  const unsigned char *offered, unsigned offered_bytes, void *ours)
{
    (void)ssl;
    unsigned char *selected = NULL;
    int found = SSL_select_next_proto(&selected, chosen_bytes, ours,
                                      (unsigned)strlen((const char *)ours), offered, offered_bytes);
    if (found != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *chosen = selected;
    return SSL_TLSEXT_ERR_OK;
}

static int use_files(SSL_CTX *context, const char *directory, const struct tls_wish *wish)
{
    struct text certificate = {0};
    struct text key = {0};
    struct text ca = {0};
    text_format(&certificate, "%s/%s.pem", directory, wish->certificate);
    text_format(&key, "%s/%s.key", directory, wish->certificate);
    text_format(&ca, "%s/ca.pem", directory);
    int used = SSL_CTX_use_certificate_file(context, certificate.data, SSL_FILETYPE_PEM) == 1 &&
               SSL_CTX_use_PrivateKey_file(context, key.data, SSL_FILETYPE_PEM) == 1;
    if (used && wish->client_certificate)
        used = SSL_CTX_load_verify_file(context, ca.data) == 1;
    text_free(&certificate);
    text_free(&key);
    text_free(&ca);
    return used;
}

SSL_CTX *tls_context(const char *directory, const struct tls_wish *wish)
{
    static const unsigned char session_context[] = "misbehave";
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || !use_files(context, directory, wish)) {
        SSL_CTX_free(context);
        return NULL;
    }
    if (wish->client_certificate)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    if (wish->max_version != 0) { /* the system's settings would not let old versions be spoken */
        SSL_CTX_set_min_proto_version(context, 0);
        SSL_CTX_set_max_proto_version(context, wish->max_version);
        SSL_CTX_set_cipher_list(context, "DEFAULT:@SECLEVEL=0");
    }
    SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1);
    const unsigned char *protocols = wish->h2 ? H2_FIRST : ONLY_HTTP1;
    SSL_CTX_set_alpn_select_cb(context, choose, (void *)(uintptr_t)protocols);
    return context;
}

int tls_chose_h2(const SSL *ssl)
{
    const unsigned char *name = NULL;
    unsigned bytes = 0;
    SSL_get0_alpn_selected(ssl, &name, &bytes);
    return bytes == 2 && memcmp(name, "h2", 2) == 0;
}
