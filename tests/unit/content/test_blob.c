/* SPDX-License-Identifier: Apache-2.0
 * Tests of content/blob: visibility, death in the middle, doubles, healing, the lock. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/content/fixture.h"

static void put(const struct fixture *f, const char *text, uint8_t digest[CONTENT_DIGEST_SIZE])
{
    struct blob_writer *w;
    uint64_t size = 0;

    assert_int_equal(blob_writer_open(f->store, strlen(text), &w, NULL), CP_OK);
    assert_int_equal(blob_writer_add(w, text, 1, NULL), CP_OK);
    assert_int_equal(blob_writer_add(w, text + 1, strlen(text) - 1, NULL), CP_OK);
    assert_int_equal(blob_writer_commit(w, digest, &size, NULL), CP_OK);
    assert_int_equal(size, strlen(text));
}

static void assert_content(const struct fixture *f, const uint8_t *digest, const char *text)
{
    char found[128] = "";
    uint64_t size = 0;
    int fd;

    assert_int_equal(blob_open(f->store, digest, &fd, &size, NULL), CP_OK);
    assert_int_equal(size, strlen(text));
    assert_int_equal(read(fd, found, sizeof found - 1), (ssize_t)strlen(text));
    assert_string_equal(found, text);
    (void)close(fd);
}

static void written_blob_is_there(void **state)
{
    const struct fixture *f = *state;
    uint8_t digest[CONTENT_DIGEST_SIZE], expected[CONTENT_DIGEST_SIZE];
    char path[FIXTURE_PATH_SIZE];
    struct stat st;

    put(f, "hello world", digest);
    assert_int_equal(content_sha256("hello world", 11, expected), CP_OK);
    assert_memory_equal(digest, expected, sizeof digest);
    assert_content(f, digest, "hello world");
    assert_true(blob_exists(f->store, digest, 11));
    assert_true(blob_exists(f->store, digest, BLOB_SIZE_UNKNOWN));
    assert_false(blob_exists(f->store, digest, 12));
    assert_int_equal(fixture_files(f, "incoming"), 0);
    fixture_path(f, digest, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(f->root, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void removed_blob_is_gone(void **state)
{
    const struct fixture *f = *state;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    struct cp_error err;
    uint64_t size;
    int fd;

    put(f, "short life", digest);
    assert_int_equal(blob_remove(f->store, digest, NULL), CP_OK);
    assert_int_equal(blob_remove(f->store, digest, NULL), CP_OK); /* again is fine */
    assert_false(blob_exists(f->store, digest, BLOB_SIZE_UNKNOWN));
    assert_int_equal(blob_open(f->store, digest, &fd, &size, &err), CP_ERR_BLOB_MISSING);
    memset(digest, 0x5a, sizeof digest); /* not even its folder */
    assert_int_equal(blob_open(f->store, digest, &fd, &size, &err), CP_ERR_BLOB_MISSING);
    assert_int_equal(blob_remove(f->store, digest, NULL), CP_OK);
}

static void unfinished_blob_is_invisible(void **state)
{
    const struct fixture *f = *state;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    struct blob_writer *w;

    assert_int_equal(content_sha256("abc", 3, digest), CP_OK);
    assert_int_equal(blob_writer_open(f->store, BLOB_SIZE_UNKNOWN, &w, NULL), CP_OK);
    assert_int_equal(blob_writer_add(w, "abc", 3, NULL), CP_OK);
    assert_false(blob_exists(f->store, digest, BLOB_SIZE_UNKNOWN));
    assert_int_equal(fixture_files(f, "incoming"), 1);
    blob_writer_abort(w);
    blob_writer_abort(NULL);
    assert_int_equal(fixture_files(f, "."), 0);
}

static void same_bytes_are_kept_once(void **state)
{
    const struct fixture *f = *state;
    uint8_t a[CONTENT_DIGEST_SIZE], b[CONTENT_DIGEST_SIZE];

    put(f, "twice", a);
    put(f, "twice", b);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(fixture_files(f, "."), 1);
    assert_content(f, a, "twice");
}

