/* SPDX-License-Identifier: Apache-2.0
 * Content access: one decision at every door, and what switching it does to those who came before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/api/join_rig.h"

#define SETTINGS "/api/v1/distribution-points/local/settings"

/* ---- one decision ---- */

static const char *const words[] = {"inherit", "anonymous", "authenticated"};

static void set_package(const char *name, const char *access)
{
    char path[96];
    char body[64];
    char match[128];
    struct rig_answer a;

    (void)snprintf(path, sizeof path, "/api/v1/packages/%s", name);
    (void)snprintf(body, sizeof body, "{\"content_access\": \"%s\"}", access);
    rig_if_match(rig, path, match);
    a = rig_expect(
        rig, RIG_OPERATOR,
        &(struct rig_call){.method = API_PATCH, .path = path, .body = body, .headers = {match}},
        200);
    rig_answer_done(&a);
}

static void check_doors(bool open, enum rig_who who, int client)
{
    /* SHA-256 of what sealed_package() puts into a.bin */
    static const char *const doors[] = {
        "/api/v1/packages/doors/versions/1/manifest",
        "/api/v1/packages/doors/versions/1/files/a.bin",
        "/api/v1/content/c472bb592b0c723ca2b4806400c964951d58fa6ccd247938b29bf5ab0308ce1d"};
    char body[128] = "";
    struct rig_call join = join_call(body);
    int status;

    (void)snprintf(body, sizeof body,
                   "{\"package\": \"doors\", \"client_id\": \"c%d\", \"multicast\": false}",
                   client);
    status = rig_status(rig, who, &join);
    assert_int_equal(status, open ? 201 : 401);
    for (size_t i = 0; i < sizeof doors / sizeof doors[0]; i++) {
        status = rig_status(rig, who, &(struct rig_call){.method = API_GET, .path = doors[i]});
        assert_int_equal(status, open ? 200 : 401);
    }
}

static void every_door_decides_alike(void **state)
{
    int client = 0;

    (void)state;
    sealed_package("doors", "");
    for (int node = 1; node < 3; node++) {
        rig_content_access(rig, words[node]);
        for (int package = 0; package < 3; package++) {
            bool anonymous = package == 1 || (package == 0 && node == 1);

            set_package("doors", words[package]);
            for (int who = RIG_NOBODY; who < RIG_WHO_COUNT; who++) {
                check_doors(who != RIG_NOBODY || anonymous, (enum rig_who)who, client++);
            }
        }
    }
}

/* ---- switching ---- */

static json_int_t consequence(const struct rig_answer *a, const char *name)
{
    return rig_number_in(json_object_get(a->json, "consequences"), name);
}

static struct rig_answer switch_access(const char *path, const char *word)
{
    char body[64];
    char match[128];
    struct rig_call call = {.method = API_PATCH, .path = path, .body = body, .headers = {match}};

    (void)snprintf(body, sizeof body, "{\"content_access\": \"%s\"}", word);
    rig_if_match(rig, path, match);
    return rig_expect(rig, RIG_ADMIN, &call, 200);
}

static const char *secret_of(const struct joined *j)
{
    return rig_text_in(joined_object(j, "session"), "secret");
}

#define MANIFEST(package) "/api/v1/packages/" package "/versions/1/manifest"
#define RECEIVING         "{\"state\": \"receiving\", \"bytes_done\": 1, \"bytes_total\": 30}"

static int fetch_status(const struct joined *j, const char *path)
{
    return rig_status(
        rig, RIG_NOBODY,
        &(struct rig_call){.method = API_GET, .path = path, .authorization = j->bearer});
}

