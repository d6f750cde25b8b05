#include "store/sqlite_fixture.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "support/failing_alloc.h"

static void expect_refused(const char *at, const char *words)
{
    struct neap_store *before = store;
    assert_int_equal(open_at(at, 0), NEAP_STORE_UNAVAILABLE);
    if (!strstr(message, words))
        fail_msg("wanted <%s>: %s", words, message);
    assert_ptr_equal(store, before);
}

static void a_path_that_cannot_be_used_is_refused_at_once(void **state)
{
    (void)state;
    static char too_long[6000];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[0] = too_long[5000] = '/';
    expect_refused("", "it has no name");
    expect_refused("/tmp/", "it has no name");
    expect_refused("/no/such/place/store.db", "No such file or directory");
    expect_refused("/etc/passwd/store.db", "Not a directory");
    expect_refused("/dev/null", "not a regular file");
    expect_refused(too_long, "File name too long");
}

static void opening_makes_no_file_and_the_first_step_does(void **state)
{
    (void)state;
    assert_int_equal(access(path, F_OK), -1);
    expect_usable("k");
    assert_int_equal(access(path, F_OK), 0);
}

static void the_path_may_be_relative_and_stays_what_it_was(void **state)
{
    (void)state;
    char before[512];
    neap_store_free(store);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(open_at("store.db", 0), NEAP_STORE_OK);
    assert_int_equal(chdir(before), 0);
    expect_usable("k");
    assert_int_equal(access(path, F_OK), 0);
}

static unsigned mode_of(const char *ending)
{
    char name[80];
    struct stat file;
    (void)snprintf(name, sizeof name, "%s%s", path, ending);
    assert_int_equal(stat(name, &file), 0);
    return file.st_mode & 07777;
}

static void only_the_owner_can_read_the_files(void **state)
{
    (void)state;
    mode_t before = umask(0);
    expect_usable("k");
    (void)umask(before);
    assert_int_equal(mode_of(""), 0600);
    assert_int_equal(mode_of("-wal"), 0600);
    assert_int_equal(mode_of("-shm"), 0600);
}

