/* SPDX-License-Identifier: Apache-2.0
 * Looking after the content library: holds and claims, walks, validation, quarantine. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/hex.h"
#include "content/blob_care.h"
#include "tests/unit/content/fixture.h"

/* Stored and held, as an upload leaves it before its row is written. */
static void put_held(const struct fixture *f, const char *text, uint8_t ret_digest[32])
{
    struct blob_writer *w;
    uint64_t size;

    assert_int_equal(blob_writer_open(f->store, BLOB_SIZE_UNKNOWN, &w, NULL), CP_OK);
    assert_int_equal(blob_writer_add(w, text, strlen(text), NULL), CP_OK);
    assert_int_equal(blob_writer_commit(w, ret_digest, &size, NULL), CP_OK);
}

static void put(const struct fixture *f, const char *text, uint8_t ret_digest[32])
{
    put_held(f, text, ret_digest);
    blob_release(f->store, ret_digest);
}

static void overwrite(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

/* ---- holds and claims ---- */

struct claimer {
    struct blob_store *store;
    const uint8_t *digest;
    bool hold;
    atomic_bool has;
};

static void *take(void *arg)
{
    struct claimer *c = arg;
    enum cp_err rc = c->hold ? blob_hold(c->store, c->digest) : blob_claim(c->store, c->digest);

    atomic_store(&c->has, rc == CP_OK);
    return NULL;
}

/* Starts somebody who must wait; what he waits for ends; he has it then. */
static void waits_until(struct claimer *c, void (*end)(struct blob_store *, const uint8_t *))
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, take, c), 0);
    (void)usleep(20000); /* long enough to go wrong in; it cannot fail by being too short */
    assert_false(atomic_load(&c->has));
    end(c->store, c->digest);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(atomic_load(&c->has));
}

static void a_claim_waits_for_every_holder(void **state)
{
    const struct fixture *f = *state;
    uint8_t digest[32];
    uint8_t other[32];
    struct claimer claimer = {.store = f->store, .digest = digest};

    put_held(f, "one", digest);
    assert_int_equal(blob_hold(f->store, digest), CP_OK);
    put_held(f, "two", other); /* another blob is nobody's matter */
    blob_release(f->store, digest);
    waits_until(&claimer, blob_release);
    blob_unclaim(f->store, digest);
    assert_int_equal(blob_claim(f->store, digest), CP_OK); /* nobody is left */
    blob_unclaim(f->store, digest);
    blob_release(f->store, other);
}

static void a_hold_waits_for_the_claim(void **state)
{
    const struct fixture *f = *state;
    const uint8_t digest[32] = {1};
    const uint8_t other[32] = {2};
    struct claimer holder = {.store = f->store, .digest = digest, .hold = true};

    assert_int_equal(blob_claim(f->store, digest), CP_OK);
    assert_int_equal(blob_claim(f->store, other), CP_OK);
    waits_until(&holder, blob_unclaim);
    blob_release(f->store, digest);
    assert_int_equal(blob_claim(f->store, digest), CP_OK);
    blob_unclaim(f->store, digest);
    blob_unclaim(f->store, other);
}

/* ---- walks ---- */

struct seen {
    unsigned count;
    uint64_t bytes, disk;
    uint8_t last[32];
};

static enum cp_err see(void *arg, const struct blob_found *found, struct cp_error *err)
{
    struct seen *s = arg;

    (void)err;
    s->count++;
    s->bytes += found->size;
    s->disk += found->disk_bytes;
    memcpy(s->last, found->digest, sizeof s->last);
    assert_true(found->changed_at > UINT64_C(1600000000000000000));
    return CP_OK;
}

static enum cp_err refuse(void *arg, const struct blob_found *found, struct cp_error *err)
{
    (void)arg;
    (void)found;
    return cp_error_set(err, CP_ERR_CANCELLED, "enough");
}

