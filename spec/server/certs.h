/* Certificates made on the spot: an authority, and what it signs for servers and a client.
 *
 * In the directory: ca.pem; and NAME.pem with NAME.key for `good` (localhost and 127.0.0.1),
 * `expired`, `wrongname` (wrong.example), `selfsigned` (the right names, no authority), `client`
 * (signed) and `stranger` (a client certificate that the authority did not sign). */
#ifndef MISBEHAVE_CERTS_H
#define MISBEHAVE_CERTS_H

/* 1, or 0 if something could not be made or written. */
int certs_make(const char *directory);

#endif
