/* SPDX-License-Identifier: Apache-2.0
 * Import of a configuration with thousands of packages: what it does is told by a few statements a
 * batch, not by some for each package, and is the same as for each alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/package.h"
#include "tests/api/configuration_rig.h"

/* More than a few batches, and the last one is not full. */
#define MANY 2345

/* ---- how often the database is asked ---- */

struct pg_conn;
struct pg_result;
struct db_patience;

static atomic_size_t round_trips;

/* Every answer of PostgreSQL's is waited for here. */
struct pg_result *__real_db_wait(struct pg_conn *pg, int sent, const struct db_patience *patience,
                                 bool *ret_silent);
struct pg_result *__wrap_db_wait(struct pg_conn *pg, int sent, const struct db_patience *patience,
                                 bool *ret_silent);
struct pg_result *__wrap_db_wait(struct pg_conn *pg, int sent, const struct db_patience *patience,
                                 bool *ret_silent)
{
    atomic_fetch_add(&round_trips, 1);
    return __real_db_wait(pg, sent, patience, ret_silent);
}

/* Of a request: who asks, beginning and end, and what is prepared for the first time. */
#define FRAME 60

static struct rig_answer put_within(const char *query, const char *body, size_t most)
{
    size_t before = atomic_load(&round_trips);
    struct rig_answer a = conf_put(query, body);
    size_t count = atomic_load(&round_trips) - before;

    if (count == 0 || count > most) {
        fail_msg("%zu round trips, not up to %zu", count, most);
    }
    return a;
}

/* ---- documents ---- */

/* Neither in the order of names nor the other way. */
static void name_of(int i, char ret_name[32])
{
    (void)snprintf(ret_name, 32, "many-%04d", i * 1009 % MANY);
}

/* Their places are their descriptions. */
static json_t *many_packages(void)
{
    json_t *list = json_array();

    for (int i = 0; i < MANY; i++) {
        char name[32];
        char place[32];

        name_of(i, name);
        (void)snprintf(place, sizeof place, "%d", i);
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:{s:s}}", "name", name,
                                                    "description", place, "labels", "os", "x"));
    }
    return list;
}

/* Takes the list over. */
static char *document_of(json_t *list)
{
    json_t *document = json_pack("{s:i, s:o}", "format", 1, "packages", list);
    char *text = json_dumps(document, JSON_COMPACT);

    json_decref(document);
    assert_non_null(text);
    return text;
}

static void expect_counts(struct rig_answer *a, int created, int changed, int deleted)
{
    const json_t *counts = json_object_get(a->json, "counts");
    int sum = created + changed + deleted;

    assert_int_equal(rig_number_in(counts, "create"), created);
    assert_int_equal(rig_number_in(counts, "change"), changed);
    assert_int_equal(rig_number_in(counts, "delete"), deleted);
    assert_int_equal(json_array_size(json_object_get(a->json, "changes")), sum < 1000 ? sum : 1000);
    rig_answer_done(a);
}

static struct rig_answer get_configuration(void)
{
    return rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = CONFIGURATION},
                      200);
}

/* Fails by a division unless each change of a package by the last import has its event and its
 * entry, in one order. */
#define TOLD_ALIKE                                                                                 \
    "SELECT 1 / (count(*) FILTER (WHERE e.subject IS DISTINCT FROM a.subject OR"                   \
    " e.n IS NULL OR a.n IS NULL) = 0)::int FROM"                                                  \
    " (SELECT subject, row_number() OVER (ORDER BY id) n FROM events) e FULL JOIN"                 \
    " (SELECT subject, row_number() OVER (ORDER BY id) n FROM audit"                               \
    "  WHERE operation = 'putConfiguration') a USING (n)"

static void only_what_comes_now(void)
{
    rig_sql("ALTER TABLE audit DISABLE TRIGGER audit_protect; DELETE FROM events;"
            " DELETE FROM audit; ALTER TABLE audit ENABLE TRIGGER audit_protect");
}

/* ---- tests ---- */

static void new_ones_are_made_in_batches(void **state)
{
    char *body = document_of(many_packages());
    char last[32]; /* that is shown */
    struct rig_answer a;

    (void)state;
    a = put_within("?dry_run=true", body, FRAME + MANY / 20);
    expect_counts(&a, MANY, 0, 0);
    rig_sql("SELECT 1 / (count(*) = 0)::int FROM packages");
    assert_int_equal(rig_events(rig, "package-created"), 0);
    a = put_within("", body, FRAME + MANY / 20);
    name_of(999, last);
    assert_string_equal(
        rig_text_in(json_array_get(json_object_get(a.json, "changes"), 999), "name"), last);
    expect_counts(&a, MANY, 0, 0);
    /* an event of each, in the order of the document, with what GET shows */
    rig_sql("SELECT 1 / (count(*) FILTER (WHERE place = n) = 2345)::int FROM (SELECT"
            " (detail->>'description')::int place, row_number() OVER (ORDER BY e.id) - 1 n"
            " FROM events e JOIN packages p ON p.id = (detail->>'id')::uuid"
            " AND e.subject = 'package ' || p.name AND e.detail->'labels' = p.labels"
            " WHERE kind = 'package-created') x");
    rig_sql(
        "SELECT 1 / (count(*) FILTER (WHERE place = n AND before IS NULL) = 2345)::int FROM"
        " (SELECT (after->>'description')::int place, before, row_number() OVER (ORDER BY id) - 1"
        " n FROM audit WHERE operation = 'putConfiguration' AND subject LIKE 'package %') x");
    free(body);
}