/* Before anything was sent: strangers are out with what they know, the others join again. */
static void who_waits_is_out_at_once(void **state)
{
    struct joined stranger, friend, again, https;
    int closed = rig_events(rig, "access-closed");
    int rekeyed = rig_events(rig, "session-rekeyed");
    struct rig_answer a;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("waiting", "");
    stranger = joined_as(RIG_NOBODY, JOIN("waiting", "c1"), 201);
    friend = joined_as(RIG_CONTENT, JOIN("waiting", "c2"), 201);
    https = joined_as(
        RIG_NOBODY, "{\"package\": \"waiting\", \"client_id\": \"c3\", \"multicast\": false}", 201);
    assert_string_equal(secret_of(&stranger), secret_of(&friend));
    a = switch_access(SETTINGS, "authenticated");
    assert_int_equal(consequence(&a, "receivers_revoked"), 2);
    assert_int_equal(consequence(&a, "receivers_running"), 0);
    assert_int_equal(consequence(&a, "sessions_rekeyed"), 1);
    assert_int_equal(consequence(&a, "sessions_cancelled"), 0);
    assert_int_equal(consequence(&a, "receivers_rejoining"), 1);
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "access-closed"), closed + 1);
    assert_int_equal(rig_events(rig, "session-rekeyed"), rekeyed + 1);

    assert_int_equal(joined_status(&stranger, API_PUT, "/progress", RECEIVING), 401);
    assert_int_equal(fetch_status(&stranger, MANIFEST("waiting")), 401);
    assert_int_equal(fetch_status(&https, MANIFEST("waiting")), 401);
    a = joined_call(&friend, API_PUT, "/progress", RECEIVING, 200);
    assert_string_equal(rig_text(&a, "command"), "leave");
    assert_string_equal(rig_text(&a, "code"), "session-rekeyed");
    rig_answer_done(&a);
    assert_int_equal(fetch_status(&friend, MANIFEST("waiting")), 200);

    again = joined_as(RIG_CONTENT, JOIN("waiting", "c2"), 200);
    assert_string_equal(rig_text_in(joined_object(&again, "session"), "id"),
                        rig_text_in(joined_object(&friend, "session"), "id"));
    assert_string_not_equal(secret_of(&again), secret_of(&friend));
    assert_int_equal(joined_status(&again, API_PUT, "/progress", RECEIVING), 204);

    /* The same answer again changes nothing more. */
    a = switch_access(SETTINGS, "authenticated");
    assert_true(json_is_null(json_object_get(a.json, "consequences")));
    rig_answer_done(&a);
    assert_int_equal(joined_status(&again, API_PUT, "/progress", RECEIVING), 204);
    joined_done(&again);
    joined_done(&stranger);
    joined_done(&friend);
    joined_done(&https);
    end_sessions();
}

/* Strangers who left before the switch know the secret all the same. */
static void who_left_is_out_too(void **state)
{
    struct joined stranger, friend, again;
    int closed = rig_events(rig, "access-closed");
    struct rig_answer a;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("left", "");
    sealed_package("friends", "");
    stranger = joined_as(RIG_NOBODY, JOIN("left", "c1"), 201);
    assert_int_equal(joined_status(&stranger, API_PUT, "/result",
                                   "{\"outcome\": \"failed\", \"code\": \"output-full\"}"),
                     204);
    friend = joined_as(RIG_CONTENT, JOIN("left", "c2"), 201);
    assert_string_equal(secret_of(&stranger), secret_of(&friend));
    again = joined_as(RIG_CONTENT, JOIN("friends", "c2"), 201); /* where no stranger was */
    joined_done(&again);
    a = switch_access(SETTINGS, "authenticated");
    assert_int_equal(consequence(&a, "receivers_revoked"), 0);
    assert_int_equal(consequence(&a, "sessions_rekeyed"), 1);
    assert_int_equal(consequence(&a, "receivers_rejoining"), 1);
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "access-closed"), closed + 1);
    again = joined_as(RIG_CONTENT, JOIN("left", "c2"), 200);
    assert_string_not_equal(secret_of(&again), secret_of(&stranger));
    /* once is enough */
    a = switch_access(SETTINGS, "anonymous");
    rig_answer_done(&a);
    a = switch_access(SETTINGS, "authenticated");
    assert_int_equal(consequence(&a, "sessions_rekeyed"), 0);
    rig_answer_done(&a);
    assert_int_equal(joined_status(&again, API_PUT, "/progress", RECEIVING), 204);
    joined_done(&again);
    joined_done(&friend);
    joined_done(&stranger);
    end_sessions();
}

