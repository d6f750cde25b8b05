#include "platform/nginx.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

/* What nginx's modules see of it: ngx_http_cleanup_t, unchanged since 0.6. */
struct cleanup {
    void (*handler)(void *data);
    void *data;
    struct cleanup *next;
};

typedef struct cleanup *add_cleanup(void *request, size_t bytes);

/* C has no cast from a pointer to data to one to a function. */
static add_cleanup *find_add_cleanup(void)
{
    void *symbol = dlsym(RTLD_DEFAULT, "ngx_http_cleanup_add");
    add_cleanup *function = NULL;
    memcpy(&function, &symbol, sizeof function);
    return function;
}

bool neap_nginx_on_request_end(void *request, void (*ended)(void *context), void *context)
{
    add_cleanup *add = find_add_cleanup();
    struct cleanup *cleanup = add ? add(request, 0) : NULL;
    if (!cleanup)
        return false;
    cleanup->handler = ended;
    cleanup->data = context;
    return true;
}
