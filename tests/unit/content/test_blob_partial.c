/* SPDX-License-Identifier: Apache-2.0
 * Tests of content/blob's uploads: pieces, death in the middle, holes, offsets beyond 32 bits, the
 * ledger of what was promised, the same bytes by several at once. */
#include <fcntl.h>
#include <pthread.h>
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

#include "common/hex.h"
#include "content/blob_care.h"
#include "tests/unit/content/fixture.h"

#define NAME "0f8fad5b-d9cb-469f-a165-70867728950e"
#define GIB  ((uint64_t)1 << 30)

static struct blob_partial *resume(const struct fixture *f, uint64_t offset)
{
    struct blob_partial *p = NULL;

    assert_int_equal(blob_partial_open(f->store, NAME, &p, NULL), CP_OK);
    assert_int_equal(blob_partial_resume(p, offset, NULL), CP_OK);
    return p;
}

static void add(struct blob_partial *p, const char *text)
{
    assert_int_equal(blob_partial_add(p, text, strlen(text), NULL), CP_OK);
}

static void partial_path(const struct fixture *f, char ret_path[160])
{
    (void)snprintf(ret_path, 160, "%s/partial/" NAME, f->root);
}

/* Syncs, makes it a blob and closes it; the content must be `text`. */
static void publish(const struct fixture *f, struct blob_partial *p, const char *text)
{
    uint8_t digest[CONTENT_DIGEST_SIZE], expected[CONTENT_DIGEST_SIZE];
    char path[160];
    char found[64] = "";
    struct stat st;
    uint64_t size;
    int fd;

    assert_int_equal(blob_partial_sync(p, NULL), CP_OK);
    assert_int_equal(blob_partial_digest(p, digest, NULL), CP_OK);
    assert_int_equal(content_sha256(text, strlen(text), expected), CP_OK);
    assert_memory_equal(digest, expected, sizeof digest);
    assert_int_equal(blob_partial_publish(p, digest, NULL), CP_OK);
    blob_release(f->store, digest);
    blob_partial_close(p);
    partial_path(f, path);
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(blob_open(f->store, digest, &fd, &size, NULL), CP_OK);
    assert_int_equal(size, strlen(text));
    assert_int_equal(read(fd, found, sizeof found - 1), (ssize_t)strlen(text));
    assert_string_equal(found, text);
    (void)close(fd);
}

/* ---- pieces ---- */

static void pieces_become_a_blob(void **state)
{
    const struct fixture *f = *state;
    struct blob_partial *p = resume(f, 0);

    add(p, "one ");
    assert_int_equal(blob_partial_sync(p, NULL), CP_OK);
    blob_partial_close(p);
    p = resume(f, 4); /* the hash was kept */
    add(p, "two ");
    assert_int_equal(blob_partial_size(p), 8);
    assert_int_equal(blob_partial_sync(p, NULL), CP_OK);
    blob_partial_close(p);
    p = resume(f, 8);
    add(p, "three");
    publish(f, p, "one two three");
}

static void what_lies_beyond_the_offset_is_cut_off(void **state)
{
    const struct fixture *f = *state;
    struct blob_partial *p = resume(f, 0);

    add(p, "kept, not kept");
    assert_int_equal(blob_partial_sync(p, NULL), CP_OK);
    blob_partial_close(p);
    p = resume(f, 4); /* the hash of more is of no use now */
    assert_int_equal(blob_partial_size(p), 4);
    add(p, " wrong");
    assert_int_equal(blob_partial_cut(p, 4, NULL), CP_OK);
    add(p, " too");
    publish(f, p, "kept too");
}

static void one_at_a_time(void **state)
{
    const struct fixture *f = *state;
    struct blob_partial *p = resume(f, 0);
    struct blob_partial *other = NULL;
    struct cp_error err;

    add(p, "x");
    assert_int_equal(blob_partial_open(f->store, NAME, &other, &err), CP_ERR_UPLOAD_LOCKED);
    blob_partial_close(p);
    assert_int_equal(blob_partial_open(f->store, NAME, &other, &err), CP_OK);
    assert_int_equal(blob_partial_remove(other, NULL), CP_OK);
    blob_partial_close(other);
    blob_partial_close(NULL);
}