/* What is being sent goes on; nothing comes by HTTPS any more. */
static void who_receives_goes_on(void **state)
{
    struct joined stranger;
    struct rig_answer a;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("running", "");
    stranger = joined_as(RIG_NOBODY, JOIN("running", "c1"), 201);
    rig_sql("UPDATE sessions SET state = 'running', started_at = now() WHERE ended_at IS NULL");
    assert_int_equal(fetch_status(&stranger, MANIFEST("running")), 200);
    a = switch_access(SETTINGS, "authenticated");
    assert_int_equal(consequence(&a, "receivers_revoked"), 0);
    assert_int_equal(consequence(&a, "receivers_running"), 1);
    assert_int_equal(consequence(&a, "sessions_rekeyed"), 0);
    rig_answer_done(&a);
    assert_int_equal(joined_status(&stranger, API_PUT, "/progress", RECEIVING), 204);
    assert_int_equal(fetch_status(&stranger, MANIFEST("running")), 401);
    /* back again, at once */
    a = switch_access(SETTINGS, "anonymous");
    assert_int_equal(consequence(&a, "receivers_revoked"), 0);
    rig_answer_done(&a);
    assert_int_equal(fetch_status(&stranger, MANIFEST("running")), 200);
    assert_int_equal(joined_status(&stranger, API_PUT, "/result",
                                   "{\"outcome\": \"done\", \"bytes_total\": 30}"),
                     204);
    joined_done(&stranger);
    end_sessions();
}

/* A package's own setting does the same, to its receivers only. */
static void a_package_is_closed_alone(void **state)
{
    struct joined one, other;
    struct rig_answer a;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("one", "");
    sealed_package("other", "");
    one = joined_as(RIG_NOBODY, JOIN("one", "c1"), 201);
    other = joined_as(RIG_NOBODY, JOIN("other", "c1"), 201);
    a = switch_access("/api/v1/packages/one", "authenticated");
    assert_int_equal(consequence(&a, "receivers_revoked"), 1);
    assert_int_equal(consequence(&a, "sessions_rekeyed"), 1);
    rig_answer_done(&a);
    assert_int_equal(joined_status(&one, API_PUT, "/progress", RECEIVING), 401);
    assert_int_equal(joined_status(&other, API_PUT, "/progress", RECEIVING), 204);
    /* one that is open by its own setting stays so when the distribution point closes */
    a = switch_access("/api/v1/packages/other", "anonymous");
    rig_answer_done(&a);
    a = switch_access(SETTINGS, "authenticated");
    assert_int_equal(consequence(&a, "receivers_revoked"), 0);
    rig_answer_done(&a);
    assert_int_equal(joined_status(&other, API_PUT, "/progress", RECEIVING), 204);
    /* the revoked one comes back to its place when it may */
    a = switch_access("/api/v1/packages/one", "anonymous");
    rig_answer_done(&a);
    joined_done(&one);
    one = joined_as(RIG_NOBODY, JOIN("one", "c1"), 200);
    assert_int_equal(joined_status(&one, API_PUT, "/progress", RECEIVING), 204);
    joined_done(&one);
    joined_done(&other);
    end_sessions();
}

/* A session of a node whose master key we do not have. */
static void another_nodes_session_is_cancelled(void **state)
{
    struct joined stranger;
    struct rig_answer a;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("far", "");
    stranger = joined_as(RIG_NOBODY, JOIN("far", "c1"), 201);
    rig_sql("INSERT INTO nodes (name) VALUES ('far-node');"
            "INSERT INTO settings (node_id, content_access)"
            " SELECT id, 'authenticated' FROM nodes WHERE name = 'far-node';"
            "UPDATE receivers SET node_id = (SELECT id FROM nodes WHERE name = 'far-node')"
            " WHERE result_at IS NULL AND session_id IN (SELECT id FROM sessions WHERE ended_at IS"
            " NULL);"
            "UPDATE sessions SET node_id = (SELECT id FROM nodes WHERE name = 'far-node')"
            " WHERE ended_at IS NULL");
    a = switch_access(SETTINGS, "authenticated");
    assert_int_equal(consequence(&a, "sessions_cancelled"), 1);
    assert_int_equal(consequence(&a, "sessions_rekeyed"), 0);
    rig_answer_done(&a);
    assert_int_equal(joined_status(&stranger, API_PUT, "/progress", RECEIVING), 401);
    joined_done(&stranger);
}

/* ---- joins beside a switch ---- */

#define JOINERS 4

struct joiner {
    pthread_t thread;
    int number;
    atomic_bool *stop;
    int joined, refused;
    bool wrong; /* cmocka's assertions are for the main thread only */
};

