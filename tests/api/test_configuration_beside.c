/* SPDX-License-Identifier: Apache-2.0
 * An import of the configuration beside what others do: joins that are under way or must end, and
 * changes of what is imported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "db/access.h"
#include "db/package.h"
#include "tests/api/configuration_rig.h"
#include "tests/api/join_rig.h"

#define CLOSE                                                                                      \
    "{\"format\": 1, \"packages\": [{\"name\": \"side-a\", \"content_access\": "                   \
    "\"authenticated\"},"                                                                          \
    " {\"name\": \"side-b\", \"content_access\": \"authenticated\"}]}"

/* A join that is under way: with its lock a change of access waits. */
static enum cp_err import_beside_a_join(struct db_conn *conn, void *arg, struct cp_error *err)
{
    char change[128];
    struct rig_answer a;

    (void)arg;
    CP_TRY(db_access_joining(conn, err));
    a = conf_put("",
                 "{\"format\": 1, \"packages\": [{\"name\": \"side-a\", \"multicast\": \"off\"}]}");
    assert_int_equal(conf_changes(&a, change), 1);
    rig_answer_done(&a);
    a = conf_put("?dry_run=true", CLOSE);
    assert_int_equal(conf_changes(&a, change), 2);
    rig_answer_done(&a);
    return CP_OK;
}

static void joins_wait_only_for_a_change_of_access(void **state)
{
    struct cp_error err = {.code = CP_OK};

    (void)state;
    sealed_package("side-a", ", \"content_access\": \"anonymous\"");
    sealed_package("side-b", ", \"content_access\": \"anonymous\"");
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "join", import_beside_a_join, NULL, &err),
                     CP_OK);
}

/* Whoever must leave does, once for all packages. */
static void access_is_settled_once(void **state)
{
    static const char *const joins[] = {
        "{\"package\": \"side-a\", \"client_id\": \"a\", \"multicast\": false}",
        "{\"package\": \"side-b\", \"client_id\": \"b\", \"multicast\": false}"};
    int closed = rig_events(rig, "access-closed");
    struct rig_answer a;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        a = rig_expect(
            rig, RIG_NOBODY,
            &(struct rig_call){.method = API_POST, .path = "/api/v1/joins", .body = joins[i]}, 201);
        rig_answer_done(&a);
    }
    a = conf_put("", CLOSE);
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "access-closed"), closed + 1);
    rig_sql("SELECT 1 / (count(*) = 0)::int FROM receivers WHERE client_id IN ('a', 'b')"
            " AND state <> 'failed'");
}

/* Changes the package, and commits when the import, which has read it before, waits for it. */
static enum cp_err change_under_the_import(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct conf_importer *i = arg;
    struct db_package *p = calloc(1, sizeof *p);
    enum cp_err rc;

    assert_non_null(p);
    rc = db_package_get(conn, "side-a", p, err);
    (void)snprintf(p->description, sizeof p->description, "meanwhile");
    if (rc == CP_OK) {
        rc = db_package_update(conn, p, p, err);
    }
    free(p);
    conf_import_begin(i);
    rig_await_lock();
    return rc;
}

/* The import asks for no revision: what others change meanwhile does not refuse it, and stays. */
static void others_change_what_is_imported(void **state)
{
    struct conf_importer i = {
        .body =
            "{\"format\": 1, \"packages\": [{\"name\": \"side-a\", \"multicast\": \"require\"}]}"};
    struct cp_error err = {.code = CP_OK};
    struct rig_answer a;

    (void)state;
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "change", change_under_the_import, &i, &err),
                     CP_OK);
    conf_import_end(&i);
    assert_int_equal(i.status, 200);
    a = rig_get(rig, RIG_ADMIN, "/api/v1/packages/side-a");
    assert_string_equal(rig_text(&a, "multicast"), "require");
    assert_string_equal(rig_text(&a, "description"), "meanwhile");
    rig_answer_done(&a);
    rig_sql("DELETE FROM packages");
}

/* ---- accounts that take from each other ---- */

static void expect_principal(const char *path, const char *principal)
{
    struct rig_answer a = rig_get(rig, RIG_ADMIN, path);

    assert_string_equal(rig_text(&a, "principal"), principal);
    rig_answer_done(&a);
}

