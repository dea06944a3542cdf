/* SPDX-License-Identifier: Apache-2.0
 * Idempotency-Key: every creation is done once, its answer is kept for a day and sealed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/account.h"
#include "db/idempotency.h"
#include "db/sealed.h"
#include "keys/credentials.h"
#include "keys/keyring.h"
#include "tests/api/rig.h"

#define PACKAGES "/api/v1/packages"

static struct rig_call post(const char *path, const char *body, const char *header)
{
    return (struct rig_call){.method = API_POST, .path = path, .body = body, .headers = {header}};
}

/* The same call twice: the second answer is the first one, from what was kept. */
static void replayed(enum rig_who who, const struct rig_call *call, int status)
{
    struct rig_answer first = rig_expect(rig, who, call, status);
    struct rig_answer second = rig_expect(rig, who, call, status);
    static const char *const headers[] = {"Location", "ETag"};

    assert_null(rig_header(&first, "Idempotency-Replayed"));
    assert_string_equal(rig_header(&second, "Idempotency-Replayed"), "true");
    assert_string_equal(first.bytes, second.bytes);
    assert_string_equal(first.rs.content_type, second.rs.content_type);
    for (size_t i = 0; i < 2; i++) {
        const char *a = rig_header(&first, headers[i]);
        const char *b = rig_header(&second, headers[i]);

        assert_true((a == NULL) == (b == NULL));
        assert_true(a == NULL || strcmp(a, b) == 0);
    }
    rig_answer_done(&first);
    rig_answer_done(&second);
}

static void every_creation_is_done_once(void **state)
{
    struct rig_call call = post(PACKAGES, "{\"name\": \"once\"}", "Idempotency-Key: package-1");
    struct rig_answer a;

    (void)state;
    replayed(RIG_OPERATOR, &call, 201);
    assert_int_equal(rig_events(rig, "package-created"), 1);
    call = post(PACKAGES "/once/versions", "{\"description\": \"D\"}", "Idempotency-Key: v-1");
    replayed(RIG_OPERATOR, &call, 201);
    call = post(PACKAGES "/once/versions", NULL, "Idempotency-Key: v-2");
    replayed(RIG_OPERATOR, &call, 201);
    a = rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = PACKAGES "/once"},
                   200);
    assert_int_equal(rig_number(&a, "version_count"), 2);
    rig_answer_done(&a);
    call = post("/api/v1/accounts",
                "{\"name\": \"twice\", \"role\": \"viewer\", \"password\": \"long enough\"}",
                "Idempotency-Key: account-1");
    replayed(RIG_ADMIN, &call, 201);
    call =
        post("/api/v1/accounts/twice/tokens", "{\"role\": \"viewer\"}", "Idempotency-Key: token-1");
    replayed(RIG_ADMIN, &call, 201); /* with its secret, which is in no other place */
    rig_put(rig, "once", 1, "a.txt", "content");
    call = post(PACKAGES "/once/versions/1/seal", NULL, "Idempotency-Key: seal-1");
    replayed(RIG_OPERATOR, &call, 202);
    rig_work(rig);
    call = post("/api/v1/distribution-points/local/keys/multicast/rotate", NULL,
                "Idempotency-Key: rotate-1");
    replayed(RIG_ADMIN, &call, 200);
    assert_int_equal(rig_events(rig, "multicast-key-rotated"), 1);
    /* the second one would revoke the replacement */
    call = post("/api/v1/distribution-points/local/keys/multicast/revoke",
                "{\"reason\": \"a disk was stolen\"}", "Idempotency-Key: revoke-1");
    replayed(RIG_ADMIN, &call, 200);
    assert_int_equal(rig_events(rig, "multicast-key-revoked"), 1);
    replayed(RIG_OPERATOR,
             &(struct rig_call){.method = API_POST,
                                .path = PACKAGES "/once/versions",
                                .headers = {"Idempotency-Key: v-3"}},
             201);
}

static void a_key_is_for_one_request_of_one_account(void **state)
{
    struct rig_call call = post(PACKAGES, "{\"name\": \"reuse\"}", "Idempotency-Key: reuse-1");

    (void)state;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 201);
    call.body = "{\"name\":  \"reuse\"}"; /* other bytes */
    rig_refused(rig, RIG_OPERATOR, &call, "idempotency-key-reused", "reuse-1");
    call = post(PACKAGES "/reuse/versions", NULL, "Idempotency-Key: reuse-1"); /* other address */
    rig_refused(rig, RIG_OPERATOR, &call, "idempotency-key-reused", "reuse-1");
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 201); /* other account */
    call.headers[0] = "Idempotency-Key: reuse-2";             /* other key */
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 201);
    /* whoever may not do it does not get the answer of who may */
    rig_refused(rig, RIG_VIEWER, &call, "access-denied", "operator");
}