static void a_walk_shows_what_is_ours(void **state)
{
    const struct fixture *f = *state;
    struct seen s = {.count = 0};
    uint8_t digest[32];
    char path[FIXTURE_PATH_SIZE];
    struct blob_writer *w;
    uint64_t size, room;

    assert_int_equal(blob_store_walk(f->store, BLOB_IN_STORE, see, &s, NULL), CP_OK);
    assert_int_equal(s.count, 0);
    put(f, "some content", digest);
    fixture_path(f, digest, path);
    memcpy(strrchr(path, '/'), "/notes.txt", 11);
    overwrite(path, "not ours");
    memcpy(strrchr(path, '/'), "/.hidden", 9);
    overwrite(path, "not ours");
    assert_int_equal(blob_store_walk(f->store, BLOB_IN_STORE, see, &s, NULL), CP_OK);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.bytes, 12);
    assert_true(s.disk > 0);
    assert_memory_equal(s.last, digest, 32);
    assert_int_equal(blob_store_walk(f->store, BLOB_IN_STORE, refuse, NULL, NULL),
                     CP_ERR_CANCELLED);
    assert_int_equal(blob_writer_open(f->store, BLOB_SIZE_UNKNOWN, &w, NULL), CP_OK);
    assert_int_equal(blob_writer_add(w, "half", 4, NULL), CP_OK);
    s = (struct seen){.count = 0};
    assert_int_equal(blob_store_walk(f->store, BLOB_INCOMING, see, &s, NULL), CP_OK);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.bytes, 4);
    blob_writer_abort(w);
    assert_int_equal(blob_store_space(f->store, &size, &room, NULL), CP_OK);
    assert_true(size >= room && room > 0);
}

/* ---- validation ---- */

struct pacing {
    uint64_t bytes;
    enum cp_err answer;
};

static enum cp_err pace(void *arg, uint64_t bytes, struct cp_error *err)
{
    struct pacing *p = arg;

    p->bytes += bytes;
    return p->answer == CP_OK ? CP_OK : cp_error_set(err, p->answer, "stop");
}

static enum blob_condition verify(const struct fixture *f, const uint8_t *digest, uint64_t size,
                                  int *ret_fd)
{
    struct pacing p = {.answer = CP_OK};
    struct blob_check check = {.digest = digest, .size = size, .pace = pace, .arg = &p};
    enum blob_condition found;

    assert_int_equal(blob_verify(f->store, &check, &found, ret_fd, NULL), CP_OK);
    return found;
}

static void looks_like(const struct fixture *f, const uint8_t *digest, uint64_t size,
                       enum blob_condition expected)
{
    int fd;

    assert_int_equal(verify(f, digest, size, &fd), expected);
    assert_true(blob_is_still(f->store, digest, fd));
    if (fd >= 0) {
        assert_int_equal(close(fd), 0);
    }
}

static void every_damage_is_found(void **state)
{
    const struct fixture *f = *state;
    uint8_t digest[32];
    char path[FIXTURE_PATH_SIZE];

    put(f, "good bytes", digest);
    fixture_path(f, digest, path);
    looks_like(f, digest, 10, BLOB_GOOD);
    overwrite(path, "good byteS");
    looks_like(f, digest, 10, BLOB_DAMAGED);
    overwrite(path, "good");
    looks_like(f, digest, 10, BLOB_SIZE_DIFFERS);
    assert_int_equal(unlink(path), 0);
    looks_like(f, digest, 10, BLOB_MISSING);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    looks_like(f, digest, 10, BLOB_DAMAGED);
    put(f, "good bytes", digest);
    looks_like(f, digest, 10, BLOB_GOOD);
}

/* ---- what the disk says ---- */

static int read_errno;    /* of the next readings */
static int read_failures; /* how many fail */

/* The linker puts these in the place of the system's (CMakeLists.txt). */
ssize_t __real_pread64(int fd, void *buffer, size_t size, off_t at);
ssize_t __wrap_pread64(int fd, void *buffer, size_t size, off_t at);

ssize_t __wrap_pread64(int fd, void *buffer, size_t size, off_t at)
{
    if (read_failures > 0) {
        read_failures--;
        errno = read_errno;
        return -1;
    }
    return __real_pread64(fd, buffer, size, at);
}

