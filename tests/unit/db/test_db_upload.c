/* SPDX-License-Identifier: Apache-2.0
 * Uploads in the tables: what they remember, when they expire, what room they leave; run through
 * tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <stdio.h>
#include <string.h>

#include "db/blob.h"
#include "db/upload.h"

#define DIGEST "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define NOBODY "00000000-0000-4000-8000-000000000000"

static struct db_upload begin(struct fixture *f, const char *version_id, const char *path,
                              uint64_t size)
{
    struct db_upload in = {.mode = 0640, .size = size, .condition = {.match = "*"}};
    struct db_upload out;

    (void)snprintf(in.node_id, sizeof in.node_id, "%s", f->node.id);
    (void)snprintf(in.version_id, sizeof in.version_id, "%s", version_id);
    (void)snprintf(in.path, sizeof in.path, "%s", path);
    (void)snprintf(in.announced, sizeof in.announced, "%s", DIGEST);
    (void)snprintf(in.metadata, sizeof in.metadata, "path YQ==");
    (void)snprintf(in.account, sizeof in.account, "anna");
    OK(f, db_upload_create(f->conn, &in, &out, &f->err));
    return out;
}

static void test_an_upload_grows_and_ends(void **state)
{
    struct fixture *f = *state;
    struct db_version v;
    struct db_upload u;

    v = fixture_draft(f, "grows");
    (void)fixture_begin(f);
    u = begin(f, v.id, "a.bin", UINT64_C(6) << 30);
    assert_string_equal(u.package, "grows");
    assert_int_equal(u.version, 1);
    assert_true(u.draft);
    assert_string_equal(u.condition.match, "*");
    assert_string_equal(u.condition.none_match, "");
    assert_int_equal(u.mode, 0640);
    assert_string_equal(u.announced, DIGEST);
    assert_string_equal(u.metadata, "path YQ==");
    assert_int_equal(u.reserve, 1 << 30);
    assert_int_equal(u.received, 0);
    OK(f, db_upload_advance(f->conn, u.id, UINT64_C(4294967297), &u, &f->err));
    assert_int_equal(u.received, UINT64_C(4294967297));
    REFUSED(f, CP_ERR_INVALID,
            db_upload_advance(f->conn, u.id, (UINT64_C(6) << 30) + 1, &u, &f->err));
    OK(f, db_upload_complete(f->conn, u.id, DIGEST, &u, &f->err));
    assert_int_equal(u.received, UINT64_C(6) << 30);
    assert_int_equal(u.finished_at, 0);
    /* what has its digest takes no more bytes */
    assert_int_equal(db_upload_advance(f->conn, u.id, 1, &u, &f->err), CP_ERR_NOT_FOUND);
    OK(f, db_upload_finish(f->conn, u.id, &u, &f->err));
    assert_true(u.finished_at > 0);
    OK(f, db_upload_delete(f->conn, u.id, &f->err));
    assert_int_equal(db_upload_delete(f->conn, u.id, &f->err), CP_ERR_NOT_FOUND);
    assert_int_equal(db_upload_get(f->conn, f->node.id, u.id, &u, &f->err), CP_ERR_NOT_FOUND);
    assert_int_equal(db_upload_get(f->conn, f->node.id, "no id", &u, &f->err), CP_ERR_NOT_FOUND);
    fixture_commit(f);
}

static void test_it_ends_with_its_draft(void **state)
{
    struct fixture *f = *state;
    struct db_version v;
    struct db_upload u;
    bool exists = true;

    v = fixture_draft(f, "short");
    (void)fixture_begin(f);
    u = begin(f, v.id, "a.bin", 10);
    OK(f, db_upload_exists(f->conn, u.id, &exists, &f->err));
    assert_true(exists);
    assert_int_equal(db_upload_get(f->conn, NOBODY, u.id, &u, &f->err), CP_ERR_NOT_FOUND);
    OK(f, db_version_delete(f->conn, v.id, DB_REVISION_ANY, &f->err));
    OK(f, db_upload_exists(f->conn, u.id, &exists, &f->err));
    assert_false(exists);
    fixture_commit(f);
}