/* A kept answer may hold a secret that the same account would not be given today. */
static void a_smaller_role_gets_no_kept_answer(void **state)
{
    struct rig_call call = post("/api/v1/accounts",
                                "{\"name\": \"falling\", \"role\": \"admin\","
                                " \"password\": \"a password of ten\"}",
                                NULL);
    char match[128];
    char basic[256];

    (void)state;
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 201);
    rig_basic("falling", RIG_PASSWORD, basic);
    call = post("/api/v1/accounts/viewer/tokens", "{\"role\": \"viewer\"}",
                "Idempotency-Key: falling-1");
    call.authorization = basic;
    replayed(RIG_NOBODY, &call, 201);
    rig_if_match(rig, "/api/v1/accounts/falling", match);
    assert_int_equal(rig_status(rig, RIG_ADMIN,
                                &(struct rig_call){.method = API_PATCH,
                                                   .path = "/api/v1/accounts/falling",
                                                   .body = "{\"role\": \"operator\"}",
                                                   .headers = {match}}),
                     200);
    rig_refused(rig, RIG_NOBODY, &call, "idempotency-key-reused", "role");
    call.headers[0] = NULL;
    rig_refused(rig, RIG_NOBODY, &call, "access-denied", "viewer");
}

static void wrong_keys_are_refused(void **state)
{
    static const char *const keys[] = {
        "Idempotency-Key: ", "Idempotency-Key: with space", "Idempotency-Key: gr\xc3\xbc\xc3\x9f",
        "Idempotency-Key: 12345678901234567890123456789012345678901234567890123456789012345"};
    struct rig_call call = post(PACKAGES, "{\"name\": \"wrongkey\"}", NULL);

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        call.headers[0] = keys[i];
        rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "Idempotency-Key");
    }
    call.headers[0] =
        "Idempotency-Key: 1234567890123456789012345678901234567890123456789012345678901234";
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 201);
}

static void a_refusal_is_not_kept(void **state)
{
    struct rig_call call = post(PACKAGES "/later/versions", NULL, "Idempotency-Key: not-yet");

    (void)state;
    rig_refused(rig, RIG_OPERATOR, &call, "package-not-found", "later");
    rig_package(rig, "later", "");
    replayed(RIG_OPERATOR, &call, 201);
}

struct holder {
    struct rig_call call;
    char account_id[DB_ID_SIZE];
};

static enum cp_err hold_key(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct holder *h = arg;
    struct db_idempotency row;
    struct db_account account;
    struct rig_answer a;

    CP_TRY(db_account_get(conn, "operator", &account, err));
    assert_int_equal(db_idempotency_take(conn, account.id, "slow", &row, err), CP_ERR_NOT_FOUND);
    a = rig_expect(rig, RIG_OPERATOR, &h->call, 409);
    assert_string_equal(rig_text(&a, "code"), "idempotency-key-busy");
    assert_string_equal(rig_header(&a, "Retry-After"), "1");
    rig_answer_done(&a);
    return CP_OK;
}

static void while_the_first_is_under_way_the_second_waits(void **state)
{
    struct holder h = {.call = post(PACKAGES, "{\"name\": \"slow\"}", "Idempotency-Key: slow")};
    struct cp_error err = {.code = CP_OK};

    (void)state;
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "hold-key", hold_key, &h, &err), CP_OK);
    replayed(RIG_OPERATOR, &h.call, 201);
}

static enum cp_err drop_old(struct db_conn *conn, void *arg, struct cp_error *err)
{
    return db_idempotency_drop(conn, 1000, arg, err);
}

static void answers_are_kept_for_a_day(void **state)
{
    struct rig_call call = post(PACKAGES "/once/versions", NULL, "Idempotency-Key: day");
    struct rig_answer a;
    struct cp_error err = {.code = CP_OK};
    uint64_t dropped = 0;

    (void)state;
    replayed(RIG_OPERATOR, &call, 201);
    rig_sql("UPDATE idempotency SET created_at = now() - interval '25 hours' WHERE key = 'day'");
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    assert_null(rig_header(&a, "Idempotency-Replayed"));
    rig_answer_done(&a);
    rig_sql("UPDATE idempotency SET created_at = now() - interval '25 hours'"
            " WHERE key IN ('day', 'v-1')");
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "drop", drop_old, &dropped, &err), CP_OK);
    assert_int_equal(dropped, 2);
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "drop", drop_old, &dropped, &err), CP_OK);
    assert_int_equal(dropped, 0);
}