static void what_is_there_is_read_in_batches(void **state)
{
    char *body = document_of(many_packages());
    int imported = rig_events(rig, "configuration-imported");
    struct rig_answer a;

    (void)state;
    a = put_within("?dry_run=true", body, FRAME);
    expect_counts(&a, 0, 0, 0);
    a = put_within("", body, FRAME);
    expect_counts(&a, 0, 0, 0);
    a = put_within("?prune=true", body, FRAME);
    expect_counts(&a, 0, 0, 0);
    assert_int_equal(rig_events(rig, "configuration-imported"), imported);
    free(body);
}

/* Some change, some are new, some ask for a version that is not here, and the rest is as it was. */
static void a_mixed_one_does_the_same_as_each_alone(void **state)
{
    json_t *list = many_packages();
    struct rig_answer a;
    int changed = 0;
    int left = 0;
    char *body;

    (void)state;
    only_what_comes_now();
    for (int i = 0; i < MANY; i++) {
        json_t *item = json_array_get(list, (size_t)i);

        if (i % 3 == 0) {
            (void)json_object_set_new(item, "multicast", json_string("off"));
            changed++;
        }
        if (i % 5 == 0) {
            (void)json_object_set_new(item, "current", json_integer(7));
            left++;
        }
        if (i % 100 == 0) {
            char name[32];

            (void)snprintf(name, sizeof name, "extra-%d", i);
            (void)json_array_append_new(list, json_pack("{s:s, s:b}", "name", name, "encrypt", 0));
        }
    }
    body = document_of(list);
    a = put_within("?dry_run=true", body, FRAME + MANY / 20);
    expect_counts(&a, (MANY + 99) / 100, changed, 0);
    a = put_within("", body, FRAME + MANY / 20);
    assert_int_equal(json_array_size(json_object_get(a.json, "left")), left);
    expect_counts(&a, (MANY + 99) / 100, changed, 0);
    assert_int_equal(rig_events(rig, "package-changed"), changed);
    rig_sql(TOLD_ALIKE);
    rig_sql("SELECT 1 / (count(*) FILTER (WHERE (policy = 'off') = (description::int % 3 = 0) AND"
            " (policy = 'off') = (updated_at > created_at) AND labels->>'os' = 'x') = 2345)::int"
            " FROM packages WHERE name LIKE 'many-%'");
    rig_sql("SELECT 1 / (count(*) FILTER (WHERE before->>'multicast' = 'prefer'"
            " AND after->>'multicast' = 'off') = count(*))::int FROM audit a"
            " JOIN events e ON e.subject = a.subject WHERE e.kind = 'package-changed'");
    a = put_within("", body, FRAME); /* again: the versions are not there yet */
    assert_int_equal(json_array_size(json_object_get(a.json, "left")), left);
    expect_counts(&a, 0, 0, 0);
    free(body);
}

static void the_rest_is_pruned_in_batches(void **state)
{
    struct rig_answer a;

    (void)state;
    only_what_comes_now();
    a = put_within("?prune=true", "{\"format\": 1, \"packages\": [{\"name\": \"many-0007\"}]}",
                   FRAME + MANY / 20);
    expect_counts(&a, 0, 0, MANY - 1 + (MANY + 99) / 100);
    rig_sql("SELECT 1 / (count(*) = 1 AND min(name) = 'many-0007')::int FROM packages");
    rig_sql(TOLD_ALIKE);
    rig_sql("SELECT 1 / (count(*) = 0)::int FROM audit WHERE subject LIKE 'package %'"
            " AND (after IS NOT NULL OR 'package ' || (before->>'name') <> subject)");
    rig_sql("DELETE FROM packages");
}

