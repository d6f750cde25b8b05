/* The SQLite kind: making it, its table of functions, sweeping. */
#include "store/sqlite_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SWEEP_MOST 100

static enum neap_store_status sweep_table(struct neap_sqlite *sqlite, enum neap_statement which,
                                          int64_t now_ns, bool *more)
{
    int changes = 0;
    enum neap_store_status status = neap_sqlite_begin(sqlite);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_query query = neap_query(sqlite, which);
    neap_query_number(&query, now_ns);
    neap_query_number(&query, SWEEP_MOST);
    status = neap_sqlite_end(sqlite, neap_query_run(&query, &changes));
    if (status == NEAP_STORE_OK)
        *more = *more || changes == SWEEP_MOST;
    return status;
}

static enum neap_store_status sweep(struct neap_store *store, int64_t now_ns, bool *more)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    bool is_more = false;
    enum neap_store_status status = sweep_table(sqlite, NEAP_SQL_CLAIM_EXPIRE, now_ns, &is_more);
    if (status == NEAP_STORE_OK)
        status = sweep_table(sqlite, NEAP_SQL_CACHE_EXPIRE, now_ns, &is_more);
    if (status == NEAP_STORE_OK)
        *more = is_more;
    return status;
}

/* A parent's connection is the parent's to close. */
static void free_sqlite(struct neap_store *store)
{
    struct neap_sqlite *sqlite = neap_sqlite_of(store);
    if (sqlite->connection && neap_sqlite_is_own(sqlite))
        neap_sqlite_disconnect(sqlite);
    neap_free(store->alloc, sqlite->path);
    neap_free(store->alloc, sqlite);
}

static const struct neap_store_kind sqlite_kind = {
    .claim = neap_sqlite_claim,
    .renew = neap_sqlite_renew,
    .finish = neap_sqlite_finish,
    .release = neap_sqlite_release,
    .get = neap_sqlite_get,
    .put = neap_sqlite_put,
    .remove = neap_sqlite_remove,
    .outbox_put = neap_sqlite_outbox_put,
    .outbox_take = neap_sqlite_outbox_take,
    .outbox_renew = neap_sqlite_outbox_renew,
    .outbox_done = neap_sqlite_outbox_done,
    .outbox_retry = neap_sqlite_outbox_retry,
    .outbox_bury = neap_sqlite_outbox_bury,
    .outbox_count = neap_sqlite_outbox_count,
    .outbox_dead = neap_sqlite_outbox_dead,
    .outbox_revive = neap_sqlite_outbox_revive,
    .outbox_drop = neap_sqlite_outbox_drop,
    .sweep = sweep,
    .free = free_sqlite,
};

/* ---------------------------------------------------------------------------------- the path */

static enum neap_store_status refuse(char message[NEAP_MESSAGE_BYTES], const char *why,
                                     const char *path)
{
    (void)snprintf(message, NEAP_MESSAGE_BYTES, "the SQLite file cannot be used: %s: %s", why,
                   path);
    return NEAP_STORE_UNAVAILABLE;
}

/* The directory's absolute path, so that the process may go elsewhere before the first step. */
static const char *resolve_directory(const char *path, const char *name, char resolved[PATH_MAX])
{
    char directory[PATH_MAX];
    size_t bytes = (size_t)(name - path);
    if (bytes >= sizeof directory)
        return strerror(ENAMETOOLONG);
    memcpy(directory, path, bytes);
    directory[bytes] = '\0';
    return realpath(bytes > 0 ? directory : ".", resolved) ? NULL : strerror(errno);
}

static char *join(const struct neap_alloc *alloc, const char *directory, const char *name)
{
    size_t bytes = strlen(directory) + 1 + strlen(name);
    char *path = neap_alloc(alloc, bytes + 1);
    if (path)
        (void)snprintf(path, bytes + 1, "%s/%s", directory, name);
    return path;
}

static enum neap_store_status make_path(const struct neap_alloc *alloc, const char *path,
                                        char **absolute, char message[NEAP_MESSAGE_BYTES])
{
    char directory[PATH_MAX];
    struct stat file;
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (*name == '\0')
        return refuse(message, "it has no name", path);
    const char *why = resolve_directory(path, name, directory);
    if (why)
        return refuse(message, why, path);
    if (stat(path, &file) == 0 && !S_ISREG(file.st_mode))
        return refuse(message, "it is not a regular file", path);
    *absolute = join(alloc, directory, name);
    return *absolute ? NEAP_STORE_OK : NEAP_STORE_NO_MEMORY;
}

const bool neap_store_has_sqlite = true;

enum neap_store_status neap_store_open_sqlite(const struct neap_alloc *alloc,
                                              const struct neap_sqlite_settings *settings,
                                              struct neap_store **store,
                                              char message[NEAP_MESSAGE_BYTES])
{
    char *path = NULL;
    enum neap_store_status status = make_path(alloc, settings->path, &path, message);
    if (status != NEAP_STORE_OK)
        return status;
    struct neap_sqlite *sqlite = neap_alloc_zeroed(alloc, sizeof *sqlite);
    if (!sqlite) {
        neap_free(alloc, path);
        return NEAP_STORE_NO_MEMORY;
    }
    sqlite->store.kind = &sqlite_kind;
    sqlite->store.alloc = alloc;
    sqlite->path = path;
    sqlite->busy_ns = settings->busy_ns;
    *store = &sqlite->store;
    return NEAP_STORE_OK;
}