/* The digest of a request whose body has a password is an easy thing to guess the password by. */
static void no_plain_digest(void)
{
    struct rig_call call =
        post("/api/v1/accounts",
             "{\"name\": \"guess\", \"role\": \"viewer\", \"password\": \"password 1\"}",
             "Idempotency-Key: guess");
    struct rig_answer a = rig_expect(rig, RIG_ADMIN, &call, 201);
    char text[512], digest[65], sql[512];

    rig_answer_done(&a);
    (void)snprintf(text, sizeof text, "%d POST %s\n\n%s", (int)API_ROLE_ADMIN, call.path,
                   call.body);
    assert_int_equal(keys_sha256_hex(text, strlen(text), digest), CP_OK);
    (void)snprintf(sql, sizeof sql,
                   "SELECT 1 / (count(*) = 0)::integer FROM idempotency i"
                   " WHERE position('%s' IN i::text) > 0 OR position('%s'::bytea IN"
                   " answer_sealed) > 0",
                   digest, digest);
    rig_sql(sql); /* fails when it is found */
}

/* What is kept may hold a token: it is of no use without the master key. */
static void kept_answers_are_sealed(void **state)
{
    static const uint8_t other_key[KEYS_MASTER_SIZE] = {9};
    struct rig_call call =
        post("/api/v1/accounts/viewer/tokens", "{\"role\": \"viewer\"}", "Idempotency-Key: secret");
    struct rig_answer a = rig_expect(rig, RIG_ADMIN, &call, 201);
    struct keys_ring *present = rig->ctx.keyring;
    char sql[512];

    (void)state;
    (void)snprintf(sql, sizeof sql,
                   "SELECT 1 / (count(*) = 0)::integer FROM idempotency"
                   " WHERE position('%s'::bytea IN answer_sealed) > 0",
                   rig_text(&a, "secret"));
    rig_sql(sql); /* fails when it is found */
    no_plain_digest();
    rig_answer_done(&a);
    assert_int_equal(keys_ring_new(other_key, rig->node_id, &rig->ctx.keyring), CP_OK);
    rig_refused(rig, RIG_ADMIN, &call, "conflict", "master key");
    keys_ring_free(rig->ctx.keyring);
    rig->ctx.keyring = present;
    replayed(RIG_ADMIN,
             &(struct rig_call){.method = API_POST,
                                .path = PACKAGES "/once/versions",
                                .headers = {"Idempotency-Key: after"}},
             201);
}

static enum cp_err open_kept(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct db_sealed rows[64];
    size_t *ret_opened = arg;
    size_t count = 0;

    for (size_t place = 0; place < db_sealed_places(); place++) {
        if (strcmp(db_sealed_place(place), "idempotency") == 0) {
            CP_TRY(db_sealed_list(conn, place, "", 64, rows, &count, err));
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct keys_sealed sealed = {(const uint8_t *)rows[i].data, rows[i].size};
        char plain[16384];
        size_t size;

        assert_int_equal(
            keys_ring_unseal(rig->ctx.keyring, rows[i].purpose, sealed, plain, sizeof plain, &size),
            CP_OK);
        free(rows[i].data);
    }
    *ret_opened = count;
    return CP_OK;
}

/* A change of the master key finds them all, by the purpose that they were sealed for. */
static void kept_answers_follow_the_master_key(void **state)
{
    struct cp_error err = {.code = CP_OK};
    size_t opened = 0;

    (void)state;
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "open-kept", open_kept, &opened, &err), CP_OK);
    assert_in_range(opened, 5, 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_creation_is_done_once),
        cmocka_unit_test(a_key_is_for_one_request_of_one_account),
        cmocka_unit_test(a_smaller_role_gets_no_kept_answer),
        cmocka_unit_test(wrong_keys_are_refused),
        cmocka_unit_test(a_refusal_is_not_kept),
        cmocka_unit_test(while_the_first_is_under_way_the_second_waits),
        cmocka_unit_test(answers_are_kept_for_a_day),
        cmocka_unit_test(kept_answers_are_sealed),
        cmocka_unit_test(kept_answers_follow_the_master_key),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
