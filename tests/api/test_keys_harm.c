/* SPDX-License-Identifier: Apache-2.0
 * The founding story's harm to keys, and the master key's: whatever happens ends in success or in a
 * code that says what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "keys/care.h"
#include "keys/master.h"
#include "tests/api/key_rig.h"

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
    struct rig_call identity = key_post(KEY_IDENTITY "/rotate", NULL);
    struct rig_call multicast = key_post(KEY_MULTICAST "/rotate", NULL);
    struct rig_answer a;

    (void)state;
    for (size_t i = 0; i < sizeof harm / sizeof harm[0]; i++) {
        rig_sql(harm[i]);
        key_joins("harm", 200 + (i == 0));
        rig_settings(rig, "{\"key_repair\": false}");
        rig_sql(harm[i]);
        key_refused("rotates it");
        a = rig_expect(rig, RIG_ADMIN, &identity, 200);
        rig_answer_done(&a);
        a = rig_expect(rig, RIG_ADMIN, &multicast, 200);
        rig_answer_done(&a);
        key_joins("harm", 200);
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
    key_joins("master", 201);
    key_expect(KEY_ALL "/master", "ok", "sealed under it");
    rig_settings(rig, "{\"key_repair\": false}");
    care = start_with(8);
    assert_int_equal(care.damaged, 2);
    key_expect(KEY_ALL "/master", "broken", "put the right key back");
    key_expect(KEY_ALL "/session-secrets", "attention", "cannot be opened");
    key_expect(KEY_IDENTITY, "broken", "sealed under another master key");
    key_refused("rotates it");
    care = start_with(7); /* the right one is back */
    assert_int_equal(care.damaged, 0);
    key_expect(KEY_ALL "/master", "ok", "sealed under it");
    key_joins("master", 200);
    rig_settings(rig, "{\"key_repair\": true}");
    assert_int_equal(rig_events(rig, "identity-key-restored"), 1);
    care = start_with(8);
    assert_int_equal(care.repaired, 3); /* with the identity in overlap */
    assert_int_equal(care.cancelled, 1);
    key_joins("master", 201);
    key_expect(KEY_ALL "/master", "ok", "sealed under it");
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
    struct rig_call rotate = key_post(KEY_IDENTITY "/rotate", NULL);
    struct rig_call webhook =
        key_post("/api/v1/webhooks", "{\"name\": \"w\", \"url\": \"https://hooks.example/w\"}");
    char away[KEYS_PATH_SIZE + 8], before[65], after[65];
    int healed = rig_events(rig, "identity-key-healed");

    key_fingerprint(KEY_IDENTITY, before);
    (void)snprintf(away, sizeof away, "%s.away", place->path);
    assert_int_equal(rename(place->path, away), 0);
    open_ring(place);
    key_expect(KEY_ALL "/master", "broken", "--new-master-key");
    key_expect(KEY_IDENTITY, "broken", "can be used again when that is back");
    key_expect(KEY_MULTICAST, "broken", "master key is missing");
    key_listed("master", "broken", "--new-master-key");
    key_expect(KEY_ALL "/session-secrets", "attention", "master key is missing");
    key_refused("goes on by itself");
    rig_refused(rig, RIG_ADMIN, &rotate, "multicast-key-unusable", "master key is missing");
    rig_refused(rig, RIG_ADMIN, &webhook, "multicast-key-unusable", NULL);
    assert_int_equal(access(place->path, F_OK), -1);
    assert_int_equal(rename(away, place->path), 0);
    key_joins("changed", 200);
    key_expect(KEY_ALL "/master", "ok", "sealed under it");
    key_fingerprint(KEY_IDENTITY, after);
    assert_string_equal(before, after);
    assert_int_equal(rig_events(rig, "master-key-lost"), 1);
    assert_int_equal(rig_events(rig, "identity-key-healed"), healed + 1);
}

/* That is told, and a change writes it anew. */
static void the_master_keys_file_is_lost(const char *path)
{
    struct rig_call rotate = key_post(KEY_ALL "/master/rotate", NULL);
    struct cp_error err = {.code = CP_OK};
    struct rig_answer a;

    rig_work(rig);
    assert_int_equal(unlink(path), 0);
    key_expect(KEY_ALL "/master", "broken", "there is none");
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
    rig_log_says("rotate-master-key", "info", "The master key is a new one, ");
    key_expect(KEY_ALL "/master", "ok", "sealed under it");
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
    struct rig_call rotate = key_post(KEY_ALL "/master/rotate", NULL);
    struct rig_call secrets = key_post(KEY_ALL "/session-secrets/rotate", NULL);
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
    key_joins("changed", 201);
    key_fingerprint(KEY_IDENTITY, before);
    a = rig_task(rig, RIG_ADMIN, &rotate, "done");
    assert_true(rig_number_in(json_object_get(a.json, "result"), "sealed") >= 3);
    rig_answer_done(&a);
    key_fingerprint(KEY_IDENTITY, after);
    assert_string_equal(before, after);
    key_joins("changed", 200);
    key_expect(KEY_ALL "/master", "ok", "sealed under it");
    key_expect(KEY_ALL "/session-secrets", "ok", "good secret");
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
    key_joins("changed", 200);
    the_master_key_is_missing(&place);
    the_master_keys_file_is_lost(place.path);
    rig_refused(rig, RIG_ADMIN, &secrets, "conflict", "secret of its own");
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &rotate), 403);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(harm_ends_in_success_or_a_code),
        cmocka_unit_test(another_master_key_is_told),
        cmocka_unit_test(the_master_key_changes),
    };

    return cmocka_run_group_tests_name("keys, harm", tests, key_set_up, rig_tear_down);
}