static void what_passes_is_no_damage(void **state)
{
    const struct fixture *f = *state;
    struct pacing p = {.answer = CP_OK};
    enum blob_condition found = BLOB_MISSING;
    uint8_t digest[32];
    struct blob_check check = {.digest = digest, .size = 10, .pace = pace, .arg = &p};
    struct cp_error err;
    int fd;

    put(f, "good bytes", digest);
    read_errno = EIO;
    read_failures = 1;
    looks_like(f, digest, 10, BLOB_GOOD);
    read_failures = 2; /* it stays so */
    looks_like(f, digest, 10, BLOB_DAMAGED);
    assert_int_equal(read_failures, 0);
    read_errno = EINTR;
    read_failures = 5;
    looks_like(f, digest, 10, BLOB_GOOD);
    read_errno = ENOMEM; /* says nothing about the disk */
    read_failures = 1;
    assert_int_equal(blob_verify(f->store, &check, &found, &fd, &err), CP_ERR_STORAGE);
    assert_int_equal(found, BLOB_MISSING); /* untouched */
    looks_like(f, digest, 10, BLOB_GOOD);
}

static void the_pace_is_asked_for_every_byte(void **state)
{
    const struct fixture *f = *state;
    struct pacing p = {.answer = CP_OK};
    enum blob_condition found;
    uint8_t digest[32];
    struct blob_check check = {.digest = digest, .size = 3, .pace = pace, .arg = &p};
    struct cp_error err;
    int fd;

    put(f, "abc", digest);
    assert_int_equal(blob_verify(f->store, &check, &found, &fd, NULL), CP_OK);
    assert_int_equal(p.bytes, 3);
    assert_int_equal(close(fd), 0);
    p.answer = CP_ERR_INTERRUPTED;
    assert_int_equal(blob_verify(f->store, &check, &found, &fd, &err), CP_ERR_INTERRUPTED);
}

/* ---- quarantine ---- */

static void what_is_damaged_is_set_aside(void **state)
{
    const struct fixture *f = *state;
    struct seen s = {.count = 0};
    uint8_t digest[32];
    char path[FIXTURE_PATH_SIZE];
    bool moved = false;
    int fd;

    put(f, "good bytes", digest);
    fixture_path(f, digest, path);
    overwrite(path, "bad bytes!");
    assert_int_equal(verify(f, digest, 10, &fd), BLOB_DAMAGED);
    assert_false(blob_quarantined(f->store, digest));
    assert_int_equal(blob_quarantine(f->store, digest, fd, &moved, NULL), CP_OK);
    assert_true(moved);
    assert_true(blob_quarantined(f->store, digest));
    assert_false(blob_exists(f->store, digest, BLOB_SIZE_UNKNOWN));
    assert_int_equal(blob_store_walk(f->store, BLOB_IN_QUARANTINE, see, &s, NULL), CP_OK);
    assert_int_equal(s.count, 1);
    assert_memory_equal(s.last, digest, 32);
    assert_int_equal(blob_quarantine(f->store, digest, fd, &moved, NULL), CP_OK);
    assert_false(moved); /* it is not there any more */
    assert_int_equal(close(fd), 0);
    assert_int_equal(blob_quarantine_remove(f->store, digest, NULL), CP_OK);
    assert_int_equal(blob_quarantine_remove(f->store, digest, NULL), CP_OK);
    assert_false(blob_quarantined(f->store, digest));
}

static void what_was_stored_anew_is_left_alone(void **state)
{
    const struct fixture *f = *state;
    uint8_t digest[32];
    char path[FIXTURE_PATH_SIZE];
    bool moved = true;
    int fd;

    put(f, "good bytes", digest);
    fixture_path(f, digest, path);
    overwrite(path, "bad bytes!");
    assert_int_equal(verify(f, digest, 10, &fd), BLOB_DAMAGED);
    put(f, "good bytes", digest);
    assert_false(blob_is_still(f->store, digest, fd));
    assert_int_equal(blob_quarantine(f->store, digest, fd, &moved, NULL), CP_OK);
    assert_false(moved);
    assert_int_equal(close(fd), 0);
    looks_like(f, digest, 10, BLOB_GOOD);
    assert_false(blob_is_still(f->store, digest, -1)); /* it was missing, and came */
}