static void *join_on_and_on(void *arg)
{
    struct joiner *j = arg;
    struct api_pair type = {"Content-Type", "application/json"};
    char body[128];
    struct api_request rq = {.method = API_POST,
                             .path = "/api/v1/joins",
                             .headers = &type,
                             .header_count = 1,
                             .body = body,
                             .remote = "192.0.2.8",
                             .request_id = "joins"};

    for (int i = 0; !atomic_load(j->stop); i++) {
        struct api_response rs;

        (void)snprintf(body, sizeof body,
                       "{\"package\": \"raced\", \"client_id\": \"c%d-%d\", \"multicast\": %s}",
                       j->number, i, i % 2 == 0 ? "true" : "false");
        rq.body_size = strlen(body);
        rs = api_handle(&rig->ctx, &rq);
        j->joined += rs.status == 201;
        j->refused += rs.status == 401;
        j->wrong |= rs.status != 201 && rs.status != 401;
        api_response_done(&rs);
    }
    return NULL;
}

/* Once the switch is answered there is nobody left who slipped in beside it. */
static void nobody_slips_in_beside_a_switch(void **state)
{
    static const char check[] =
        "SELECT 1 / (count(*) = 0)::int /* fails when there is one */ FROM receivers r"
        " LEFT JOIN sessions s ON s.id = r.session_id WHERE r.account_id IS NULL"
        " AND r.state = 'joined' AND coalesce(s.state, 'waiting') = 'waiting'";
    struct joiner joiners[JOINERS] = {{.number = 0}};
    atomic_bool stop = false;
    int joined = 0;
    int refused = 0;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("raced", "");
    for (int i = 0; i < JOINERS; i++) {
        joiners[i].number = i;
        joiners[i].stop = &stop;
        assert_int_equal(pthread_create(&joiners[i].thread, NULL, join_on_and_on, &joiners[i]), 0);
    }
    for (int i = 0; i < 10; i++) {
        rig_content_access(rig, "authenticated");
        rig_sql(check);
        rig_content_access(rig, "anonymous");
    }
    atomic_store(&stop, true);
    for (int i = 0; i < JOINERS; i++) {
        assert_int_equal(pthread_join(joiners[i].thread, NULL), 0);
        assert_false(joiners[i].wrong);
        joined += joiners[i].joined;
        refused += joiners[i].refused;
    }
    assert_true(joined > 0);
    assert_true(refused > 0);
    end_sessions();
}

/* Several accounts at once: a password is changed without an outage. */
static void a_password_changes_over(void **state)
{
    struct rig_call make = {.method = API_POST, .path = "/api/v1/accounts"};
    struct rig_call call = join_call(JOIN("over", "c1"));
    char old[256];
    char new[256];
    char match[128];

    (void)state;
    rig_content_access(rig, "authenticated");
    sealed_package("over", "");
    make.body = "{\"name\": \"fetch-2026\", \"role\": \"content\", \"password\": \"old password\"}";
    assert_int_equal(rig_status(rig, RIG_ADMIN, &make), 201);
    make.body = "{\"name\": \"fetch-2027\", \"role\": \"content\", \"password\": \"new password\"}";
    assert_int_equal(rig_status(rig, RIG_ADMIN, &make), 201);
    rig_basic("fetch-2026", "old password", old);
    rig_basic("fetch-2027", "new password", new);
    call.authorization = old;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 201);
    call = join_call(JOIN("over", "c2"));
    call.authorization = new;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 201);
    rig_if_match(rig, "/api/v1/accounts/fetch-2026", match);
    assert_int_equal(rig_status(rig, RIG_ADMIN,
                                &(struct rig_call){.method = API_DELETE,
                                                   .path = "/api/v1/accounts/fetch-2026",
                                                   .headers = {match}}),
                     204);
    call = join_call(JOIN("over", "c3"));
    call.authorization = old;
    rig_refused(rig, RIG_NOBODY, &call, "authentication-failed", NULL);
    call.authorization = new;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 201);
    end_sessions();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_door_decides_alike),
        cmocka_unit_test(who_waits_is_out_at_once),
        cmocka_unit_test(who_left_is_out_too),
        cmocka_unit_test(who_receives_goes_on),
        cmocka_unit_test(a_package_is_closed_alone),
        cmocka_unit_test(another_nodes_session_is_cancelled),
        cmocka_unit_test(nobody_slips_in_beside_a_switch),
        cmocka_unit_test(a_password_changes_over),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