static void a_lost_file_is_told(void **state)
{
    const struct fixture *f = *state;
    struct blob_partial *p = NULL;
    uint8_t digest[CONTENT_DIGEST_SIZE] = {1};
    char path[160];

    assert_int_equal(blob_partial_open(f->store, NAME, &p, NULL), CP_OK);
    assert_int_equal(blob_partial_resume(p, 1, NULL), CP_ERR_BLOB_MISSING);
    assert_int_equal(blob_partial_publish(p, digest, NULL), CP_ERR_BLOB_MISSING);
    assert_int_equal(blob_partial_remove(p, NULL), CP_OK); /* nothing there is fine */
    blob_partial_close(p);
    p = resume(f, 0);
    add(p, "four");
    blob_partial_close(p);
    partial_path(f, path);
    assert_int_equal(truncate(path, 3), 0);
    assert_int_equal(blob_partial_open(f->store, NAME, &p, NULL), CP_OK);
    assert_int_equal(blob_partial_resume(p, 4, NULL), CP_ERR_BLOB_MISSING);
    blob_partial_close(p);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(blob_partial_open(f->store, NAME, &p, NULL), CP_OK);
    assert_int_equal(blob_partial_resume(p, 0, NULL), CP_ERR_STORAGE); /* links are not followed */
    blob_partial_close(p);
}

static enum cp_err count_name(void *arg, const char *name, const struct blob_found *found,
                              struct cp_error *err)
{
    int *count = arg;

    (void)err;
    assert_string_equal(name, NAME);
    assert_true(found->size >= 7);
    assert_false(found->stray);
    (*count)++;
    return CP_OK;
}

/* A process that is killed in the middle: the next one goes on at what was synced. */
static void a_killed_process_loses_only_what_was_not_synced(void **state)
{
    struct fixture *f = *state;
    struct blob_partial *p;
    int ready[2];
    int count = 0;
    char byte;
    int status;
    pid_t child;

    blob_store_close(f->store);
    f->store = NULL;
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        struct blob_store *s;

        if (blob_store_open(f->root, &s, NULL) != CP_OK ||
            blob_partial_open(s, NAME, &p, NULL) != CP_OK ||
            blob_partial_resume(p, 0, NULL) != CP_OK ||
            blob_partial_add(p, "durable", 7, NULL) != CP_OK ||
            blob_partial_sync(p, NULL) != CP_OK ||
            blob_partial_add(p, " and more", 9, NULL) != CP_OK || write(ready[1], "x", 1) != 1) {
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
    assert_int_equal(blob_store_open(f->root, &f->store, NULL), CP_OK);
    assert_int_equal(blob_partial_each(f->store, count_name, &count, NULL), CP_OK);
    assert_int_equal(count, 1);
    p = resume(f, 7);
    add(p, ", then the rest"); /* the hash is of another process: the file is read again */
    publish(f, p, "durable, then the rest");
}

/* More uploads than hashes are kept of. */
static void forgotten_hashes_are_found_again(void **state)
{
    const struct fixture *f = *state;
    struct blob_partial *p;
    char name[64];

    p = resume(f, 0);
    add(p, "first");
    assert_int_equal(blob_partial_sync(p, NULL), CP_OK);
    blob_partial_close(p);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "%08x-d9cb-469f-a165-70867728950e", (unsigned)i);
        assert_int_equal(blob_partial_open(f->store, name, &p, NULL), CP_OK);
        assert_int_equal(blob_partial_resume(p, 0, NULL), CP_OK);
        add(p, "x");
        blob_partial_close(p);
    }
    p = resume(f, 5);
    add(p, " and last");
    publish(f, p, "first and last");
}

/* ---- holes and large offsets ---- */

