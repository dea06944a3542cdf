/* SPDX-License-Identifier: Apache-2.0
 * Accounts, tokens, keys, events: run through tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/account.h"
#include "db/event_json.h"
#include "db/key.h"
#include "db/token.h"

static struct db_account make(struct fixture *f, const char *name, enum db_role role)
{
    struct db_account a = {.role = role, .enabled = true, .password_hash = "scrypt$x"};
    struct db_account got = {.revision = 0};

    (void)snprintf(a.name, sizeof a.name, "%s", name);
    OK(f, db_account_create(f->conn, &a, &got, &f->err));
    return got;
}

static void test_accounts(void **state)
{
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_account ann, bob, got, list[3];
    uint64_t count64;
    size_t count;

    OK(f, db_account_count(c, &count64, &f->err));
    assert_int_equal(count64, 0);
    ann = make(f, "ann", DB_ROLE_ADMIN);
    bob = make(f, "bob@site", DB_ROLE_CONTENT);
    assert_int_equal(bob.role, DB_ROLE_CONTENT);
    assert_string_equal(bob.password_hash, "scrypt$x");
    REFUSED(f, CP_ERR_CONFLICT, db_account_create(c, &ann, &got, &f->err));
    got = ann;
    (void)snprintf(got.name, sizeof got.name, "Ann B");
    REFUSED(f, CP_ERR_INVALID, db_account_create(c, &got, &got, &f->err));
    OK(f, db_account_get(c, "ann", &got, &f->err));
    assert_string_equal(got.id, ann.id);
    OK(f, db_account_get(c, bob.id, &got, &f->err));
    assert_string_equal(got.name, "bob@site");
    REFUSED(f, CP_ERR_NOT_FOUND, db_account_get(c, "eve", &got, &f->err));
    OK(f, db_account_list(c, "", 3, list, &count, &f->err));
    assert_int_equal(count, 2);
    OK(f, db_account_list(c, "ann", 3, list, &count, &f->err));
    assert_int_equal(count, 1);
    OK(f, db_account_count(c, &count64, &f->err));
    assert_int_equal(count64, 2);

    bob.enabled = false;
    bob.role = DB_ROLE_VIEWER;
    OK(f, db_account_update(c, &bob, &got, &f->err));
    assert_int_equal(got.revision, bob.revision + 1);
    assert_false(got.enabled);
    REFUSED(f, CP_ERR_PRECONDITION_FAILED, db_account_update(c, &bob, &got, &f->err));

    /* The last administrator stays one. */
    got = ann;
    got.role = DB_ROLE_OPERATOR;
    REFUSED(f, CP_ERR_CONFLICT, db_account_update(c, &got, &got, &f->err));
    got = ann;
    got.enabled = false;
    REFUSED(f, CP_ERR_CONFLICT, db_account_update(c, &got, &got, &f->err));
    REFUSED(f, CP_ERR_CONFLICT, db_account_delete(c, ann.id, DB_REVISION_ANY, &f->err));
    (void)make(f, "ada", DB_ROLE_ADMIN);
    REFUSED(f, CP_ERR_PRECONDITION_FAILED, db_account_delete(c, ann.id, 5, &f->err));
    OK(f, db_account_delete(c, ann.id, ann.revision, &f->err));
    REFUSED(f, CP_ERR_NOT_FOUND, db_account_delete(c, ann.id, ann.revision, &f->err));
    fixture_commit(f);
}

struct removal {
    struct fixture *f;
    char id[DB_ID_SIZE];
    enum cp_err rc;
};

static enum cp_err remove_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const struct removal *r = arg;

    return db_account_delete(conn, r->id, DB_REVISION_ANY, err);
}

static void *remove_thread(void *arg)
{
    struct removal *r = arg;

    r->rc = db_run_tx(r->f->pool, "remove", remove_body, r, NULL);
    return NULL;
}

