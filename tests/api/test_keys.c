/* SPDX-License-Identifier: Apache-2.0
 * Keys through the API: shown with what is wrong and what will happen, checked, rotated, revoked,
 * before and while clients hold tickets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base64.h"
#include "content/certificate.h"
#include "tests/api/key_rig.h"

/* ---- shown ---- */

static void the_list_says_what_is_not_there(void **state)
{
    (void)state;
    key_listed("identity", "ok", "In use.");
    key_listed("master", "ok", "");
    key_listed("session-secrets", "ok", "good secret");
    rig_sql("DELETE FROM keys");
    key_listed("identity", "attention", "There is no identity key. It is made when");
    key_listed("multicast", "attention", "There is no multicast key. It is made when");
    key_joins("emptied", 201);
    key_listed("multicast", "ok", "In use.");
}

static void all_kinds_are_shown(void **state)
{
    struct rig_call list = rig_call_get(KEY_ALL), one = rig_call_get(KEY_ALL "/master"),
                    none = rig_call_get(KEY_ALL "/tls");
    struct rig_answer a = rig_expect(rig, RIG_VIEWER, &list, 200);
    const json_t *item;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(a.json, "items"), i, item)
    {
        assert_string_equal(rig_text_in(item, "health"), "ok");
        assert_non_null(strstr(rig_text_in(item, "summary"), "rotated by itself on"));
        assert_non_null(rig_text_in(item, "next_rotation_at"));
        assert_string_equal(rig_text_in(item, "check_result"), "ok");
    }
    assert_int_equal(i, 2);
    rig_answer_done(&a);
    key_expect(KEY_IDENTITY, "ok", "In use.");
    key_expect(KEY_MULTICAST, "ok", "In use.");
    key_joins("shown", 201);
    key_expect(KEY_ALL "/session-secrets", "ok", "has a good secret");
    a = rig_expect(rig, RIG_VIEWER, &one, 200);
    assert_string_equal(rig_text(&a, "source"), "file");
    rig_answer_done(&a);
    rig_refused(rig, RIG_VIEWER, &none, "not-found", "session-secrets");
}

/* ---- checked ---- */

static void a_check_says_what_is_wrong(void **state)
{
    struct rig_call check = key_post(KEY_MULTICAST "/check", NULL);
    struct rig_answer a;

    (void)state;
    rig_settings(rig, "{\"key_repair\": false}");
    rig_sql("UPDATE keys SET private_sealed = 'x' WHERE state = 'active' AND kind = 'multicast'");
    key_refused("rotates it");
    a = rig_expect(rig, RIG_OPERATOR, &check, 200);
    assert_string_equal(rig_text(&a, "health"), "broken");
    assert_non_null(strstr(rig_text(&a, "summary"), "private key is damaged"));
    assert_string_equal(rig_text_in(json_object_get(a.json, "active"), "state"), "damaged");
    rig_answer_done(&a);
    key_expect(KEY_MULTICAST, "broken", "until somebody rotates it");
    rig_settings(rig, "{\"key_repair\": true}");
    a = rig_expect(rig, RIG_OPERATOR, &check, 200);
    assert_string_equal(rig_text(&a, "health"), "ok");
    rig_answer_done(&a);
    key_joins("checked", 201);
    assert_int_equal(rig_status(rig, RIG_VIEWER, &check), 403);
}

/* The hourly one, as the service's workers do it. */
static void the_hourly_check_repairs(void **state)
{
    struct cp_error err = {.code = CP_OK};
    struct rig_call tasks = rig_call_get("/api/v1/tasks?kind=check-keys&limit=1");
    struct rig_answer a;
    json_t *task;
    int before = rig_events(rig, "multicast-key-replaced");

    (void)state;
    rig_work(rig);
    rig_sql("UPDATE tasks SET created_at = now() - interval '61 minutes'");
    rig_sql("UPDATE keys SET private_sealed = 'x' WHERE state = 'active' AND kind = 'multicast'");
    rig_sql("UPDATE sessions SET secret_sealed = 'x' WHERE state = 'waiting'");
    assert_int_equal(jobs_ask_due(&rig->jobs, &err), CP_OK);
    rig_work(rig);
    assert_int_equal(rig_events(rig, "multicast-key-replaced"), before + 1);
    a = rig_expect(rig, RIG_VIEWER, &tasks, 200);
    task = json_array_get(json_object_get(a.json, "items"), 0);
    assert_string_equal(rig_text_in(task, "state"), "done");
    task = json_object_get(task, "result");
    assert_int_equal(rig_number_in(task, "repaired"), 1);
    assert_int_equal(rig_number_in(task, "sessions_cancelled"), 1);
    rig_answer_done(&a);
    key_expect(KEY_MULTICAST, "ok", "In use.");
    key_joins("hourly", 201);
}

