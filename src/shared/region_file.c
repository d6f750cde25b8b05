#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/entropy.h"
#include "shared/region_internal.h"

/* A change of what lies in the memory, or of what it means, is a new layout. */
#define LAYOUT 7u
#define MAKE ((uint32_t)sizeof(struct neap_region_header) << 4 | NEAP_SHARED_LOCK_MAKE)
#define BYTES_FOR_A_BUCKET 512u

static const char magic[8] = {'n', 'e', 'a', 'p', ' ', 's', 'h', 'm'};

struct file {
    const char *name;
    int fd;
    char *message;
};

static NEAP_PRINTF(2, 3) enum neap_status complain(const struct file *file, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(file->message, NEAP_MESSAGE_BYTES, format, arguments);
    va_end(arguments);
    return NEAP_SYSTEM;
}

static enum neap_status complain_of_system(const struct file *file, const char *what)
{
    return complain(file, "the shared region \"%s\" %s: %s", file->name, what, strerror(errno));
}

static enum neap_status complain_of_owner(const struct file *file)
{
    return complain(file, "the shared region \"%s\" belongs to another user", file->name);
}

/* ---- opening ---- */

static enum neap_status open_file(struct file *file)
{
    char path[sizeof "/neap-" + NEAP_REGION_NAME_MAX];
    (void)snprintf(path, sizeof path, "/neap-%s", file->name);
    file->fd = shm_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file->fd >= 0)
        return NEAP_OK;
    return errno == EACCES ? complain_of_owner(file) : complain_of_system(file, "cannot be opened");
}

/* Others who may write there could do with this process what they like. */
static enum neap_status check_owner(const struct file *file)
{
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return complain_of_system(file, "cannot be examined");
    if (!S_ISREG(status.st_mode))
        return complain(file, "the shared region \"%s\" is no regular file", file->name);
    if (status.st_uid != geteuid())
        return complain_of_owner(file);
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return complain(file, "the shared region \"%s\" is open to other users (mode %04o)",
                        file->name, (unsigned)status.st_mode & 07777u);
    return NEAP_OK;
}

