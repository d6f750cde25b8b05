#include "shared/region_fixture.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* The user and the group of nobody in particular. */
#define STRANGER 12345

static int open_file(void)
{
    int fd = shm_open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    return fd;
}

static struct stat file_status(void)
{
    struct stat status;
    int fd = open_file();
    assert_int_equal(fstat(fd, &status), 0);
    close(fd);
    return status;
}

static void write_file(const void *bytes, size_t count, off_t at)
{
    int fd = open_file();
    assert_int_equal(pwrite(fd, bytes, count, at), (ssize_t)count);
    close(fd);
}

static void read_title(struct neap_region_title *title)
{
    int fd = open_file();
    assert_int_equal(pread(fd, title, sizeof *title, 0), (ssize_t)sizeof *title);
    close(fd);
}

static void assert_refused(const char *expected)
{
    struct neap_region *none = NULL;
    assert_int_equal(neap_region_open(&memory.alloc, name, SMALL, &none, message), NEAP_SYSTEM);
    assert_null(none);
    assert_string_equal(message, expected);
}

/* "… NAME …" with the region's name. */
static const char *text(const char *format)
{
    static char made[2 * NEAP_MESSAGE_BYTES];
    const char *at = strstr(format, "NAME");
    (void)snprintf(made, sizeof made, "%.*s%s%s", (int)(at - format), format, name,
                   at + strlen("NAME"));
    return made;
}

static void assert_works(void)
{
    region = join(SMALL);
    assert_non_null(pin(1));
}

/* ---- whose it is ---- */

static void a_region_is_its_users_alone(void **state)
{
    (void)state;
    mode_t before = umask(0);
    begin();
    (void)umask(before);
    assert_int_equal(file_status().st_mode, S_IFREG | 0600);
    assert_int_equal(file_status().st_uid, geteuid());
    assert_int_equal(file_status().st_size, SMALL);
}

static void one_that_others_may_use_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0601, 0602, 0604, 0610, 0620, 0640};
    neap_region_release(join(SMALL));
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        char expected[NEAP_MESSAGE_BYTES];
        int fd = open_file();
        assert_int_equal(fchmod(fd, modes[i]), 0);
        close(fd);
        (void)snprintf(expected, sizeof expected,
                       "the shared region \"%s\" is open to other users (mode %04o)", name,
                       (unsigned)modes[i]);
        assert_refused(expected);
    }
}

/* Only root can give a file away; another user finds none to be refused. */
static void one_of_another_user_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    neap_region_release(join(SMALL));
    int fd = open_file();
    assert_int_equal(fchown(fd, STRANGER, STRANGER), 0);
    close(fd);
    assert_refused(text("the shared region \"NAME\" belongs to another user"));
}

static void ones_that_may_not_be_opened_are_refused_alike(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    neap_region_release(join(SMALL));
    assert_int_equal(seteuid(STRANGER), 0);
    assert_refused(text("the shared region \"NAME\" belongs to another user"));
    assert_int_equal(seteuid(0), 0);
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    char from[sizeof path + 16], to[sizeof path + 16];
    struct neap_region *none = NULL;
    (void)snprintf(from, sizeof from, "/dev/shm%s", path);
    (void)snprintf(to, sizeof to, "/dev/shm%s-other", path);
    assert_int_equal(symlink(to, from), 0);
    assert_int_equal(neap_region_open(&memory.alloc, name, SMALL, &none, message), NEAP_SYSTEM);
    assert_non_null(strstr(message, "cannot be opened"));
    assert_int_equal(access(to, F_OK), -1);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    char as[sizeof path + 16];
    (void)snprintf(as, sizeof as, "/dev/shm%s", path);
    assert_int_equal(mkfifo(as, 0600), 0);
    assert_refused(text("the shared region \"NAME\" is no regular file"));
}

static void no_descriptor_stays_open(void **state)
{
    (void)state;
    int before = dup(0);
    begin();
    int after = dup(0);
    assert_int_equal(after, before + 1);
    close(before);
    close(after);
}

/* ---- joining ---- */

static void joining_keeps_the_size(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(16 * SMALL);
    struct neap_region_stats seen;
    neap_region_read(other, &seen);
    assert_int_equal(seen.bytes, SMALL);
    assert_int_equal(file_status().st_size, SMALL);
    neap_region_release(other);
}

static void garbage_is_no_region(void **state)
{
    (void)state;
    static char garbage[2 * SMALL];
    memset(garbage, 'x', sizeof garbage);
    write_file(garbage, 1, 0);
    assert_refused(text("/dev/shm/neap-NAME is no region of neap"));
    write_file(garbage, sizeof garbage, 0);
    assert_refused(text("/dev/shm/neap-NAME is no region of neap"));
    assert_int_equal(file_status().st_size, sizeof garbage);
    memset(garbage, 0, sizeof garbage);
    write_file(garbage, sizeof garbage, 0);
    assert_refused(text("/dev/shm/neap-NAME is no region of neap"));
}

static void another_layout_is_refused(void **state)
{
    (void)state;
    struct neap_region_title title;
    neap_region_release(join(SMALL));
    read_title(&title);
    title.layout++;
    write_file(&title, sizeof title, 0);
    assert_refused(text("/dev/shm/neap-NAME was made by another version of neap (layout 8, this "
                        "one is 7): end its processes and remove it"));
}

static void another_build_is_refused(void **state)
{
    (void)state;
    struct neap_region_title title;
    neap_region_release(join(SMALL));
    read_title(&title);
    title.make++;
    write_file(&title, sizeof title, 0);
    assert_refused(text("/dev/shm/neap-NAME was made by another build of neap: end its processes "
                        "and remove it"));
}