/* Two administrators remove each other at the same moment: one is left. */
static void test_admins_remove_each_other(void **state)
{
    struct fixture *f = *state;

    for (int round = 0; round < 5; round++) {
        struct removal a = {.f = f}, b = {.f = f};
        pthread_t ta, tb;

        (void)fixture_begin(f);
        memcpy(a.id, make(f, "ann", DB_ROLE_ADMIN).id, DB_ID_SIZE);
        memcpy(b.id, make(f, "bob", DB_ROLE_ADMIN).id, DB_ID_SIZE);
        fixture_commit(f);
        assert_int_equal(pthread_create(&ta, NULL, remove_thread, &a), 0);
        assert_int_equal(pthread_create(&tb, NULL, remove_thread, &b), 0);
        assert_int_equal(pthread_join(ta, NULL), 0);
        assert_int_equal(pthread_join(tb, NULL), 0);
        assert_true((a.rc == CP_OK) != (b.rc == CP_OK));
        assert_true(a.rc == CP_ERR_CONFLICT || b.rc == CP_ERR_CONFLICT);
        fixture_sql(f, "DELETE FROM accounts");
    }
}

static void test_tokens(void **state)
{
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_account ann = make(f, "ann", DB_ROLE_ADMIN);
    struct db_token in = {.name = "ci", .scope = DB_ROLE_OPERATOR};
    struct db_token t, got;
    uint8_t hash[DB_HASH_SIZE] = {1};
    uint64_t now;

    memcpy(in.account_id, ann.id, DB_ID_SIZE);
    OK(f, db_token_create(c, &in, hash, &t, &f->err));
    assert_string_equal(t.account, "ann");
    assert_int_equal(t.scope, DB_ROLE_OPERATOR);
    assert_int_equal(t.account_role, DB_ROLE_ADMIN);
    assert_true(t.enabled && t.account_enabled);
    assert_false(t.expired);
    assert_int_equal(t.last_used_at, 0);
    OK(f, db_token_touch(c, t.id, &f->err));
    OK(f, db_token_find(c, hash, &got, &f->err));
    assert_string_equal(got.id, t.id);
    assert_true(got.last_used_at > 0);
    hash[0] = 2;
    REFUSED(f, CP_ERR_NOT_FOUND, db_token_find(c, hash, &got, &f->err));
    OK(f, db_now(c, &now, &f->err));
    in.expires_at = now - 1000000000;
    OK(f, db_token_create(c, &in, hash, &got, &f->err));
    assert_true(got.expired);
    assert_int_equal(got.expires_at / 1000, in.expires_at / 1000);
    REFUSED(f, CP_ERR_NOT_FOUND, db_token_get(c, ann.id, &got, &f->err));
    OK(f, db_token_delete(c, t.id, &f->err));
    REFUSED(f, CP_ERR_NOT_FOUND, db_token_delete(c, t.id, &f->err));
    memcpy(in.account_id, f->node.id, DB_ID_SIZE);
    hash[0] = 3;
    REFUSED(f, CP_ERR_NOT_FOUND, db_token_create(c, &in, hash, &got, &f->err));
    /* Tokens go with their account. */
    (void)make(f, "bob", DB_ROLE_ADMIN);
    OK(f, db_account_delete(c, ann.id, DB_REVISION_ANY, &f->err));
    fixture_commit(f);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM tokens"), 0);
}

static void test_token_lists(void **state)
{
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_account ann = make(f, "ann", DB_ROLE_ADMIN);
    struct db_token in = {.name = "ci", .scope = DB_ROLE_OPERATOR};
    struct db_token_list which = {.account_id = ann.id, .upto = DB_ROLE_ADMIN, .after = ""};
    struct db_token t, list[2];
    char after[DB_ID_SIZE];
    size_t count;

    memcpy(in.account_id, ann.id, DB_ID_SIZE);
    OK(f, db_token_create(c, &in, (const uint8_t[DB_HASH_SIZE]){1}, &t, &f->err));
    OK(f, db_token_create(c, &in, (const uint8_t[DB_HASH_SIZE]){2}, &t, &f->err));
    OK(f, db_token_list(c, &which, 2, list, &count, &f->err));
    assert_int_equal(count, 2);
    memcpy(after, list[0].id, sizeof after);
    which.after = after;
    OK(f, db_token_list(c, &which, 2, list, &count, &f->err));
    assert_int_equal(count, 1);
    which.after = "";
    which.upto = (enum db_role)(list[0].scope - 1);
    OK(f, db_token_list(c, &which, 2, list, &count, &f->err));
    assert_int_equal(count, 0);
    which.account_id = NULL;
    OK(f, db_token_list(c, &which, 2, list, &count, &f->err));
    assert_int_equal(count, 0);
    which.upto++;
    OK(f, db_token_list(c, &which, 2, list, &count, &f->err));
    assert_int_equal(count, 2);
    fixture_commit(f);
}

