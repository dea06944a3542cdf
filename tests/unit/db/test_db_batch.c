/* SPDX-License-Identifier: Apache-2.0
 * Many rows in one statement: run through tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/account.h"
#include "db/audit.h"
#include "db/batch.h"
#include "db/event.h"

/* What an array's text must not be mistaken for: its own signs, no value, nothing. */
static const char *const texts[] = {
    "plain", "",     "NULL",     "null",    "{}",  "{a,b}", "a,b",
    "\"",    "\\",   "\\\\\"\\", "a\"b\\c", " x ", "'; --", "\xc3\xbc \xe2\x80\x9c",
    "\t\n",  "%s$1",
};

struct echo {
    char text[DB_TEXT_SIZE];
    int64_t number;
    uint64_t large;
    bool truth, missing;
};
static const struct db_col echo_cols[] = {
    DB_COL_TEXT(echo, text),  DB_COL_INT(echo, number),   DB_COL_INT(echo, large),
    DB_COL_BOOL(echo, truth), DB_COL_BOOL(echo, missing),
};

/* Every kind of value comes back as it went, in its order. */
static void test_values(void **state)
{
    static const struct db_stmt echo_stmt = {
        "test_echo",
        "SELECT t, n, l, b, t IS NULL FROM unnest($1::text[], $2::bigint[],"
        " $3::bigint[], $4::boolean[]) WITH ORDINALITY AS r (t, n, l, b, i) ORDER BY i"};
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct echo got[DB_COUNT(texts) + 1];
    struct db_batch batch = {.width = 0};
    struct db_query query = {
        .stmt = &echo_stmt, .cols = echo_cols, .col_count = DB_COUNT(echo_cols)};
    size_t count = 0;
    struct db_rows rows = {got, sizeof got[0], DB_COUNT(got), &count};

    for (size_t i = 0; i < DB_COUNT(got); i++) {
        const char *text = i < DB_COUNT(texts) ? texts[i] : NULL;
        struct db_param row[] = {db_p_text(text), db_p_i64(-(int64_t)i), db_p_u64(INT64_MAX - i),
                                 db_p_bool(i % 2 == 1)};

        db_batch_add(&batch, row, DB_COUNT(row));
    }
    OK(f, db_batch_many(c, query, &batch, rows, &f->err));
    assert_int_equal(count, DB_COUNT(got));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(got[i].text, i < DB_COUNT(texts) ? texts[i] : "");
        assert_int_equal(got[i].number, -(int64_t)i);
        assert_true(got[i].large == (uint64_t)INT64_MAX - i);
        assert_int_equal(got[i].truth, i % 2 == 1);
        assert_int_equal(got[i].missing, i == DB_COUNT(texts));
    }
    assert_null(batch.columns[0].text); /* it has ended */
    fixture_commit(f);
}

/* ---- packages ---- */

#define MANY 5

static const char *const names[MANY] = {"e", "a", "d", "b", "c"};

static void make_many(struct fixture *f, struct db_conn *c, struct db_package rows[MANY])
{
    const struct db_package *items[MANY];

    for (size_t i = 0; i < MANY; i++) {
        rows[i] = (struct db_package){.policy = (enum db_policy)(i % 3),
                                      .encrypt = i % 2 == 0,
                                      .access = (enum db_access)(i % 3)};
        (void)snprintf(rows[i].name, sizeof rows[i].name, "%s", names[i]);
        (void)snprintf(rows[i].description, sizeof rows[i].description, "%s \"\\ {,}", names[i]);
        if (i > 0) {
            (void)snprintf(rows[i].labels, sizeof rows[i].labels, "{\"k\": \"\\\"%zu\\\\\"}", i);
        }
        items[i] = &rows[i];
    }
    OK(f, db_package_create_many(c, items, MANY, &f->err));
}

static void same(const struct db_package *a, const struct db_package *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->description, b->description);
    assert_int_equal(a->policy, b->policy);
    assert_int_equal(a->encrypt, b->encrypt);
    assert_int_equal(a->access, b->access);
    assert_string_equal(a->labels, b->labels[0] != '\0' ? b->labels : "{}");
}

/* The same as one by one. */
static void test_packages(void **state)
{
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_package *rows = calloc(3 * (size_t)MANY, sizeof *rows);
    struct db_package *got = &rows[MANY];
    struct db_package *one = &rows[2 * MANY];
    const struct db_package *items[2] = {&rows[0], &rows[3]};
    size_t count = 0;

    assert_non_null(rows);
    make_many(f, c, rows);
    REFUSED(f, CP_ERR_CONFLICT, db_package_create_many(c, items, 2, &f->err));
    OK(f, db_package_hold(c, names, MANY, &f->err));
    OK(f, db_package_named(c, names, MANY - 1, got, &count, &f->err));
    assert_int_equal(count, MANY - 1);
    assert_string_equal(got[0].name, "a"); /* in the order of names, without c */
    assert_string_equal(got[3].name, "e");
    same(&got[1], &rows[3]);
    same(&got[3], &rows[0]);

    for (size_t i = 0; i < MANY; i++) {
        OK(f, db_package_get(c, names[i], one, &f->err));
        rows[i].revision = one->revision;
    }
    rows[0].policy = DB_POLICY_REQUIRE;
    (void)snprintf(rows[3].labels, sizeof rows[3].labels, "{\"new\": \"\"}");
    OK(f, db_package_update_many(c, items, 2, &f->err));
    for (size_t i = 0; i < MANY; i++) {
        OK(f, db_package_get(c, names[i], one, &f->err));
        same(one, &rows[i]);
        assert_int_equal(one->revision, rows[i].revision + (i == 0 || i == 3));
    }
    (void)snprintf(rows[0].name, sizeof rows[0].name, "none");
    OK(f, db_package_update_many(c, items, 1, &f->err));
    OK(f,
       db_package_named(c, (const char *const[]){"none", "", "\"", "A"}, 4, got, &count, &f->err));
    assert_int_equal(count, 0);
    fixture_commit(f);
    free(rows);
}