/* ---- rotated ---- */

static void rotation_asks_for_new_signatures(void **state)
{
    struct rig_call rotate = key_post(KEY_MULTICAST "/rotate", NULL);
    struct rig_call version = rig_call_get("/api/v1/packages/kept/versions/1");
    char before[65], after[65];
    struct rig_answer a;

    (void)state;
    key_fingerprint(KEY_MULTICAST, before);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &rotate), 403);
    a = rig_expect(rig, RIG_ADMIN, &rotate, 200);
    (void)snprintf(after, sizeof after, "%s", rig_text(&a, "fingerprint"));
    assert_string_equal(rig_text(&a, "state"), "active");
    assert_null(strstr(a.bytes, "private_"));
    rig_answer_done(&a);
    assert_string_not_equal(before, after);
    rig_work(rig);
    a = rig_expect(rig, RIG_VIEWER, &version, 200);
    assert_string_equal(rig_text_in(json_object_get(a.json, "manifest"), "key"), after);
    rig_answer_done(&a);
    version = rig_call_get(KEY_MULTICAST);
    a = rig_expect(rig, RIG_VIEWER, &version, 200);
    assert_int_equal(json_array_size(json_object_get(a.json, "overlap")), 1);
    rig_answer_done(&a);
    key_joins("rotated", 201);
}

static void decode_key(const char *text, uint8_t ret_key[JWS_KEY_SIZE])
{
    size_t size;

    assert_true(cp_base64_decode(CP_BASE64_URL, text, strlen(text), ret_key, JWS_KEY_SIZE, &size));
}

/* A client that knows the former identity only finds its certificate in the answer. */
static void former_identities_still_certify(void **state)
{
    struct rig_call rotate = key_post(KEY_IDENTITY "/rotate", NULL);
    struct joined a = joined_as(RIG_NOBODY, JOIN("kept", "c1"), 201), b;
    struct certificate certificate;
    uint8_t known[JWS_KEY_SIZE];
    const json_t *former;
    struct rig_answer rs;

    (void)state;
    rs = rig_expect(rig, RIG_ADMIN, &rotate, 200);
    rig_answer_done(&rs);
    b = joined_as(RIG_NOBODY, JOIN("kept", "c1"), 200);
    assert_string_not_equal(rig_text(&a.answer, "identity_key"),
                            rig_text(&b.answer, "identity_key"));
    assert_memory_equal(a.key, b.key, sizeof a.key);
    former = json_array_get(json_object_get(b.answer.json, "previous_identities"), 0);
    assert_string_equal(rig_text_in(former, "identity_key"), rig_text(&a.answer, "identity_key"));
    decode_key(rig_text_in(former, "identity_key"), known);
    assert_int_equal(
        certificate_verify(known, rig_text_in(former, "certificate"), 0, &certificate, NULL),
        CP_OK);
    assert_memory_equal(certificate.public_key, b.key, sizeof b.key);
    joined_done(&a);
    joined_done(&b);
    /* Without overlap there is none. */
    rig_settings(rig, "{\"key_overlap_hours\": 0}");
    rig_sql("UPDATE keys SET overlap_until = now() WHERE state = 'overlap'");
    rs = rig_expect(rig, RIG_ADMIN, &rotate, 200);
    rig_answer_done(&rs);
    b = joined_as(RIG_NOBODY, JOIN("kept", "c1"), 200);
    assert_int_equal(json_array_size(json_object_get(b.answer.json, "previous_identities")), 0);
    joined_done(&b);
    rig_settings(rig, "{\"key_overlap_hours\": 168}");
}

