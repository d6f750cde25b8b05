/* Server-side TLS contexts. A context is shared by all connections of its port. */
#ifndef MISBEHAVE_TLS_H
#define MISBEHAVE_TLS_H

#include <openssl/ssl.h>

struct tls_wish {
    const char *certificate; /* NAME of NAME.pem and NAME.key in the directory */
    int client_certificate;  /* demanded, signed by the directory's ca.pem */
    int h2;                  /* ALPN chooses h2 if it is offered, else http/1.1 */
    int max_version;         /* 0: any */
};

/* NULL if something cannot be read. Free with SSL_CTX_free. */
SSL_CTX *tls_context(const char *directory, const struct tls_wish *wish);

/* 1 if ALPN chose h2. */
int tls_chose_h2(const SSL *ssl);

#endif
