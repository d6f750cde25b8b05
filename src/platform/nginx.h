/* nginx, where this process is one: told by its symbols, which it exports to its modules. */
#ifndef NEAP_PLATFORM_NGINX_H
#define NEAP_PLATFORM_NGINX_H

#include <stdbool.h>

/* Has `ended(context)` called once, on the thread of the worker, when the request is over, however
 * it ends: answered, abandoned by its client, or by a timeout. `request` is an ngx_http_request_t
 * of this process that is being handled now. False, and nothing will be called, where this is no
 * nginx or it has no memory. */
bool neap_nginx_on_request_end(void *request, void (*ended)(void *context), void *context);

#endif
