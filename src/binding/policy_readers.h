/* Keys of a client policy that one row of a table cannot describe: maps, lists of tables, and
 * checks that look at more than one key. Each is a neap_option_read whose target is the client
 * policy. */
#ifndef NEAP_BINDING_POLICY_READERS_H
#define NEAP_BINDING_POLICY_READERS_H

#include "binding/options.h"

/* Name to string, number or list of these, sorted by name in lower case. */
neap_option_read neap_read_headers;

/* Status to true, "once" or false, over the defaults. */
neap_option_read neap_read_statuses;

neap_option_read neap_read_proxy;

/* Is the text in `base_url` the URL of an http or https server? */
neap_option_read neap_check_base_url;

/* Is the host of base_url, if there is one, among them? */
neap_option_read neap_check_allow_hosts;

/* Not together with a proxy, whose connections nobody here sees. */
neap_option_read neap_check_deny_private;

/* For rows of TEXT and TEXTS. */
bool neap_is_policy_name(const char *text, size_t bytes);
bool neap_is_header_name(const char *text, size_t bytes);
bool neap_is_key_prefix(const char *text, size_t bytes);

#endif
