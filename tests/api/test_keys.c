/* SPDX-License-Identifier: Apache-2.0
 * Keys through the API: shown with what is wrong and what will happen, checked, rotated, revoked,
 * before and while clients hold tickets; the founding story's harm to keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base64.h"
#include "content/certificate.h"
#include "keys/care.h"
#include "keys/master.h"
#include "tests/api/join_rig.h"

#define KEYS      "/api/v1/distribution-points/local/keys"
#define MULTICAST KEYS "/multicast"
#define IDENTITY  KEYS "/identity"

static struct rig_call post(const char *path, const char *body)
{
    return (struct rig_call){.method = API_POST, .path = path, .body = body};
}

/* One field of an answer; health and a piece of the summary. */
static void expect_kind(const char *path, const char *health, const char *words)
{
    struct rig_call call = rig_call_get(path);
    struct rig_answer a = rig_expect(rig, RIG_VIEWER, &call, 200);

    if (strcmp(rig_text(&a, "health"), health) != 0 ||
        strstr(rig_text(&a, "summary"), words) == NULL) {
        fail_msg("%s: not %s with '%s': %s", path, health, words, a.bytes);
    }
    assert_null(strstr(a.bytes, "private_"));
    rig_answer_done(&a);
}

static void active_fingerprint(const char *path, char ret_text[65])
{
    struct rig_call call = rig_call_get(path);
    struct rig_answer a = rig_expect(rig, RIG_VIEWER, &call, 200);

    (void)snprintf(ret_text, 65, "%s",
                   rig_text_in(json_object_get(a.json, "active"), "fingerprint"));
    rig_answer_done(&a);
}

/* A join that must succeed, with every signature checked. */
static void joins(const char *client, int status)
{
    char body[256];
    struct joined j;

    (void)snprintf(body, sizeof body,
                   "{\"package\": \"kept\", \"client_id\": \"%s\", \"client_name\": \"pc\"}",
                   client);
    j = joined_as(RIG_NOBODY, body, status);
    joined_done(&j);
}

static void refused(const char *word)
{
    struct rig_call call = join_call(JOIN("kept", "refused"));

    rig_refused(rig, RIG_NOBODY, &call, "multicast-key-unusable", word);
}

static int set_up(void **state)
{
    (void)rig_set_up(state);
    rig_content_access(rig, "anonymous");
    sealed_package("kept", "");
    return 0;
}

/* ---- shown ---- */

static void all_kinds_are_shown(void **state)
{
    struct rig_call list = rig_call_get(KEYS), one = rig_call_get(KEYS "/master"),
                    none = rig_call_get(KEYS "/tls");
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
    expect_kind(IDENTITY, "ok", "In use.");
    expect_kind(MULTICAST, "ok", "In use.");
    joins("shown", 201);
    expect_kind(KEYS "/session-secrets", "ok", "has a good secret");
    a = rig_expect(rig, RIG_VIEWER, &one, 200);
    assert_string_equal(rig_text(&a, "source"), "file");
    rig_answer_done(&a);
    rig_refused(rig, RIG_VIEWER, &none, "not-found", "session-secrets");
}

/* ---- checked ---- */

static void a_check_says_what_is_wrong(void **state)
{
    struct rig_call check = post(MULTICAST "/check", NULL);
    struct rig_answer a;

    (void)state;
    rig_settings(rig, "{\"key_repair\": false}");
    rig_sql("UPDATE keys SET private_sealed = 'x' WHERE state = 'active' AND kind = 'multicast'");
    refused("rotates it");
    a = rig_expect(rig, RIG_OPERATOR, &check, 200);
    assert_string_equal(rig_text(&a, "health"), "broken");
    assert_non_null(strstr(rig_text(&a, "summary"), "private key is damaged"));
    assert_string_equal(rig_text_in(json_object_get(a.json, "active"), "state"), "damaged");
    rig_answer_done(&a);
    expect_kind(MULTICAST, "broken", "until somebody rotates it");
    rig_settings(rig, "{\"key_repair\": true}");
    a = rig_expect(rig, RIG_OPERATOR, &check, 200);
    assert_string_equal(rig_text(&a, "health"), "ok");
    rig_answer_done(&a);
    joins("checked", 201);
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
    expect_kind(MULTICAST, "ok", "In use.");
    joins("hourly", 201);
}

/* ---- rotated ---- */

static void rotation_asks_for_new_signatures(void **state)
{
    struct rig_call rotate = post(MULTICAST "/rotate", NULL);
    struct rig_call version = rig_call_get("/api/v1/packages/kept/versions/1");
    char before[65], after[65];
    struct rig_answer a;

    (void)state;
    active_fingerprint(MULTICAST, before);
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
    version = rig_call_get(MULTICAST);
    a = rig_expect(rig, RIG_VIEWER, &version, 200);
    assert_int_equal(json_array_size(json_object_get(a.json, "overlap")), 1);
    rig_answer_done(&a);
    joins("rotated", 201);
}

