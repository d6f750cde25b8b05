/* Reach: which hosts and which addresses a policy lets be connected to.
 *
 * Hosts are compared before anything is sent, addresses when a socket is made for one: a name may
 * be resolved to another address between a check and its use, a socket may not. */
#ifndef NEAP_TRANSPORT_REACH_H
#define NEAP_TRANSPORT_REACH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct neap_transport_settings;

/* "api.example", "*.example", "10.0.0.1", "[2001:db8::1]": a host as it stands in a URL, in
 * letters, digits, "-", "." and "_", or in brackets; in front "*." may stand for one label or more.
 */
bool neap_is_host_pattern(const char *text, size_t bytes);

/* Is the host of that origin (of a neap_url; NULL: none) among allow_hosts? True where the list is
 * empty. Letter case does not matter; "*.example" is not "example". */
bool neap_reach_allows_host(const struct neap_transport_settings *settings, const char *origin);

/* Does the address lead inside: into this machine, a private network or a link, or to nobody in
 * particular? By the registries of RFC 6890: loopback, RFC 1918, link-local, shared (RFC 6598),
 * "this network", protocol assignments, benchmarks (RFC 2544), multicast, reserved; ::/80 with the
 * unspecified, the loopback and the IPv4-mapped addresses, unique local, site-local, link-local,
 * local-use NAT64 (RFC 8215). An address of NAT64 (RFC 6052) or 6to4 is what it stands for. Any
 * other family than IPv4 and IPv6 leads inside. */
bool neap_reach_is_inner(const struct sockaddr *address);

#endif