static void test_expired_ones_are_found(void **state)
{
    struct fixture *f = *state;
    struct db_upload_list which = {.after = 0};
    struct db_upload items[4];
    struct db_version v;
    struct db_upload u;
    size_t count = 9;

    v = fixture_draft(f, "expires");
    (void)fixture_begin(f);
    u = begin(f, v.id, "old.bin", 10);
    (void)begin(f, v.id, "young.bin", 10);
    OK(f, db_upload_expired(f->conn, f->node.id, 4, items, &count, &f->err));
    assert_int_equal(count, 0);
    fixture_sql(f, "UPDATE uploads SET expires_at = now() WHERE path = 'old.bin'");
    OK(f, db_upload_expired(f->conn, f->node.id, 4, items, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(items[0].path, "old.bin");
    assert_int_equal(db_upload_get(f->conn, f->node.id, u.id, &u, &f->err), CP_ERR_NOT_FOUND);
    which.version_id = v.id;
    OK(f, db_upload_list(f->conn, &which, 4, items, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(items[0].path, "young.bin");
    which = (struct db_upload_list){.after = items[0].number};
    OK(f, db_upload_list(f->conn, &which, 4, items, &count, &f->err));
    assert_int_equal(count, 0);
    fixture_commit(f);
}

static void test_what_came_back_to_life_stays(void **state)
{
    struct fixture *f = *state;
    bool deleted = true;
    bool exists = false;
    struct db_version v;
    struct db_upload u;

    v = fixture_draft(f, "revives");
    (void)fixture_begin(f);
    u = begin(f, v.id, "a.bin", 10);
    fixture_sql(f, "UPDATE uploads SET expires_at = now()");
    OK(f, db_upload_advance(f->conn, u.id, 5, &u, &f->err)); /* a piece came */
    OK(f, db_upload_expire(f->conn, u.id, &deleted, &f->err));
    assert_false(deleted);
    OK(f, db_upload_exists(f->conn, u.id, &exists, &f->err));
    assert_true(exists);
    fixture_sql(f, "UPDATE uploads SET expires_at = now()");
    OK(f, db_upload_expire(f->conn, u.id, &deleted, &f->err));
    assert_true(deleted);
    OK(f, db_upload_expire(f->conn, u.id, &deleted, &f->err));
    assert_false(deleted);
    fixture_commit(f);
}

static void test_room_counts_what_is_promised(void **state)
{
    struct fixture *f = *state;
    struct db_upload_room room;
    struct db_version v;
    struct db_upload u;

    v = fixture_draft(f, "room");
    fixture_put(f, v.id, "stored.bin", 1000);
    (void)fixture_begin(f);
    u = begin(f, v.id, "a.bin", 500);
    OK(f, db_upload_advance(f->conn, u.id, 200, &u, &f->err));
    (void)begin(f, v.id, "b.bin", 50);
    OK(f, db_upload_room(f->conn, f->node.id, &room, &f->err));
    assert_int_equal(room.quota, 0);
    assert_int_equal(room.stored, 0); /* nobody asks */
    assert_int_equal(room.promised, 550);
    assert_int_equal(room.left, 350);
    fixture_sql(f, "UPDATE settings SET library_quota_bytes = 5000");
    OK(f, db_upload_complete(f->conn, u.id, DIGEST, &u, &f->err));
    OK(f, db_upload_finish(f->conn, u.id, &u, &f->err));
    OK(f, db_upload_room(f->conn, f->node.id, &room, &f->err));
    assert_int_equal(room.quota, 5000);
    assert_true(room.stored >= 1000);
    assert_int_equal(room.promised, 50); /* the one that ended is counted by its blob */
    assert_int_equal(room.left, 50);
    assert_int_equal(db_upload_room(f->conn, NOBODY, &room, &f->err), CP_ERR_NOT_FOUND);
    fixture_commit(f);
}

/* What the quota is held against is what there is, whatever way blobs came and went. */
static void test_the_total_does_not_drift(void **state)
{
    static const char stored[] = "SELECT sum(bytes)::bigint FROM library_totals";
    static const char counted[] = "SELECT coalesce(sum(size), 0)::bigint FROM blobs";
    struct fixture *f = *state;
    struct db_blob_total total;
    struct db_version v;
    uint8_t digits = 0;

    v = fixture_draft(f, "totals");
    for (int i = 0; i < 40; i++) {
        char path[16];

        (void)snprintf(path, sizeof path, "%d.bin", i);
        fixture_put(f, v.id, path, 1000 + (uint64_t)i);
        fixture_put(f, v.id, path, 1000 + (uint64_t)i); /* again: there already */
    }
    assert_int_equal(fixture_number(f, counted), 40 * 1000 + 780);
    assert_int_equal(fixture_number(f, stored), 40 * 1000 + 780);
    fixture_sql(f, "DELETE FROM files WHERE size < 1020");
    fixture_sql(f, "DELETE FROM blobs WHERE reference_count = 0");
    assert_int_equal(fixture_number(f, counted), 20 * 1000 + 590);
    assert_int_equal(fixture_number(f, stored), 20 * 1000 + 590);
    fixture_sql(f,
                "INSERT INTO blobs (sha256, size) SELECT encode(sha256(n::text::bytea), 'hex'), n"
                " FROM generate_series(1, 200) n"); /* in all parts at once */
    assert_int_equal(fixture_number(f, stored), 20 * 1000 + 590 + 20100);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM library_totals WHERE bytes > 0"), 16);
    fixture_sql(f, "DELETE FROM blobs WHERE size <= 200");
    /* and if it does, it is corrected */
    fixture_sql(f, "UPDATE library_totals SET bytes = 5 WHERE part = '7'");
    (void)fixture_begin(f);
    for (const char *digit = "0123456789abcdef"; *digit != '\0'; digit++) {
        OK(f, db_blob_total(f->conn, *digit, &total, &f->err));
        assert_int_equal(total.right, *digit != '7');
        digits++;
    }
    assert_int_equal(digits, 16);
    OK(f, db_blob_total(f->conn, '7', &total, &f->err));
    assert_true(total.right);
    fixture_commit(f);
    assert_int_equal(fixture_number(f, stored), 20 * 1000 + 590);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_upload_grows_and_ends, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_it_ends_with_its_draft, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_expired_ones_are_found, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_what_came_back_to_life_stays, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_room_counts_what_is_promised, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_the_total_does_not_drift, fixture_open, fixture_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