static void accounts_take_from_each_other(void **state)
{
    struct rig_answer a;

    (void)state;
    a = conf_put("", "{\"format\": 1, \"accounts\": ["
                     "{\"name\": \"a1\", \"role\": \"viewer\", \"principal\": \"x@R\"},"
                     "{\"name\": \"b1\", \"role\": \"viewer\", \"principal\": \"y@R\"}]}");
    rig_answer_done(&a);
    a = conf_put("", "{\"format\": 1, \"accounts\": ["
                     "{\"name\": \"a1\", \"principal\": \"y@R\"},"
                     "{\"name\": \"b1\", \"principal\": \"x@R\"}]}");
    rig_answer_done(&a);
    expect_principal("/api/v1/accounts/a1", "y@R");
    expect_principal("/api/v1/accounts/b1", "x@R");
    conf_refused("", "{\"format\": 1, \"accounts\": [{\"name\": \"a1\", \"principal\": \"x@R\"}]}",
                 "conflict", "one principal");
    expect_principal("/api/v1/accounts/a1", "y@R");
    /* from one that is pruned, which comes last */
    a = conf_put("?prune=true",
                 "{\"format\": 1, \"accounts\": [{\"name\": \"admin\"},"
                 "{\"name\": \"content\"}, {\"name\": \"viewer\"}, {\"name\": \"operator\"},"
                 "{\"name\": \"new\", \"role\": \"viewer\", \"principal\": \"x@R\"}]}");
    rig_answer_done(&a);
    expect_principal("/api/v1/accounts/new", "x@R");
}

static void another_administrator_may_come_later(void **state)
{
    struct rig_answer a = conf_put("?dry_run=true", "{\"format\": 1, \"accounts\": ["
                                                    "{\"name\": \"admin\", \"role\": \"viewer\"},"
                                                    "{\"name\": \"zz\", \"role\": \"admin\"}]}");

    (void)state;
    assert_int_equal(conf_changes(&a, (char[128]){""}), 2);
    rig_answer_done(&a);
    conf_refused("?dry_run=true",
                 "{\"format\": 1, \"accounts\": [{\"name\": \"admin\", \"role\": \"viewer\"},"
                 "{\"name\": \"zz\", \"role\": \"admin\", \"enabled\": false}]}",
                 "conflict", "last enabled administrator");
}

/* ---- settings ---- */

static void a_distribution_point_has_one_item(void **state)
{
    struct rig_answer a = rig_get(rig, RIG_ADMIN, "/api/v1/distribution-points/local");
    char body[256];

    (void)state;
    (void)snprintf(body, sizeof body,
                   "{\"format\": 1, \"distribution_points\": [{\"name\": \"local\","
                   " \"settings\": {}}, {\"name\": \"%s\", \"settings\": {}}]}",
                   rig_text(&a, "name"));
    rig_answer_done(&a);
    conf_refused("", body, "invalid-request", "twice");
}

static void consequences_are_told(void **state)
{
    static const char *const access[] = {"anonymous", "authenticated", "authenticated"};
    static const bool told[] = {true, true, false}; /* the third one changes nothing */

    (void)state;
    rig_content_access(rig, "authenticated");
    for (size_t i = 0; i < 3; i++) {
        char body[256];
        struct rig_answer a;

        (void)snprintf(body, sizeof body,
                       "{\"format\": 1, \"distribution_points\": [{\"name\": \"local\","
                       " \"settings\": {\"content_access\": \"%s\"}}]}",
                       access[i]);
        a = conf_put("", body);
        assert_true(json_is_object(json_object_get(a.json, "consequences")) == told[i]);
        rig_answer_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_wait_only_for_a_change_of_access),
        cmocka_unit_test(access_is_settled_once),
        cmocka_unit_test(others_change_what_is_imported),
        cmocka_unit_test(another_administrator_may_come_later),
        cmocka_unit_test(accounts_take_from_each_other),
        cmocka_unit_test(a_distribution_point_has_one_item),
        cmocka_unit_test(consequences_are_told),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