/* An account may be deleted while receivers remember it. */
static void test_account_of_receivers(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    uint8_t hash[DB_HASH_SIZE];
    struct db_receiver_new in = fixture_join_new(f, &v, NULL, "c1", hash);
    struct db_account ann;
    struct db_receiver r;
    bool again;

    (void)fixture_begin(f);
    ann = make(f, "ann", DB_ROLE_CONTENT);
    in.account_id = ann.id;
    OK(f, db_receiver_join(f->conn, &in, &r, &again, &f->err));
    assert_string_equal(r.account, "ann");
    assert_string_equal(r.account_id, ann.id);
    OK(f, db_account_delete(f->conn, ann.id, DB_REVISION_ANY, &f->err));
    OK(f, db_receiver_get(f->conn, r.id, &r, &f->err));
    assert_string_equal(r.account_id, "");
    assert_string_equal(r.account, "ann");
    fixture_commit(f);
}

static void test_keys(void **state)
{
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_key key = {.kind = DB_KEY_MULTICAST,
                         .public_key_size = 32,
                         .private_sealed_size = 61,
                         .certificate = "a.b.c"};
    struct db_key got, list[3];
    char id[DB_ID_SIZE], second[DB_ID_SIZE];
    size_t count;

    memcpy(key.node_id, f->node.id, DB_ID_SIZE);
    memset(key.fingerprint, 'a', 64);
    REFUSED(f, CP_ERR_NOT_FOUND, db_key_active(c, f->node.id, DB_KEY_MULTICAST, &got, &f->err));
    OK(f, db_key_insert(c, &key, id, &f->err));
    REFUSED(f, CP_ERR_CONFLICT, db_key_insert(c, &key, second, &f->err));
    REFUSED(f, CP_ERR_NOT_FOUND, db_key_active(c, f->node.id, DB_KEY_MULTICAST, &got, &f->err));
    OK(f, db_key_move(c, &(struct db_key_move){id, DB_KEY_PENDING, DB_KEY_ACTIVE, "", 0, false},
                      &f->err));
    OK(f, db_key_active(c, f->node.id, DB_KEY_MULTICAST, &got, &f->err));
    assert_string_equal(got.id, id);
    assert_int_equal(got.state, DB_KEY_ACTIVE);
    assert_int_equal(got.private_sealed_size, 61);
    assert_string_equal(got.check_result, "ok");
    OK(f, db_key_touch(c, id, &f->err));
    OK(f, db_key_checked(c, id, "damaged", &f->err));
    OK(f,
       db_key_move(
           c, &(struct db_key_move){id, DB_KEY_ACTIVE, DB_KEY_RETIRED, "rotated by ann", 0, true},
           &f->err));
    fixture_commit(f);
    c = fixture_begin(f);
    OK(f, db_key_insert(c, &key, second, &f->err));
    OK(f, db_key_move(c, &(struct db_key_move){second, DB_KEY_PENDING, DB_KEY_ACTIVE, "", 0, false},
                      &f->err));
    OK(f, db_key_list(c, &(struct db_key_list){.node_id = f->node.id}, 3, list, &count, &f->err));
    assert_int_equal(count, 2);
    assert_string_equal(list[0].id, second);
    assert_int_equal(list[1].state, DB_KEY_RETIRED);
    assert_int_equal(list[1].private_sealed_size, 0);
    assert_string_equal(list[1].retired_reason, "rotated by ann");
    assert_string_equal(list[1].check_result, "damaged");
    assert_true(list[1].last_used_at > 0);
    OK(f, db_key_list(c, &(struct db_key_list){.node_id = f->node.id, .after = second}, 3, list,
                      &count, &f->err));
    assert_int_equal(count, 1);
    /* Rows of any damage can be read. */
    fixture_sql(f, "UPDATE keys SET private_sealed = repeat('x', 5000)::bytea, public_key = '',"
                   " certificate = repeat('y', 5000), fingerprint = repeat('z', 500)");
    OK(f, db_key_active(c, f->node.id, DB_KEY_MULTICAST, &got, &f->err));
    assert_int_equal(got.private_sealed_size, DB_SEALED_SIZE);
    assert_int_equal(got.public_key_size, 0);
    assert_int_equal(strlen(got.certificate), DB_CERTIFICATE_SIZE - 1);
    fixture_commit(f);
}