static void decode_key(const char *text, uint8_t ret_key[JWS_KEY_SIZE])
{
    size_t size;

    assert_true(cp_base64_decode(CP_BASE64_URL, text, strlen(text), ret_key, JWS_KEY_SIZE, &size));
}

/* A client that knows the former identity only finds its certificate in the answer. */
static void former_identities_still_certify(void **state)
{
    struct rig_call rotate = post(IDENTITY "/rotate", NULL);
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
    expect_kind(MULTICAST, "ok", "key_rotation_days is 0");
    rig_settings(rig, "{\"key_rotation_days\": 365}");
    expect_kind(MULTICAST, "ok", "rotated by itself");
    rig_sql("UPDATE keys SET activated_at = now() - interval '400 days' WHERE state = 'active'");
    expect_kind(MULTICAST, "attention", "should have been rotated");
    rig_sql("UPDATE keys SET activated_at = now() WHERE state = 'active'");
}

static int state_count(const char *state)
{
    struct rig_call list = rig_call_get(KEYS "?limit=1000");
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
    struct rig_call check = post(IDENTITY "/check", NULL);
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
    active_fingerprint(IDENTITY, active);
    assert_string_equal(active, next);
    assert_int_equal(state_count("overlap"), 2);
    joins("calendar", 201);
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
    struct rig_call revoke = post(IDENTITY "/revoke", "{\"reason\": \"the disk was stolen\"}");
    struct rig_call again = post(IDENTITY "/revoke", NULL);
    char fingerprint[65], body[200];
    struct rig_answer a;

    (void)state;
    active_fingerprint(IDENTITY, fingerprint);
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
    joins("revoked", 201);
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
    again = post(KEYS "/master/revoke", "{\"reason\": \"x\"}");
    rig_refused(rig, RIG_ADMIN, &again, "conflict", "rotated");
    again = post(KEYS "/session-secrets/revoke", "{\"reason\": \"x\"}");
    rig_refused(rig, RIG_ADMIN, &again, "conflict", "cancel a session");
}

/* Its manifests are signed anew, its tickets are made anew at the next join. */
static void a_revoked_multicast_key_signs_nothing_that_is_given_out(void **state)
{
    struct rig_call revoke = post(MULTICAST "/revoke", "{\"reason\": \"leaked\"}");
    struct rig_call version = rig_call_get("/api/v1/packages/kept/versions/1");
    struct joined j = joined_as(RIG_NOBODY, JOIN("kept", "c2"), 201), k;
    char active[65];
    struct rig_answer a = rig_expect(rig, RIG_ADMIN, &revoke, 200);

    (void)state;
    rig_answer_done(&a);
    rig_work(rig);
    active_fingerprint(MULTICAST, active);
    a = rig_expect(rig, RIG_VIEWER, &version, 200);
    assert_string_equal(rig_text_in(json_object_get(a.json, "manifest"), "key"), active);
    rig_answer_done(&a);
    k = joined_as(RIG_NOBODY, JOIN("kept", "c2"), 200);
    assert_memory_not_equal(j.key, k.key, sizeof j.key);
    joined_done(&j);
    joined_done(&k);
}

/* ---- the founding story ---- */

static void harm_ends_in_success_or_a_code(void **state)
{
    static const char *const harm[] = {
        "DELETE FROM keys",
        "DELETE FROM keys WHERE kind = 'identity'",
        "DELETE FROM keys WHERE kind = 'multicast'",
        "UPDATE keys SET private_sealed = '' WHERE state = 'active'",
        "UPDATE keys SET public_key = '' WHERE state = 'active'",
        "UPDATE keys SET certificate = '' WHERE state = 'active'",
        "UPDATE keys SET fingerprint = repeat('0', 64) WHERE state = 'active'",
    };
    struct rig_call identity = post(IDENTITY "/rotate", NULL);
    struct rig_call multicast = post(MULTICAST "/rotate", NULL);
    struct rig_answer a;

    (void)state;
    for (size_t i = 0; i < sizeof harm / sizeof harm[0]; i++) {
        rig_sql(harm[i]);
        joins("harm", 200 + (i == 0));
        rig_settings(rig, "{\"key_repair\": false}");
        rig_sql(harm[i]);
        refused("rotates it");
        a = rig_expect(rig, RIG_ADMIN, &identity, 200);
        rig_answer_done(&a);
        a = rig_expect(rig, RIG_ADMIN, &multicast, 200);
        rig_answer_done(&a);
        joins("harm", 200);
        rig_settings(rig, "{\"key_repair\": true}");
    }
}