static void damaged_blob_is_healed(void **state)
{
    const struct fixture *f = *state;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char path[FIXTURE_PATH_SIZE];
    int fd;

    put(f, "precious", digest);
    fixture_path(f, digest, path);
    assert_int_equal(truncate(path, 3), 0);
    put(f, "precious", digest);
    assert_content(f, digest, "precious");
    fd = open(path, O_WRONLY | O_CLOEXEC); /* same size, other bytes */
    assert_int_equal(write(fd, "PRE", 3), 3);
    (void)close(fd);
    put(f, "precious", digest);
    assert_content(f, digest, "precious");
}

/* A process that is killed while it writes, and one that is killed at any point: the next owner
 * finds either nothing or the whole blob, and no leftovers. */
static void killed_writer_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    int ready[2];
    char byte;
    pid_t child;
    int status;

    blob_store_close(f->store);
    f->store = NULL;
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        struct blob_store *s;
        struct blob_writer *w;

        if (blob_store_open(f->root, &s, NULL) != CP_OK ||
            blob_writer_open(s, BLOB_SIZE_UNKNOWN, &w, NULL) != CP_OK ||
            blob_writer_add(w, "half of it", 10, NULL) != CP_OK || write(ready[1], "x", 1) != 1) {
            _exit(1);
        }
        (void)pause();
        _exit(2);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    (void)close(ready[0]);
    (void)close(ready[1]);
    assert_int_equal(fixture_files(f, "incoming"), 1);
    assert_int_equal(fixture_files(f, "sha256"), 0);
    assert_int_equal(blob_store_open(f->root, &f->store, NULL), CP_OK);
    assert_int_equal(fixture_files(f, "."), 0);
    put(f, "half of it", digest);
    assert_content(f, digest, "half of it");
}

static void second_owner_is_refused(void **state)
{
    const struct fixture *f = *state;
    struct blob_store *other;
    struct cp_error err;

    assert_int_equal(blob_store_open(f->root, &other, &err), CP_ERR_STORAGE);
    assert_non_null(strstr(err.text, "another process"));
    assert_non_null(strstr(err.text, f->root));
}

static void lack_of_room_is_told_at_once(void **state)
{
    const struct fixture *f = *state;
    struct blob_writer *w;
    struct cp_error err;
    uint64_t room = 0;

    assert_int_equal(blob_store_free_space(f->store, &room, NULL), CP_OK);
    assert_true(room > 0);
    assert_int_equal(blob_writer_open(f->store, (uint64_t)1 << 62, &w, &err), CP_ERR_STORAGE_FULL);
    assert_int_equal(fixture_files(f, "."), 0);
}

static void links_are_not_followed(void **state)
{
    const struct fixture *f = *state;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char path[FIXTURE_PATH_SIZE];
    uint64_t size;
    int fd;

    put(f, "real", digest);
    fixture_path(f, digest, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(blob_open(f->store, digest, &fd, &size, NULL), CP_ERR_STORAGE);
    put(f, "real", digest); /* heals that too */
    assert_content(f, digest, "real");
}

static void unusable_root_is_refused(void **state)
{
    struct blob_store *s;
    struct cp_error err;

    (void)state;
    assert_int_equal(blob_store_open("/proc/no/such", &s, &err), CP_ERR_STORAGE);
    assert_non_null(strstr(err.text, "/proc/no/such"));
    assert_int_equal(blob_store_open("/dev/null", &s, &err), CP_ERR_STORAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(written_blob_is_there, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(removed_blob_is_gone, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(unfinished_blob_is_invisible, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(same_bytes_are_kept_once, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(damaged_blob_is_healed, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(killed_writer_leaves_nothing, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(second_owner_is_refused, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(lack_of_room_is_told_at_once, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(links_are_not_followed, fixture_open, fixture_close),
        cmocka_unit_test(unusable_root_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