static void test_events(void **state)
{
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_event e = {.kind = "package-created",
                         .subject = "package win11",
                         .actor = "ann",
                         .detail = "{\"a\": 1}",
                         .request_id = "r1"};
    struct db_event_filter all = {.kinds = NULL};
    char kinds[DB_KINDS_SIZE] = "";
    struct db_event_filter some = {.kinds = kinds};
    struct db_event list[3];
    size_t count;

    OK(f, db_event_add(c, &e, &f->err));
    memcpy(e.node_id, f->node.id, DB_ID_SIZE);
    (void)snprintf(e.kind, sizeof e.kind, "package-deleted");
    e.detail[0] = '\0';
    OK(f, db_event_add(c, &e, &f->err));
    (void)snprintf(e.detail, sizeof e.detail, "[1]");
    REFUSED(f, CP_ERR_INVALID, db_event_add(c, &e, &f->err));
    (void)snprintf(e.detail, sizeof e.detail, "{");
    REFUSED(f, CP_ERR_INVALID, db_event_add(c, &e, &f->err));
    OK(f, db_event_list(c, &all, 0, 3, list, &count, &f->err));
    assert_int_equal(count, 2);
    assert_string_equal(list[0].kind, "package-deleted");
    assert_string_equal(list[0].node_id, f->node.id);
    assert_string_equal(list[0].detail, "{}");
    assert_string_equal(list[1].detail, "{\"a\": 1}");
    assert_string_equal(list[1].node_id, "");
    OK(f, db_event_list(c, &all, list[0].id, 3, list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_true(db_kinds_add(kinds, "package-deleted"));
    OK(f, db_event_list(c, &some, 0, 3, list, &count, &f->err));
    assert_int_equal(count, 1);
    fixture_sql(f, "INSERT INTO events (kind, detail) VALUES ('package-deleted',"
                   " jsonb_build_object('x', repeat('y', 9000)))");
    OK(f, db_event_list(c, &some, 0, 3, list, &count, &f->err));
    assert_string_equal(list[0].detail, "{\"left_out\": [\"detail\"]}");
    fixture_commit(f);
}

/* {"a": "aaa…", "b": "bbb…", "n": 7} as text of so many bytes, of which `b` has so many. */
static json_t *long_detail(size_t size, size_t b)
{
    char text[2 * DB_EVENT_DETAIL_SIZE];
    size_t frame = strlen("{\"a\": \"\", \"b\": \"\", \"n\": 7}");

    memset(text, 'x', sizeof text);
    return json_pack("{s:s#, s:s#, s:i}", "a", text, (int)(size - frame - b), "b", text, (int)b,
                     "n", 7);
}

/* The longest give way, and are named; what is kept comes back as it was. */
static void test_long_details(void **state)
{
    static const struct {
        size_t size, b;
        const char *left_out; /* NULL: nothing */
    } cases[] = {{DB_EVENT_DETAIL_SIZE - 1, 900, NULL},
                 {DB_EVENT_DETAIL_SIZE, 900, "[\"a\"]"},
                 {DB_EVENT_DETAIL_SIZE + 1, 1500, "[\"b\"]"},
                 {DB_EVENT_DETAIL_SIZE * 5 / 2, 2400, "[\"a\", \"b\"]"}};
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_event_filter all = {.kinds = NULL};
    size_t count;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct db_event e = {.kind = "package-created"};
        struct db_event got;
        json_t *detail;
        char *left_out;

        assert_true(db_event_set_detail(&e, long_detail(cases[i].size, cases[i].b)));
        OK(f, db_event_add(c, &e, &f->err));
        OK(f, db_event_list(c, &all, 0, 1, &got, &count, &f->err));
        detail = json_loads(got.detail, 0, NULL);
        left_out = json_dumps(json_object_get(detail, "left_out"), 0);
        assert_int_equal(json_integer_value(json_object_get(detail, "n")), 7);
        if (cases[i].left_out == NULL) {
            assert_null(left_out);
            assert_int_equal(strlen(got.detail), cases[i].size);
        } else {
            assert_string_equal(left_out, cases[i].left_out);
        }
        free(left_out);
        json_decref(detail);
    }
    fixture_commit(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_accounts),
        TEST(test_admins_remove_each_other),
        TEST(test_tokens),
        TEST(test_token_lists),
        TEST(test_account_of_receivers),
        TEST(test_keys),
        TEST(test_events),
        TEST(test_long_details),
    };

    return cmocka_run_group_tests_name("db account", tests, NULL, NULL);
}