struct start {
    struct keys_ring *ring;
    struct keys_care care;
};

static enum cp_err start_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct start *s = arg;

    return keys_ring_start(s->ring, conn, &s->care, err);
}

/* The service starts with that master key. */
static struct keys_care start_with(uint8_t first_byte)
{
    uint8_t key[KEYS_MASTER_SIZE] = {first_byte};
    struct cp_error err = {.code = CP_OK};
    struct start s = {.ring = NULL};

    assert_int_equal(keys_ring_new(key, rig->node_id, &s.ring), CP_OK);
    keys_ring_free(rig->ctx.keyring);
    rig->ctx.keyring = s.ring;
    rig->jobs.keyring = s.ring;
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "start", start_body, &s, &err), CP_OK);
    return s.care;
}

static void another_master_key_is_told(void **state)
{
    struct keys_care care;

    (void)state;
    (void)start_with(7);
    joins("master", 201);
    expect_kind(KEYS "/master", "ok", "sealed under it");
    rig_settings(rig, "{\"key_repair\": false}");
    care = start_with(8);
    assert_int_equal(care.damaged, 2);
    expect_kind(KEYS "/master", "broken", "put the right key back");
    expect_kind(KEYS "/session-secrets", "attention", "cannot be opened");
    expect_kind(IDENTITY, "broken", "sealed under another master key");
    refused("rotates it");
    care = start_with(7); /* the right one is back */
    assert_int_equal(care.damaged, 0);
    expect_kind(KEYS "/master", "ok", "sealed under it");
    joins("master", 200);
    rig_settings(rig, "{\"key_repair\": true}");
    assert_int_equal(rig_events(rig, "identity-key-restored"), 1);
    care = start_with(8);
    assert_int_equal(care.repaired, 3); /* with the identity in overlap */
    assert_int_equal(care.cancelled, 1);
    joins("master", 201);
    expect_kind(KEYS "/master", "ok", "sealed under it");
    assert_int_equal(rig_events(rig, "master-key-foreign"), 2);
    (void)start_with(7);
}

static void open_ring(const struct keys_master_place *place)
{
    struct cp_error err = {.code = CP_OK};
    struct start s = {.ring = NULL};

    keys_ring_free(rig->ctx.keyring);
    assert_int_equal(keys_ring_open(place, rig->ctx.db, rig->node_id, &rig->ctx.keyring, &err),
                     CP_OK);
    rig->jobs.keyring = s.ring = rig->ctx.keyring;
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "start", start_body, &s, &err), CP_OK);
}

/* The service started without the file: everything says so, and nothing is the worse for it. */
static void the_master_key_is_missing(const struct keys_master_place *place)
{
    struct rig_call rotate = post(IDENTITY "/rotate", NULL);
    struct rig_call webhook =
        post("/api/v1/webhooks", "{\"name\": \"w\", \"url\": \"https://hooks.example/w\"}");
    char away[KEYS_PATH_SIZE + 8], before[65], after[65];
    int healed = rig_events(rig, "identity-key-healed");

    active_fingerprint(IDENTITY, before);
    (void)snprintf(away, sizeof away, "%s.away", place->path);
    assert_int_equal(rename(place->path, away), 0);
    open_ring(place);
    expect_kind(KEYS "/master", "broken", "--new-master-key");
    expect_kind(IDENTITY, "broken", "can be used again when that is back");
    expect_kind(MULTICAST, "broken", "master key is missing");
    expect_kind(KEYS "/session-secrets", "attention", "master key is missing");
    refused("goes on by itself");
    rig_refused(rig, RIG_ADMIN, &rotate, "multicast-key-unusable", "master key is missing");
    rig_refused(rig, RIG_ADMIN, &webhook, "multicast-key-unusable", NULL);
    assert_int_equal(access(place->path, F_OK), -1);
    assert_int_equal(rename(away, place->path), 0);
    joins("changed", 200);
    expect_kind(KEYS "/master", "ok", "sealed under it");
    active_fingerprint(IDENTITY, after);
    assert_string_equal(before, after);
    assert_int_equal(rig_events(rig, "master-key-lost"), 1);
    assert_int_equal(rig_events(rig, "identity-key-healed"), healed + 1);
}

