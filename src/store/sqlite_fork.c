/* The connection that a forked child finds in its memory.
 *
 * SQLite forbids to use it there, and to close it. But to leave it alone is not enough: SQLite
 * remembers for each file of a process, not of a connection, which locks it has, and fcntl(2) locks
 * are not inherited. A connection that the child opens would take over the parent's locks in memory
 * without any in the kernel; the parent, when it ends, would find itself alone and remove the
 * write-ahead log under the child. So the child unlocks at the level of SQLite's files: that
 * changes its own memory, closes its own copy of a descriptor, and no lock of the parent's, since
 * they belong to the parent's process. Two connections to one file in a parent cannot be told
 * apart there; hence a process that forks has one store object for a file. */
#include "store/sqlite_store.h"

#include <string.h>

void neap_sqlite_disown(struct neap_sqlite *sqlite)
{
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(sqlite->connection, "main", SQLITE_FCNTL_FILE_POINTER, &file) ==
            SQLITE_OK &&
        file && file->pMethods) {
        if (file->pMethods->iVersion >= 2)
            (void)file->pMethods->xShmUnmap(file, 0);
        (void)file->pMethods->xUnlock(file, SQLITE_LOCK_NONE);
    }
    sqlite->inherited = sqlite->connection;
    sqlite->connection = NULL;
    memset((void *)sqlite->statement, 0, sizeof sqlite->statement);
}