static void a_size_that_the_file_does_not_have_is_refused(void **state)
{
    (void)state;
    static const off_t sizes[] = {SMALL - 1, SMALL + 1, SMALL / 2, 2 * SMALL, 64, 32};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        neap_region_release(join(SMALL));
        int fd = open_file();
        assert_int_equal(ftruncate(fd, sizes[i]), 0);
        close(fd);
        if (sizes[i] >= (off_t)sizeof(struct neap_region_title))
            assert_refused(text("/dev/shm/neap-NAME is damaged: end its processes and remove it"));
        else
            assert_refused(text("/dev/shm/neap-NAME is no region of neap"));
        assert_int_equal(shm_unlink(path), 0);
    }
}

/* A file as small as it claims. */
static void a_size_out_of_range_is_refused(void **state)
{
    (void)state;
    struct neap_region_title title;
    neap_region_release(join(SMALL));
    read_title(&title);
    title.bytes = SMALL - 1;
    write_file(&title, sizeof title, 0);
    int fd = open_file();
    assert_int_equal(ftruncate(fd, SMALL - 1), 0);
    close(fd);
    assert_refused(text("/dev/shm/neap-NAME is damaged: end its processes and remove it"));
}

/* ---- making ---- */

static void an_empty_file_is_made_a_region(void **state)
{
    (void)state;
    close(open_file());
    assert_works();
    assert_int_equal(file_status().st_size, SMALL);
}

static void what_was_left_half_made_is_made_anew(void **state)
{
    (void)state;
    static char garbage[SMALL / 2];
    struct neap_region_title title;
    memset(garbage, 'x', sizeof garbage);
    neap_region_release(join(2 * SMALL));
    read_title(&title);
    atomic_store(&title.ready, 0);
    title.layout = 99;
    write_file(&title, sizeof title, 0);
    write_file(garbage, sizeof garbage, sizeof title);
    assert_works();
    assert_int_equal(file_status().st_size, SMALL);
    assert_int_equal(stats().cells, 1);
}

static void hold_the_lock(void)
{
    int fd = open_file();
    if (flock(fd, LOCK_EX) != 0)
        _exit(1);
    say(1);
}

static void a_maker_who_was_killed_holds_up_nobody(void **state)
{
    (void)state;
    pid_t child = start_child(hold_the_lock);
    assert_int_equal(hear(), 1);
    kill_child(child);
    assert_works();
    (void)wait_for(child);
}

static void join_and_count(void)
{
    struct neap_region *own = join(SMALL);
    for (int i = 0; i < 1000; i++) {
        struct counter *counter = pin_in(own, 1);
        if (!counter)
            _exit(1);
        atomic_fetch_add(&counter->value, 1);
        neap_region_unpin(own, counter, now);
    }
    _exit(0);
}

static void those_who_come_at_once_make_one_region(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        pid_t child[4];
        for (int i = 0; i < 4; i++) {
            child[i] = fork();
            if (child[i] == 0)
                join_and_count();
        }
        for (int i = 0; i < 4; i++) {
            int status;
            assert_int_equal(waitpid(child[i], &status, 0), child[i]);
            assert_int_equal(status, 0);
        }
        struct neap_region *own = join(SMALL);
        assert_int_equal(atomic_load(&find_in(own, 1)->value), 4000);
        neap_region_release(own);
        assert_int_equal(shm_unlink(path), 0);
    }
}

static void where_memory_is_lacking_it_is_said_at_once(void **state)
{
    (void)state;
    struct rlimit before, low;
    struct neap_region *none = NULL;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    low = before;
    low.rlim_cur = SMALL / 2;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_int_equal(neap_region_open(&memory.alloc, name, SMALL, &none, message), NEAP_SYSTEM);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_non_null(strstr(message, "cannot be made"));
    assert_works();
}

/* A machine that has as much is not tried. */
static void a_region_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct neap_region *none = NULL;
    struct statvfs room;
    assert_int_equal(statvfs("/dev/shm", &room), 0);
    if (room.f_blocks == 0 || room.f_blocks * room.f_frsize >= NEAP_REGION_BYTES_MAX)
        skip();
    assert_int_equal(
        neap_region_open(&memory.alloc, name, (size_t)NEAP_REGION_BYTES_MAX, &none, message),
        NEAP_SYSTEM);
    assert_non_null(strstr(message, "does not fit into /dev/shm"));
    assert_int_equal(file_status().st_size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_region_is_its_users_alone),
        SPEC(one_that_others_may_use_is_refused),
        SPEC(one_of_another_user_is_refused),
        SPEC(ones_that_may_not_be_opened_are_refused_alike),
        SPEC(a_link_is_not_followed),
        SPEC(what_is_no_file_is_refused),
        SPEC(no_descriptor_stays_open),
        SPEC(joining_keeps_the_size),
        SPEC(garbage_is_no_region),
        SPEC(another_layout_is_refused),
        SPEC(another_build_is_refused),
        SPEC(a_size_that_the_file_does_not_have_is_refused),
        SPEC(a_size_out_of_range_is_refused),
        SPEC(an_empty_file_is_made_a_region),
        SPEC(what_was_left_half_made_is_made_anew),
        SPEC(a_maker_who_was_killed_holds_up_nobody),
        SPEC(those_who_come_at_once_make_one_region),
        SPEC(where_memory_is_lacking_it_is_said_at_once),
        SPEC(a_region_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests_name("region, its file", tests, NULL, NULL);
}