static void a_file_that_is_there_keeps_its_mode_and_so_have_those_beside_it(void **state)
{
    (void)state;
    assert_int_equal(close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
    assert_int_equal(chmod(path, 0640), 0);
    expect_usable("k");
    assert_int_equal(mode_of(""), 0640);
    assert_int_equal(mode_of("-wal"), 0640);
    assert_int_equal(mode_of("-shm"), 0640);
}

static void a_file_that_anybody_may_write_is_refused(void **state)
{
    (void)state;
    assert_int_equal(close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
    assert_int_equal(chmod(path, 0602), 0);
    expect_unavailable("may be written by anybody");
    assert_int_equal(mode_of(""), 0602);
    assert_int_equal(chmod(path, 0600), 0);
    expect_usable("k");
}

static void nothing_is_made_where_a_link_leads(void **state)
{
    (void)state;
    char target[80];
    (void)snprintf(target, sizeof target, "%s/elsewhere", folder);
    assert_int_equal(symlink(target, path), 0);
    expect_unavailable("cannot be made");
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(unlink(path), 0);
}

static void a_special_name_is_only_a_name(void **state)
{
    (void)state;
    char name[80];
    neap_store_free(store);
    (void)snprintf(name, sizeof name, "%s/file:x?mode=memory", folder);
    assert_int_equal(open_at(name, 0), NEAP_STORE_OK);
    expect_usable("k");
    assert_int_equal(access(name, F_OK), 0);
}

static void write_file(const char *text, size_t bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static void garbage_is_said_to_be_garbage(void **state)
{
    (void)state;
    char garbage[8192];
    memset(garbage, 'g', sizeof garbage);
    write_file(garbage, sizeof garbage);
    expect_unavailable("not an SQLite database");
    assert_int_equal(unlink(path), 0);
    expect_usable("k");
}

static void a_damaged_file_is_said_to_be_damaged(void **state)
{
    (void)state;
    char page[4096];
    expect_usable("k");
    neap_store_free(store);
    assert_int_equal(open_at(path, 0), NEAP_STORE_OK);
    memset(page, 'g', sizeof page);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    for (off_t at = 4096; at < 40 * 4096; at += 4096)
        assert_int_equal(pwrite(fd, page, sizeof page, at), sizeof page);
    close(fd);
    expect_unavailable("damaged");
}

static void another_version_is_left_alone(void **state)
{
    (void)state;
    expect_usable("k");
    run_sql("PRAGMA user_version = 7");
    neap_store_free(store);
    assert_int_equal(open_at(path, 0), NEAP_STORE_OK);
    expect_unavailable("is of version 7, this neap knows version 1");
    run_sql("PRAGMA user_version = 1");
    expect_usable("other");
}

static void another_programs_file_is_left_alone(void **state)
{
    (void)state;
    run_sql("CREATE TABLE theirs (x); PRAGMA user_version = 0");
    expect_unavailable("belongs to another program");
    run_sql("INSERT INTO theirs VALUES (1)");
}

/* To root nothing is forbidden, so a child gives its rights away first. */
static int fail_as_nobody(void)
{
    struct neap_claim claim;
    CHECK(geteuid() != 0 || setuid(65534) == 0);
    CHECK(claim_in(store, "k", 'a', &claim) == NEAP_STORE_UNAVAILABLE);
    CHECK(strstr(neap_store_message(store), "read-only") ||
          strstr(neap_store_message(store), "cannot be opened") ||
          strstr(neap_store_message(store), "Permission denied"));
    return 0;
}

static void a_file_that_may_not_be_written_is_said_to_be_so(void **state)
{
    (void)state;
    expect_usable("k");
    neap_store_free(store);
    assert_int_equal(open_at(path, 0), NEAP_STORE_OK);
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(chmod(path, 0444), 0);
    expect_well(start_child(fail_as_nobody));
    assert_int_equal(chmod(folder, 0700), 0);
}

static void a_folder_that_may_not_be_written_is_said_to_be_so(void **state)
{
    (void)state;
    assert_int_equal(chmod(folder, 0555), 0);
    expect_well(start_child(fail_as_nobody));
    assert_int_equal(chmod(folder, 0700), 0);
}

static enum neap_store_status put_much(char fill)
{
    static char big[1024 * 1024];
    memset(big, fill, sizeof big);
    return neap_store_put(store, (struct neap_bytes){&fill, 1},
                          (struct neap_bytes){big, sizeof big}, NOW, NOW + 100);
}

/* Puts until it does not go any more; what was acknowledged before is still there. */
static void expect_full_and_whole(const char *words)
{
    struct neap_blob value;
    enum neap_store_status status = NEAP_STORE_OK;
    char fill = 'a';
    while (fill <= 'z' && (status = put_much(fill)) == NEAP_STORE_OK)
        fill++;
    assert_int_equal(status, NEAP_STORE_UNAVAILABLE);
    if (!strstr(neap_store_message(store), words))
        fail_msg("wanted <%s>: %s", words, neap_store_message(store));
    assert_true(fill > 'a');
    for (char at = 'a'; at < fill; at++) {
        status = neap_store_get(store, (struct neap_bytes){&at, 1}, NOW, &value);
        if (status != NEAP_STORE_OK)
            fail_msg("%c: status %d: %s", at, status, neap_store_message(store));
        assert_int_equal(value.at[value.bytes - 1], at);
        neap_blob_free(&value);
    }
    assert_int_equal(neap_store_get(store, (struct neap_bytes){&fill, 1}, NOW, &value),
                     NEAP_STORE_NONE);
}

static void a_full_disk_is_said_to_be_full(void **state)
{
    (void)state;
    neap_store_free(store);
    store = NULL;
    if (mount("tmpfs", folder, "tmpfs", 0, "size=8m") != 0) {
        (void)fprintf(stderr, "[check] SKIP a full disk: only root can mount one\n");
        skip();
    }
    assert_int_equal(open_at(path, 0), NEAP_STORE_OK);
    expect_full_and_whole("is full");
    neap_store_free(store);
    store = NULL;
    assert_int_equal(umount2(folder, MNT_DETACH), 0);
}

static int fill_to_the_limit(void)
{
    const struct rlimit limit = {4 * 1024 * 1024, 4 * 1024 * 1024};
    enum neap_store_status status = NEAP_STORE_OK;
    struct neap_blob value;
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    for (char fill = 'a'; fill <= 'z' && status == NEAP_STORE_OK; fill++)
        status = put_much(fill);
    CHECK(status == NEAP_STORE_UNAVAILABLE);
    CHECK(strstr(neap_store_message(store), "SQLite file") != NULL);
    CHECK(neap_store_get(store, bytes_of("a"), NOW, &value) == NEAP_STORE_OK);
    neap_blob_free(&value);
    return 0;
}

static void a_file_that_may_grow_no_more_is_unavailable(void **state)
{
    (void)state;
    expect_well(start_child(fill_to_the_limit));
}

static void who_waits_too_long_for_a_lock_is_told(void **state)
{
    (void)state;
    sqlite3 *other = NULL;
    expect_usable("k");
    neap_store_free(store);
    assert_int_equal(open_at(path, 20 * NEAP_MS), NEAP_STORE_OK);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    expect_unavailable("locked by another process");
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    expect_usable("other");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static void a_file_that_was_replaced_is_opened_anew(void **state)
{
    (void)state;
    char name[80];
    expect_usable("k");
    assert_int_equal(finish_in(store, "k", 'a', "result"), NEAP_STORE_OK);
    expect_done("k", "result");
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, endings[i]);
        assert_int_equal(unlink(name), 0);
    }
    expect_usable("k");
    assert_int_equal(access(path, F_OK), 0);
}

static void without_memory_opening_leaves_nothing(void **state)
{
    (void)state;
    struct failing_alloc memory;
    const struct neap_sqlite_settings settings = {.path = path};
    neap_store_free(store);
    store = NULL;
    failing_alloc_init(&memory);
    for (size_t n = 1; n <= 2; n++) {
        failing_alloc_fail(&memory, n);
        assert_int_equal(neap_store_open_sqlite(&memory.alloc, &settings, &store, message),
                         NEAP_STORE_NO_MEMORY);
        assert_null(store);
        failing_alloc_assert_all_freed(&memory);
    }
}

static void rows_that_are_no_rows_of_ours_are_damage(void **state)
{
    (void)state;
    expect_usable("k");
    run_sql("UPDATE claim SET token = x'00'");
    expect_unavailable("damaged");
}

/* What SQLite remembers of the tables lets the statement be prepared once more, and then never. */
static void a_table_that_is_gone_is_told_by_each_step(void **state)
{
    (void)state;
    uint64_t id;
    expect_usable("k");
    run_sql("DROP TABLE outbox");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            neap_store_outbox_put(store, bytes_of("o"), bytes_of(""), bytes_of("value"), NOW, &id),
            NEAP_STORE_UNAVAILABLE);
        assert_non_null(strstr(neap_store_message(store), "SQLite failed"));
    }
    expect_usable("other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_path_that_cannot_be_used_is_refused_at_once),
        SPEC(opening_makes_no_file_and_the_first_step_does),
        SPEC(the_path_may_be_relative_and_stays_what_it_was),
        SPEC(only_the_owner_can_read_the_files),
        SPEC(a_file_that_is_there_keeps_its_mode_and_so_have_those_beside_it),
        SPEC(a_file_that_anybody_may_write_is_refused),
        SPEC(nothing_is_made_where_a_link_leads),
        SPEC(a_special_name_is_only_a_name),
        SPEC(garbage_is_said_to_be_garbage),
        SPEC(a_damaged_file_is_said_to_be_damaged),
        SPEC(another_version_is_left_alone),
        SPEC(another_programs_file_is_left_alone),
        SPEC(a_file_that_may_not_be_written_is_said_to_be_so),
        SPEC(a_folder_that_may_not_be_written_is_said_to_be_so),
        SPEC(a_full_disk_is_said_to_be_full),
        SPEC(a_file_that_may_grow_no_more_is_unavailable),
        SPEC(who_waits_too_long_for_a_lock_is_told),
        SPEC(a_file_that_was_replaced_is_opened_anew),
        SPEC(without_memory_opening_leaves_nothing),
        SPEC(rows_that_are_no_rows_of_ours_are_damage),
        SPEC(a_table_that_is_gone_is_told_by_each_step),
    };
    return cmocka_run_group_tests_name("sqlite_file", tests, NULL, NULL);
}