static void zeros_become_holes(void **state)
{
    const struct fixture *f = *state;
    size_t size = (size_t)8 << 20;
    char *data = calloc(1, size);
    struct blob_partial *p = resume(f, 0);
    uint8_t digest[CONTENT_DIGEST_SIZE], expected[CONTENT_DIGEST_SIZE];
    char path[160];
    struct stat st;

    assert_non_null(data);
    memcpy(data + 5000, "something", 9);
    memset(data + size / 2 - 3, 'x', 7);
    assert_int_equal(content_sha256(data, size, expected), CP_OK);
    for (size_t at = 0; at < size; at += 10007) { /* pieces that no block ends with */
        assert_int_equal(
            blob_partial_add(p, data + at, size - at < 10007 ? size - at : 10007, NULL), CP_OK);
    }
    assert_int_equal(blob_partial_sync(p, NULL), CP_OK);
    blob_partial_close(p);
    partial_path(f, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, size);
    assert_true(st.st_blocks * 512 < 128 * 1024);
    blob_store_close(f->store); /* so that it is read again */
    assert_int_equal(blob_store_open(f->root, &((struct fixture *)*state)->store, NULL), CP_OK);
    p = resume(f, size);
    assert_int_equal(blob_partial_digest(p, digest, NULL), CP_OK);
    assert_memory_equal(digest, expected, sizeof digest);
    blob_partial_close(p);
    free(data);
}

static void byte_at(const char *path, uint64_t offset, char expected)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char found = 'x';

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &found, 1, (off_t)offset), 1);
    assert_int_equal(found, expected);
    (void)close(fd);
}

/* A file of 6 GiB, nearly all of it a hole, gone on with just below, at and above 4 GiB. */
static void offsets_beyond_32_bits(void **state)
{
    static const uint64_t offsets[] = {4 * GIB - 1, 4 * GIB, 4 * GIB + 1};
    const struct fixture *f = *state;
    struct blob_partial *p = resume(f, 0);
    char path[160];
    struct stat st;

    partial_path(f, path);
    blob_partial_close(p);
    assert_int_equal(truncate(path, (off_t)(4 * GIB - 1)), 0);
    for (size_t i = 0; i < 3; i++) {
        char piece[2] = {(char)('a' + i), (char)('A' + i)};

        p = resume(f, offsets[i]); /* the second byte of the piece before is cut off */
        assert_int_equal(blob_partial_add(p, piece, 2, NULL), CP_OK);
        assert_int_equal(blob_partial_size(p), offsets[i] + 2);
        assert_int_equal(blob_partial_sync(p, NULL), CP_OK);
        blob_partial_close(p);
        byte_at(path, offsets[i], piece[0]);
        byte_at(path, offsets[i] + 1, piece[1]);
    }
    assert_int_equal(truncate(path, (off_t)(6 * GIB - 1)), 0);
    p = resume(f, 6 * GIB - 1);
    assert_int_equal(blob_partial_add(p, "e", 1, NULL), CP_OK);
    assert_int_equal(blob_partial_sync(p, NULL), CP_OK);
    blob_partial_close(p);
    byte_at(path, 4 * GIB - 1, 'a');
    byte_at(path, 4 * GIB, 'b');
    byte_at(path, 4 * GIB + 2, 'C');
    byte_at(path, 6 * GIB - 1, 'e');
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 6 * GIB);
    assert_true(st.st_blocks * 512 < 1024 * 1024);
}

/* The digest of more than 4 GiB, read again as after a restart; by openssl's count of zeros. */
static void a_digest_of_more_than_4_gib(void **state)
{
    const struct fixture *f = *state;
    struct blob_partial *p = resume(f, 0);
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char path[160], blob[FIXTURE_PATH_SIZE], hex[CONTENT_DIGEST_TEXT_SIZE];
    struct stat st;

    partial_path(f, path);
    blob_partial_close(p);
    assert_int_equal(truncate(path, (off_t)(4 * GIB)), 0);
    p = resume(f, 4 * GIB);
    assert_int_equal(blob_partial_add(p, "\1", 1, NULL), CP_OK);
    assert_int_equal(blob_partial_sync(p, NULL), CP_OK);
    assert_int_equal(blob_partial_digest(p, digest, NULL), CP_OK);
    cp_hex_encode(digest, sizeof digest, hex);
    /* (head -c 4294967296 /dev/zero; printf '\1') | sha256sum */
    assert_string_equal(hex, "d6cba2fb80a815340cd82d98754730a8e86af2d14a136d3b20bbc1e13ece5c11");
    assert_int_equal(blob_partial_publish(p, digest, NULL), CP_OK);
    blob_release(f->store, digest);
    blob_partial_close(p);
    fixture_path(f, digest, blob);
    assert_int_equal(stat(blob, &st), 0);
    assert_int_equal(st.st_size, 4 * GIB + 1);
}