/* ---- whose library it is, and what nobody knows ---- */

static void identity_is(const struct fixture *f, const char *expected)
{
    char found[BLOB_IDENTITY_SIZE] = "untouched";

    assert_int_equal(blob_identity_get(f->store, found, NULL), CP_OK);
    assert_string_equal(found, expected);
}

static void the_identity_is_kept_whole(void **state)
{
    static const char first[] = "01234567-89ab-4cde-8f01-23456789abcd";
    static const char second[] = "11111111-2222-4333-8444-555555555555";
    static const char *const damaged[] = {"", "\n", "0123", "01234567-89AB-4cde-8f01-23456789abcd",
                                          "01234567-89ab-4cde-8f01-23456789abcd0"};
    struct fixture *f = *state;
    char path[FIXTURE_PATH_SIZE];
    struct stat st;

    identity_is(f, "");
    assert_int_equal(blob_identity_set(f->store, first, NULL), CP_OK);
    identity_is(f, first);
    assert_int_equal(blob_identity_set(f->store, second, NULL), CP_OK);
    blob_store_close(f->store);
    assert_int_equal(blob_store_open(f->root, &f->store, NULL), CP_OK);
    identity_is(f, second);
    (void)snprintf(path, sizeof path, "%s/identity", f->root);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, BLOB_IDENTITY_SIZE);
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        overwrite(path, damaged[i]);
        identity_is(f, "?");
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(blob_identity_get(f->store, path, NULL), CP_ERR_STORAGE);
    assert_int_equal(blob_identity_set(f->store, first, NULL), CP_ERR_STORAGE);
}

static enum cp_err see_mark(void *arg, const struct blob_found *found, struct cp_error *err)
{
    (void)err;
    *(bool *)arg = found->stray;
    return CP_OK;
}

static bool is_marked(const struct fixture *f)
{
    bool marked = false;

    assert_int_equal(blob_store_walk(f->store, BLOB_IN_STORE, see_mark, &marked, NULL), CP_OK);
    return marked;
}

static void a_mark_goes_with_the_file(void **state)
{
    const struct fixture *f = *state;
    char name[CONTENT_DIGEST_TEXT_SIZE];
    uint8_t digest[32];
    uint64_t stored;

    put(f, "bytes", digest);
    cp_hex_encode(digest, sizeof digest, name);
    stored = blob_changed_at(f->store, digest);
    assert_true(stored > 0);
    assert_false(is_marked(f));
    assert_int_equal(blob_stray_mark(f->store, BLOB_IN_STORE, name, true, NULL), CP_OK);
    assert_true(is_marked(f));
    assert_true(blob_changed_at(f->store, digest) >= stored);
    assert_true(blob_exists(f->store, digest, 5));
    assert_int_equal(blob_stray_mark(f->store, BLOB_IN_STORE, name, false, NULL), CP_OK);
    assert_false(is_marked(f));
    assert_int_equal(blob_stray_mark(f->store, BLOB_IN_STORE, name, true, NULL), CP_OK);
    put(f, "bytes", digest); /* a new file */
    assert_false(is_marked(f));

    assert_int_equal(blob_remove(f->store, digest, NULL), CP_OK);
    assert_int_equal(blob_changed_at(f->store, digest), 0);
    assert_int_equal(blob_stray_mark(f->store, BLOB_IN_STORE, name, true, NULL), CP_OK);
    assert_int_equal(blob_stray_mark(f->store, BLOB_IN_QUARANTINE, name, true, NULL), CP_OK);
    assert_int_equal(blob_stray_mark(f->store, BLOB_INCOMING, "01-23", true, NULL), CP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_claim_waits_for_every_holder, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(a_hold_waits_for_the_claim, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_walk_shows_what_is_ours, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(every_damage_is_found, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(what_passes_is_no_damage, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(the_pace_is_asked_for_every_byte, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(what_is_damaged_is_set_aside, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(the_identity_is_kept_whole, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_mark_goes_with_the_file, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(what_was_stored_anew_is_left_alone, fixture_open,
                                        fixture_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