static void the_calendar_is_a_setting(void **state)
{
    (void)state;
    rig_settings(rig, "{\"key_rotation_days\": 0}");
    key_expect(KEY_MULTICAST, "ok", "key_rotation_days is 0");
    rig_settings(rig, "{\"key_rotation_days\": 365}");
    key_expect(KEY_MULTICAST, "ok", "rotated by itself");
    rig_sql("UPDATE keys SET activated_at = now() - interval '400 days' WHERE state = 'active'");
    key_expect(KEY_MULTICAST, "attention", "should have been rotated");
    rig_sql("UPDATE keys SET activated_at = now() WHERE state = 'active'");
}

static int state_count(const char *state)
{
    struct rig_call list = rig_call_get(KEY_ALL "?limit=1000");
    struct rig_answer a = rig_expect(rig, RIG_VIEWER, &list, 200);
    const json_t *item;
    int count = 0;
    size_t i;

    json_array_foreach(json_object_get(a.json, "items"), i, item)
    {
        count += strcmp(rig_text_in(item, "state"), state) == 0;
    }
    rig_answer_done(&a);
    return count;
}

/* Prepared in time, rotated when it is due, retired when the overlap has ended. */
static void the_calendar_is_kept(void **state)
{
    static const char age[] = "UPDATE keys SET activated_at = now() - interval '%d days'"
                              " WHERE state = 'active'";
    struct rig_call check = key_post(KEY_IDENTITY "/check", NULL);
    char sql[160], next[65], active[65];
    struct rig_answer a;
    int retired;

    (void)state;
    rig_sql("UPDATE keys SET overlap_until = now() WHERE state = 'overlap'");
    (void)snprintf(sql, sizeof sql, age, 360);
    rig_sql(sql);
    a = rig_expect(rig, RIG_OPERATOR, &check, 200);
    (void)snprintf(next, sizeof next, "%s",
                   rig_text_in(json_object_get(a.json, "pending"), "fingerprint"));
    assert_string_equal(rig_text_in(json_object_get(a.json, "pending"), "health"), "ok");
    rig_answer_done(&a);
    retired = state_count("retired");
    assert_int_equal(state_count("pending"), 2);
    assert_int_equal(state_count("overlap"), 0);
    (void)snprintf(sql, sizeof sql, age, 366);
    rig_sql(sql);
    a = rig_expect(rig, RIG_OPERATOR, &check, 200);
    rig_answer_done(&a);
    key_fingerprint(KEY_IDENTITY, active);
    assert_string_equal(active, next);
    assert_int_equal(state_count("overlap"), 2);
    key_joins("calendar", 201);
    rig_sql("UPDATE keys SET overlap_until = now() WHERE state = 'overlap'");
    a = rig_expect(rig, RIG_OPERATOR, &check, 200);
    rig_answer_done(&a);
    assert_int_equal(state_count("overlap"), 0);
    assert_int_equal(state_count("retired"), retired + 2);
    assert_true(rig_events(rig, "identity-key-retired") > 0);
    assert_true(rig_events(rig, "multicast-key-retired") > 0);
}

/* ---- revoked ---- */

static void revocation_says_what_clients_see(void **state)
{
    struct rig_call revoke =
        key_post(KEY_IDENTITY "/revoke", "{\"reason\": \"the disk was stolen\"}");
    struct rig_call again = key_post(KEY_IDENTITY "/revoke", NULL);
    char fingerprint[65], body[200];
    struct rig_answer a;

    (void)state;
    key_fingerprint(KEY_IDENTITY, fingerprint);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &revoke), 403);
    a = rig_expect(rig, RIG_ADMIN, &revoke, 200);
    assert_string_equal(rig_text(&a, "health"), "ok");
    assert_string_equal(rig_text_in(json_object_get(a.json, "revoked"), "fingerprint"),
                        fingerprint);
    assert_non_null(
        strstr(rig_text_in(json_object_get(a.json, "revoked"), "summary"), "signature-invalid"));
    assert_non_null(
        strstr(rig_text_in(json_object_get(a.json, "revoked"), "retired_reason"), "stolen"));
    rig_answer_done(&a);
    key_joins("revoked", 201);
    (void)snprintf(body, sizeof body, "{\"reason\": \"again\", \"fingerprint\": \"%s\"}",
                   fingerprint);
    again.body = body;
    rig_refused(rig, RIG_ADMIN, &again, "conflict", "revoked already");
    again.body = "{\"reason\": \"\"}";
    rig_refused(rig, RIG_ADMIN, &again, "invalid-request", NULL);
    again.body = "{}";
    rig_refused(rig, RIG_ADMIN, &again, "invalid-request", NULL);
    again.body =
        "{\"reason\": \"x\", \"fingerprint\": \"0000000000000000000000000000000000000000000"
        "000000000000000000000\"}";
    rig_refused(rig, RIG_ADMIN, &again, "not-found", "fingerprint");
    again = key_post(KEY_ALL "/master/revoke", "{\"reason\": \"x\"}");
    rig_refused(rig, RIG_ADMIN, &again, "conflict", "rotated");
    again = key_post(KEY_ALL "/session-secrets/revoke", "{\"reason\": \"x\"}");
    rig_refused(rig, RIG_ADMIN, &again, "conflict", "cancel a session");
}