/* ---- the ledger ---- */

static void what_was_promised_is_counted(void **state)
{
    const struct fixture *f = *state;
    struct blob_writer *known, *unknown;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    struct blob_room room;
    uint64_t size;

    assert_int_equal(blob_store_room(f->store, &room, NULL), CP_OK);
    assert_true(room.free > 0);
    assert_int_equal(room.promised, 0);
    assert_int_equal(blob_writer_open(f->store, 1000, &known, NULL), CP_OK);
    assert_int_equal(blob_writer_open(f->store, BLOB_SIZE_UNKNOWN, &unknown, NULL), CP_OK);
    assert_int_equal(blob_writer_add(known, "0123456789", 10, NULL), CP_OK);
    assert_int_equal(blob_writer_add(unknown, "0123456789", 7, NULL), CP_OK);
    blob_store_promise(f->store, 50);
    assert_int_equal(blob_store_room(f->store, &room, NULL), CP_OK);
    assert_int_equal(room.promised, 1000 + 7 + 50);
    assert_int_equal(room.left, 990 + 50);
    blob_store_withdraw(f->store, 50);
    blob_writer_abort(known);
    assert_int_equal(blob_writer_commit(unknown, digest, &size, NULL), CP_OK);
    assert_int_equal(blob_store_room(f->store, &room, NULL), CP_OK);
    assert_int_equal(room.promised, 7); /* until the database counts it */
    assert_int_equal(room.left, 0);
    blob_store_settled(f->store, size);
    blob_release(f->store, digest);
    assert_int_equal(blob_store_room(f->store, &room, NULL), CP_OK);
    assert_int_equal(room.promised, 0);
}

/* ---- several at once ---- */

#define UPLOADERS 8

struct uploader {
    pthread_t thread;
    struct blob_store *store;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    bool good;
};

static void *upload_same(void *arg)
{
    struct uploader *u = arg;
    char piece[1000];
    struct blob_writer *w;
    uint64_t size = 0;

    memset(piece, 's', sizeof piece);
    u->good = blob_writer_open(u->store, 100 * sizeof piece, &w, NULL) == CP_OK;
    for (int i = 0; u->good && i < 100; i++) {
        u->good = blob_writer_add(w, piece, sizeof piece, NULL) == CP_OK;
    }
    u->good = u->good && blob_writer_commit(w, u->digest, &size, NULL) == CP_OK && size == 100000;
    if (u->good) {
        blob_store_settled(u->store, size);
        blob_release(u->store, u->digest);
    }
    return NULL;
}

static void the_same_bytes_at_once_are_one_blob(void **state)
{
    const struct fixture *f = *state;
    struct uploader uploaders[UPLOADERS];

    for (size_t i = 0; i < UPLOADERS; i++) {
        uploaders[i] = (struct uploader){.store = f->store};
        assert_int_equal(pthread_create(&uploaders[i].thread, NULL, upload_same, &uploaders[i]), 0);
    }
    for (size_t i = 0; i < UPLOADERS; i++) {
        assert_int_equal(pthread_join(uploaders[i].thread, NULL), 0);
        assert_true(uploaders[i].good);
        assert_memory_equal(uploaders[i].digest, uploaders[0].digest, CONTENT_DIGEST_SIZE);
    }
    assert_int_equal(fixture_files(f, ""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_become_a_blob, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(what_lies_beyond_the_offset_is_cut_off, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(one_at_a_time, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_lost_file_is_told, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_killed_process_loses_only_what_was_not_synced,
                                        fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(forgotten_hashes_are_found_again, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(zeros_become_holes, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(offsets_beyond_32_bits, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_digest_of_more_than_4_gib, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(what_was_promised_is_counted, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(the_same_bytes_at_once_are_one_blob, fixture_open,
                                        fixture_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