/* What stands in names, texts and labels is data, whatever signs it has. */
static void odd_texts_come_back(void **state)
{
    static const char body[] =
        "{\"format\": 1, \"packages\": ["
        "{\"name\": \"null\", \"description\": \"NULL\", \"labels\": {\"a\": \"\"}},"
        "{\"name\": \"odd-1\", \"description\": \"{\\\"a\\\",\\\\b}\","
        " \"labels\": {\"q\": \"\\\"\", \"b\": \"\\\\\", \"c\": \"}, {\", \"u\": \"\\u00fc\"}},"
        "{\"name\": \"odd-2\", \"description\": \"'; DROP TABLE packages; --\"}]}";
    struct rig_answer first;
    struct rig_answer second;
    struct rig_answer a;

    (void)state;
    a = conf_put("", body);
    expect_counts(&a, 3, 0, 0);
    first = get_configuration();
    assert_non_null(strstr(first.bytes, "\"{\\\"a\\\",\\\\b}\""));
    assert_non_null(strstr(first.bytes, "\"'; DROP TABLE packages; --\""));
    assert_non_null(strstr(first.bytes, "\"NULL\""));
    assert_non_null(strstr(first.bytes, "\"q\":\"\\\"\""));
    rig_sql("UPDATE packages SET description = '', labels = '{}'");
    a = conf_put("", first.bytes);
    expect_counts(&a, 0, 3, 0);
    second = get_configuration();
    assert_string_equal(first.bytes, second.bytes);
    rig_answer_done(&first);
    rig_answer_done(&second);
    conf_refused("", "{\"format\": 1, \"packages\": [{\"name\": \"{\\\"x\\\"}\"}]}",
                 "invalid-request", "packages[0].name");
    rig_sql("DELETE FROM packages");
}

/* ---- beside others ---- */

static enum cp_err hold(struct db_conn *conn, void *arg, struct cp_error *err)
{
    static const char *const names[] = {"held", "none"};

    (void)arg;
    CP_TRY(db_package_hold(conn, names, 2, err));
    /* what refers to it (a version, and so a session) checks it by this */
    rig_sql("SELECT FROM packages WHERE name = 'held' FOR KEY SHARE NOWAIT");
    rig_sql("INSERT INTO packages (name) VALUES ('other')");
    return CP_OK;
}

static void who_only_refers_to_a_package_does_not_wait(void **state)
{
    struct cp_error err = {.code = CP_OK};

    (void)state;
    rig_package(rig, "held", "");
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "hold", hold, NULL, &err), CP_OK);
    rig_sql("DELETE FROM packages");
}

/* Makes it, and commits when the import, which has not seen it, waits for the name. */
static enum cp_err make_under_the_import(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct conf_importer *i = arg;
    struct db_package p = {.name = "raced"};
    struct db_package made;

    CP_TRY(db_package_create(conn, &p, &made, err));
    conf_import_begin(i);
    rig_await_lock();
    return CP_OK;
}

static void a_name_that_is_taken_meanwhile_is_a_conflict(void **state)
{
    char body[] = "{\"format\": 1, \"packages\": [{\"name\": \"first\"}, {\"name\": \"raced\","
                  " \"multicast\": \"require\"}]}";
    struct conf_importer i = {.body = body};
    struct cp_error err = {.code = CP_OK};
    struct rig_answer a;

    (void)state;
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "make", make_under_the_import, &i, &err),
                     CP_OK);
    conf_import_end(&i);
    assert_int_equal(i.status, 409);
    rig_sql("SELECT 1 / (count(*) = 1)::int FROM packages"); /* nothing of it */
    a = conf_put("", body);
    expect_counts(&a, 1, 1, 0);
    rig_sql("DELETE FROM packages");
}

/* The same packages in opposite orders at the same time: one waits for the other. */
static void two_at_once_both_succeed(void **state)
{
    struct conf_importer both[2];
    char *bodies[2];
    char *body = document_of(many_packages());
    struct rig_answer a = conf_put("", body);

    (void)state;
    rig_answer_done(&a);
    free(body);
    for (int k = 0; k < 2; k++) {
        json_t *list = many_packages();
        json_t *turned = json_array();

        for (int i = 0; i < MANY; i++) {
            json_t *item = json_array_get(list, (size_t)(k == 0 ? i : MANY - 1 - i));

            (void)json_object_set_new(item, "multicast", json_string(k == 0 ? "off" : "require"));
            (void)json_array_append(turned, item);
        }
        json_decref(list);
        bodies[k] = document_of(turned);
        both[k].body = bodies[k];
        conf_import_begin(&both[k]);
    }
    for (int k = 0; k < 2; k++) {
        conf_import_end(&both[k]);
        assert_int_equal(both[k].status, 200);
        free(bodies[k]);
    }
    rig_sql("SELECT 1 / (count(DISTINCT policy) = 1 AND min(policy) <> 'prefer')::int"
            " FROM packages");
    rig_sql("DELETE FROM packages");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_ones_are_made_in_batches),
        cmocka_unit_test(what_is_there_is_read_in_batches),
        cmocka_unit_test(a_mixed_one_does_the_same_as_each_alone),
        cmocka_unit_test(the_rest_is_pruned_in_batches),
        cmocka_unit_test(odd_texts_come_back),
        cmocka_unit_test(who_only_refers_to_a_package_does_not_wait),
        cmocka_unit_test(a_name_that_is_taken_meanwhile_is_a_conflict),
        cmocka_unit_test(two_at_once_both_succeed),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
