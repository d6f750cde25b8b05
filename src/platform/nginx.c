#include "platform/nginx.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

/* What nginx's modules see of it: ngx_http_cleanup_t, unchanged since 0.6. */
struct cleanup {
    void (*handler)(void *data);
    void *data;
    struct cleanup *next;
};

typedef struct cleanup *add_cleanup(void *request, size_t bytes);

/* A fact about the process, so it hangs on no object. NULL where it is no nginx. */
static add_cleanup *known_add_cleanup;
static pthread_once_t known_once = PTHREAD_ONCE_INIT;

/* C has no cast from a pointer to data to one to a function. */
static void look_up(void)
{
    void *symbol = dlsym(RTLD_DEFAULT, "ngx_http_cleanup_add");
    memcpy(&known_add_cleanup, &symbol, sizeof symbol);
}

static add_cleanup *find_add_cleanup(void)
{
    pthread_once(&known_once, look_up);
    return known_add_cleanup;
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