/* That is told, and a change writes it anew. */
static void the_master_keys_file_is_lost(const char *path)
{
    struct rig_call rotate = post(KEYS "/master/rotate", NULL);
    struct cp_error err = {.code = CP_OK};
    struct rig_answer a;

    rig_work(rig);
    assert_int_equal(unlink(path), 0);
    expect_kind(KEYS "/master", "broken", "there is none");
    rig_sql("UPDATE tasks SET created_at = now() - interval '61 minutes'");
    assert_int_equal(jobs_ask_due(&rig->jobs, &err), CP_OK);
    rig_work(rig);
    assert_int_equal(rig_events(rig, "master-key-lost"), 2); /* and at a start without it */
    rig_sql("UPDATE tasks SET created_at = created_at - interval '61 minutes'");
    assert_int_equal(jobs_ask_due(&rig->jobs, &err), CP_OK);
    rig_work(rig);
    assert_int_equal(rig_events(rig, "master-key-lost"), 2); /* once */
    rig_sql("SELECT 1 / count(*) AS told FROM task_log l JOIN tasks t ON t.id = l.task_id WHERE"
            " t.kind = 'check-keys' AND t.state = 'done' AND l.level = 'warning'"
            " AND l.text LIKE '%master.key: there is none'");
    a = rig_task(rig, RIG_ADMIN, &rotate, "done");
    rig_answer_done(&a);
    expect_kind(KEYS "/master", "ok", "sealed under it");
    assert_int_equal(access(path, F_OK), 0);
    rig_sql("UPDATE tasks SET created_at = created_at - interval '61 minutes'");
    assert_int_equal(jobs_ask_due(&rig->jobs, &err), CP_OK);
    rig_work(rig);
    assert_int_equal(rig_events(rig, "master-key-found"), 1);
}

/* While it runs: from a file, in one task. */
static void the_master_key_changes(void **state)
{
    struct keys_master_place place = {.credential = false};
    struct rig_call rotate = post(KEYS "/master/rotate", NULL);
    struct rig_call secrets = post(KEYS "/session-secrets/rotate", NULL);
    struct cp_error err = {.code = CP_OK};
    struct rig_answer a;
    char before[65], after[65], old[200];

    (void)state;
    (void)snprintf(place.path, sizeof place.path, "%s/master.key", rig->folder);
    keys_ring_free(rig->ctx.keyring);
    rig_sql("DELETE FROM master_keys"); /* else no file is made */
    assert_int_equal(keys_ring_open(&place, rig->ctx.db, rig->node_id, &rig->ctx.keyring, &err),
                     CP_OK);
    rig->jobs.keyring = rig->ctx.keyring;
    joins("changed", 201);
    active_fingerprint(IDENTITY, before);
    a = rig_task(rig, RIG_ADMIN, &rotate, "done");
    assert_true(rig_number_in(json_object_get(a.json, "result"), "sealed") >= 3);
    rig_answer_done(&a);
    active_fingerprint(IDENTITY, after);
    assert_string_equal(before, after);
    joins("changed", 200);
    expect_kind(KEYS "/master", "ok", "sealed under it");
    expect_kind(KEYS "/session-secrets", "ok", "good secret");
    assert_int_equal(rig_events(rig, "master-key-changed"), 1);
    (void)snprintf(old, sizeof old, "%s.old", place.path);
    assert_int_equal(access(old, F_OK), 0);
    /* A second change at once, and a start afterwards. */
    a = rig_task(rig, RIG_ADMIN, &rotate, "done");
    rig_answer_done(&a);
    keys_ring_free(rig->ctx.keyring);
    assert_int_equal(keys_ring_open(&place, rig->ctx.db, rig->node_id, &rig->ctx.keyring, &err),
                     CP_OK);
    rig->jobs.keyring = rig->ctx.keyring;
    assert_int_equal(access(old, F_OK), -1);
    joins("changed", 200);
    the_master_key_is_missing(&place);
    the_master_keys_file_is_lost(place.path);
    rig_refused(rig, RIG_ADMIN, &secrets, "conflict", "secret of its own");
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &rotate), 403);
}

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
        struct rig_call call = post(path, NULL);

        (void)snprintf(path, sizeof path, "/api/v1/distribution-points/elsewhere/keys/%s",
                       changes[i]);
        rig_refused(rig, RIG_ADMIN, &call, "conflict", "can only be changed there");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_are_shown),
        cmocka_unit_test(a_check_says_what_is_wrong),
        cmocka_unit_test(the_hourly_check_repairs),
        cmocka_unit_test(rotation_asks_for_new_signatures),
        cmocka_unit_test(former_identities_still_certify),
        cmocka_unit_test(the_calendar_is_a_setting),
        cmocka_unit_test(the_calendar_is_kept),
        cmocka_unit_test(revocation_says_what_clients_see),
        cmocka_unit_test(a_revoked_multicast_key_signs_nothing_that_is_given_out),
        cmocka_unit_test(harm_ends_in_success_or_a_code),
        cmocka_unit_test(another_master_key_is_told),
        cmocka_unit_test(the_master_key_changes),
        cmocka_unit_test(other_nodes_are_looked_at_only),
    };

    return cmocka_run_group_tests_name("keys", tests, set_up, rig_tear_down);
}