/* Its manifests are signed anew, its tickets are made anew at the next join. */
static void a_revoked_multicast_key_signs_nothing_that_is_given_out(void **state)
{
    struct rig_call revoke = key_post(KEY_MULTICAST "/revoke", "{\"reason\": \"leaked\"}");
    struct rig_call version = rig_call_get("/api/v1/packages/kept/versions/1");
    struct joined j = joined_as(RIG_NOBODY, JOIN("kept", "c2"), 201), k;
    char active[65];
    struct rig_answer a = rig_expect(rig, RIG_ADMIN, &revoke, 200);

    (void)state;
    rig_answer_done(&a);
    rig_work(rig);
    key_fingerprint(KEY_MULTICAST, active);
    a = rig_expect(rig, RIG_VIEWER, &version, 200);
    assert_string_equal(rig_text_in(json_object_get(a.json, "manifest"), "key"), active);
    rig_answer_done(&a);
    k = joined_as(RIG_NOBODY, JOIN("kept", "c2"), 200);
    assert_memory_not_equal(j.key, k.key, sizeof j.key);
    joined_done(&j);
    joined_done(&k);
}

/* ---- the founding story ---- */

/* Keys of another distribution point are sealed under its own master key. */
static void other_nodes_are_looked_at_only(void **state)
{
    static const char *const changes[] = {"identity/rotate", "master/rotate", "identity/check"};
    struct rig_call secrets =
        rig_call_get("/api/v1/distribution-points/elsewhere/keys/session-secrets");
    struct rig_call master = rig_call_get("/api/v1/distribution-points/elsewhere/keys/master");
    struct rig_call identity = rig_call_get("/api/v1/distribution-points/elsewhere/keys/identity");
    struct rig_answer a;
    char path[128];

    (void)state;
    rig_sql("WITH n AS (INSERT INTO nodes (name) VALUES ('elsewhere') RETURNING id)"
            " INSERT INTO settings (node_id) SELECT id FROM n");
    a = rig_expect(rig, RIG_VIEWER, &identity, 200);
    assert_string_equal(rig_text(&a, "health"), "attention");
    assert_true(json_is_null(json_object_get(a.json, "active")));
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_VIEWER, &secrets, 200);
    assert_true(json_is_null(json_object_get(a.json, "unusable")));
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_VIEWER, &master, 200);
    assert_true(json_is_null(json_object_get(a.json, "fingerprint")));
    rig_answer_done(&a);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct rig_call call = key_post(path, NULL);

        (void)snprintf(path, sizeof path, "/api/v1/distribution-points/elsewhere/keys/%s",
                       changes[i]);
        rig_refused(rig, RIG_ADMIN, &call, "conflict", "can only be changed there");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_are_shown),
        cmocka_unit_test(the_list_says_what_is_not_there),
        cmocka_unit_test(a_check_says_what_is_wrong),
        cmocka_unit_test(the_hourly_check_repairs),
        cmocka_unit_test(rotation_asks_for_new_signatures),
        cmocka_unit_test(former_identities_still_certify),
        cmocka_unit_test(the_calendar_is_a_setting),
        cmocka_unit_test(the_calendar_is_kept),
        cmocka_unit_test(revocation_says_what_clients_see),
        cmocka_unit_test(a_revoked_multicast_key_signs_nothing_that_is_given_out),
        cmocka_unit_test(other_nodes_are_looked_at_only),
    };

    return cmocka_run_group_tests_name("keys", tests, key_set_up, rig_tear_down);
}