/* Of those that are asked for: only what is sealed. */
static void test_sealed(void **state)
{
    struct fixture *f = *state;
    struct db_version sealed = fixture_sealed(f, "sealed");
    struct db_version draft = fixture_draft(f, "draft");
    struct db_package_version asked[] = {{.package = "sealed", .number = sealed.number},
                                         {.package = "draft", .number = draft.number},
                                         {.package = "sealed", .number = sealed.number + 1},
                                         {.package = "none", .number = 1}};
    struct db_package_version got[DB_COUNT(asked)];
    struct db_conn *c = fixture_begin(f);
    size_t count = 0;

    OK(f, db_package_sealed(c, asked, DB_COUNT(asked), got, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(got[0].package, "sealed");
    assert_int_equal(got[0].number, sealed.number);
    fixture_commit(f);
}

/* All or none; what is in use is named. */
static void test_delete(void **state)
{
    static const char *const gone[] = {"pkg-a", "pkg-b", "none"};
    struct fixture *f = *state;
    struct db_version a = fixture_sealed(f, "pkg-a");
    struct db_version b = fixture_sealed(f, "pkg-b");
    struct db_conn *c;
    struct db_session session;

    (void)a;
    c = fixture_begin(f);
    session = fixture_session(f, &b);
    OK(f, db_package_doom(c, gone, DB_COUNT(gone), &f->err));
    REFUSED(f, CP_ERR_CONFLICT, db_package_delete_many(c, gone, DB_COUNT(gone), &f->err));
    assert_non_null(strstr(f->err.text, "pkg-b"));
    assert_non_null(strstr(f->err.text, session.id));
    OK(f, db_package_delete_many(c, gone, 1, &f->err));
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM packages WHERE name LIKE 'pkg-_'"), 1);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM versions v JOIN packages p"
                                       " ON p.id = v.package_id WHERE p.name = 'pkg-a'"),
                     0);
    fixture_sql(f, "UPDATE sessions SET state = 'cancelled', ended_at = now()");
    OK(f, db_package_delete_many(c, gone, DB_COUNT(gone), &f->err));
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM packages WHERE name LIKE 'pkg-_'"), 0);
    fixture_commit(f);
}

/* ---- the others ---- */

static void test_accounts(void **state)
{
    static const char *const wanted[] = {"zoe", "none", "\"{", "adam"};
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_account got[DB_COUNT(wanted)];
    size_t count = 0;

    for (size_t i = 0; i < DB_COUNT(wanted); i += DB_COUNT(wanted) - 1) {
        struct db_account a = {.role = DB_ROLE_VIEWER, .enabled = true};

        (void)snprintf(a.name, sizeof a.name, "%s", wanted[i]);
        OK(f, db_account_create(c, &a, &got[0], &f->err));
    }
    OK(f, db_account_named(c, wanted, DB_COUNT(wanted), got, &count, &f->err));
    assert_int_equal(count, 2);
    assert_string_equal(got[0].name, "adam");
    assert_string_equal(got[1].name, "zoe");
    fixture_commit(f);
}

/* Numbered as they were given, whatever is in them. */
static void test_events_and_entries(void **state)
{
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_event events[DB_COUNT(texts)];
    struct db_audit entries[DB_COUNT(texts)];

    memset(events, 0, sizeof events);
    memset(entries, 0, sizeof entries);
    for (size_t i = 0; i < DB_COUNT(texts); i++) {
        (void)snprintf(events[i].kind, sizeof events[i].kind, "package-changed");
        (void)snprintf(events[i].subject, sizeof events[i].subject, "%s", texts[i]);
        if (i > 0) {
            (void)snprintf(events[i].detail, sizeof events[i].detail, "{\"n\": %zu}", i);
        }
        (void)snprintf(entries[i].authentication, sizeof entries[i].authentication, "token");
        (void)snprintf(entries[i].method, sizeof entries[i].method, "PUT");
        (void)snprintf(entries[i].path, sizeof entries[i].path, "/");
        (void)snprintf(entries[i].subject, sizeof entries[i].subject, "%s", texts[i]);
        entries[i].after = i > 0 ? events[i].detail : NULL;
    }
    OK(f, db_event_add_many(c, events, DB_COUNT(events), &f->err));
    OK(f, db_audit_add_many(c, entries, DB_COUNT(entries), &f->err));
    for (size_t i = 0; i < DB_COUNT(texts); i++) {
        char sql[512];

        (void)snprintf(
            sql, sizeof sql,
            "SELECT count(*) FROM (SELECT * FROM events ORDER BY id OFFSET %zu LIMIT 1) e"
            " CROSS JOIN (SELECT * FROM audit ORDER BY id OFFSET %zu LIMIT 1) a"
            " WHERE e.subject = a.subject AND octet_length(e.subject) = %zu"
            " AND coalesce((e.detail->>'n')::int, 0) = %zu"
            " AND (a.after IS NULL) = %s AND a.before IS NULL",
            i, i, strlen(texts[i]), i, i > 0 ? "false" : "true");
        assert_int_equal(fixture_number(f, sql), 1);
    }
    events[0].detail[0] = '{'; /* one that is wrong refuses all */
    REFUSED(f, CP_ERR_INVALID, db_event_add_many(c, events, DB_COUNT(events), &f->err));
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM events"), DB_COUNT(texts));
    fixture_commit(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_packages, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_sealed, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_delete, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_accounts, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_events_and_entries, fixture_open, fixture_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