/* The kernel takes this lock from those who die, so whoever has it may finish their work. */
static enum neap_status lock_file(const struct file *file)
{
    while (flock(file->fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return complain_of_system(file, "cannot be locked");
    return NEAP_OK;
}

/* ---- joining ---- */

static enum neap_status check_size(const struct file *file, const struct neap_region_title *title)
{
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return complain_of_system(file, "cannot be examined");
    if (title->bytes != (uint64_t)status.st_size || title->bytes < NEAP_REGION_BYTES_MIN ||
        title->bytes > NEAP_REGION_BYTES_MAX)
        return complain(file, "/dev/shm/neap-%s is damaged: end its processes and remove it",
                        file->name);
    return NEAP_OK;
}

/* NEAP_NOT_FOUND where the region is yet to be made: nobody has begun, or has died over it. The
 * title is read from the file, since memory behind its end must not be touched. */
static enum neap_status read_title(const struct file *file, struct neap_region_title *title)
{
    ssize_t got = pread(file->fd, title, sizeof *title, 0);
    if (got < 0)
        return complain_of_system(file, "cannot be read");
    if (got == 0)
        return NEAP_NOT_FOUND;
    if (got < (ssize_t)sizeof *title || memcmp(title->magic, magic, sizeof magic) != 0)
        return complain(file, "/dev/shm/neap-%s is no region of neap", file->name);
    if (atomic_load(&title->ready) != 1)
        return NEAP_NOT_FOUND;
    if (title->layout != LAYOUT)
        return complain(file,
                        "/dev/shm/neap-%s was made by another version of neap (layout %u, this one "
                        "is %u): end its processes and remove it",
                        file->name, title->layout, LAYOUT);
    if (title->make != MAKE)
        return complain(file,
                        "/dev/shm/neap-%s was made by another build of neap: end its processes and "
                        "remove it",
                        file->name);
    return check_size(file, title);
}

/* ---- making ---- */

static int allocate(int fd, size_t bytes)
{
    int error = posix_fallocate(fd, 0, (off_t)bytes);
    while (error == EINTR)
        error = posix_fallocate(fd, 0, (off_t)bytes);
    return error;
}

/* The title goes first, so that what was left half-made is known as ours. Memory that the system
 * does not have is missed here and not at its first use, where the answer would be SIGBUS. */
static enum neap_status make_file(const struct file *file, size_t bytes)
{
    struct neap_region_title title = {.layout = LAYOUT, .make = MAKE, .bytes = bytes};
    memcpy(title.magic, magic, sizeof magic);
    if (ftruncate(file->fd, 0) != 0 || pwrite(file->fd, &title, sizeof title, 0) < 0 ||
        ftruncate(file->fd, (off_t)bytes) != 0)
        return complain_of_system(file, "cannot be made");
    int error = allocate(file->fd, bytes);
    if (error == 0)
        return NEAP_OK;
    if (ftruncate(file->fd, 0) != 0)
        return complain_of_system(file, "cannot be made");
    errno = error;
    return error == ENOSPC
               ? complain(file, "the shared region \"%s\" of %zu bytes does not fit into /dev/shm",
                          file->name, bytes)
               : complain_of_system(file, "cannot be made");
}

static enum neap_status fill_header(const struct file *file, struct neap_region_header *header)
{
    uint64_t first_serial;
    if (neap_entropy_fill(&header->seed, sizeof header->seed) != NEAP_OK ||
        neap_entropy_fill(&first_serial, sizeof first_serial) != NEAP_OK)
        return complain(file, "the system has no random numbers");
    if (neap_shared_lock_init(&header->lock) != NEAP_OK)
        return complain(file, "the system has no locks for shared memory");
    atomic_store(&header->last_serial, first_serial);
    atomic_store(&header->no_run_of, UINT32_MAX);
    atomic_store(&header->title.ready, 1);
    return NEAP_OK;
}

/* ---- the memory ---- */

/* A granule costs its bytes and two bits; each bitmap is rounded up to 64 bytes. */
static uint32_t granules_in(size_t bytes)
{
    return (uint32_t)((uint64_t)(bytes - 128) * 4 / (NEAP_GRANULE_BYTES * 4 + 1));
}

static size_t bitmap_bytes(uint32_t granules)
{
    return ((size_t)granules + 511) / 512 * 64;
}

static uint32_t buckets_in(size_t bytes)
{
    uint32_t buckets = 16;
    while (buckets <= bytes / BYTES_FOR_A_BUCKET / 2)
        buckets *= 2;
    return buckets;
}

static void find_tables(struct neap_region *region, void *memory, size_t bytes)
{
    unsigned char *at = memory;
    size_t left = bytes - sizeof(struct neap_region_header);
    region->bytes = bytes;
    region->header = memory;
    at += sizeof(struct neap_region_header);
    region->bucket = (_Atomic uint32_t *)(void *)at;
    region->bucket_count = buckets_in(left);
    at += region->bucket_count * sizeof *region->bucket;
    left -= region->bucket_count * sizeof *region->bucket;
    region->granule_count = granules_in(left);
    region->in_use = (_Atomic uint64_t *)(void *)at;
    at += bitmap_bytes(region->granule_count);
    region->begins = (_Atomic uint64_t *)(void *)at;
    region->granule = at + bitmap_bytes(region->granule_count);
    region->seed = region->header->seed;
}

static enum neap_status map_file(const struct file *file, struct neap_region *region, size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
    if (memory == MAP_FAILED)
        return complain_of_system(file, "cannot be mapped");
    find_tables(region, memory, bytes);
    return NEAP_OK;
}

static enum neap_status make_or_join(const struct file *file, struct neap_region *region,
                                     size_t bytes)
{
    struct neap_region_title title;
    enum neap_status status = read_title(file, &title);
    if (status == NEAP_OK)
        return map_file(file, region, (size_t)title.bytes);
    if (status != NEAP_NOT_FOUND)
        return status;
    status = make_file(file, bytes);
    if (status == NEAP_OK)
        status = map_file(file, region, bytes);
    if (status == NEAP_OK)
        status = fill_header(file, region->header);
    if (status == NEAP_OK)
        region->seed = region->header->seed;
    return status;
}

enum neap_status neap_region_map(struct neap_region *region, size_t bytes,
                                 char message[NEAP_MESSAGE_BYTES])
{
    struct file file = {.name = region->name, .message = message};
    enum neap_status status = open_file(&file);
    if (status != NEAP_OK)
        return status;
    status = check_owner(&file);
    if (status == NEAP_OK)
        status = lock_file(&file);
    if (status == NEAP_OK) {
        status = make_or_join(&file, region, bytes);
        /* A child forked meanwhile by another thread has the descriptor too: closing is not enough.
         */
        (void)flock(file.fd, LOCK_UN);
    }
    close(file.fd);
    return status;
}

void neap_region_unmap(struct neap_region *region)
{
    if (region->header)
        (void)munmap(region->header, region->bytes);
    region->header = NULL;
}
