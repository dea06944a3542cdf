/* SPDX-License-Identifier: Apache-2.0
 * What the rig holds against every test at its end. */
#include "tests/api/rig_audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/framework/router.h"
#include "db/audit.h"

#define OPERATIONS_MAX 128

static const char *operations[OPERATIONS_MAX]; /* of the route table */
static size_t operation_count;

/* What receivers say of themselves, and the pieces of an upload: its begin and end are changes. */
static bool is_exempt(const char *operation)
{
    static const char *const words[] = {"createJoin", "putProgress", "putResult", "continueUpload"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], operation) == 0) {
            return true;
        }
    }
    return false;
}

static void keep(const char *operation)
{
    for (size_t i = 0; i < operation_count; i++) {
        if (strcmp(operations[i], operation) == 0) {
            return;
        }
    }
    assert_true(operation_count < OPERATIONS_MAX);
    operations[operation_count++] = operation;
}

void rig_audit_note(const struct api_request *rq, int status)
{
    struct api_match match = {.route = NULL};
    const struct api_route *routes;
    bool dry = false;
    size_t count;

    for (size_t i = 0; i < rq->query_count; i++) {
        dry = dry || strcmp(rq->query[i].name, "dry_run") == 0;
    }
    if (status < 200 || status > 299 || dry ||
        (rq->method != API_POST && rq->method != API_PUT && rq->method != API_PATCH &&
         rq->method != API_DELETE)) {
        return;
    }
    routes = api_routes(&count);
    if (api_route_find(routes, count, rq->method, rq->path, &match, NULL) == CP_OK &&
        !is_exempt(match.route->operation)) {
        keep(match.route->operation);
    }
    api_match_done(&match);
}

void rig_audit_forget(const char *operation)
{
    for (size_t i = 0; i < operation_count; i++) {
        if (strcmp(operations[i], operation) == 0) {
            operations[i] = operations[--operation_count];
            return;
        }
    }
}

struct look {
    const char *operation;
    size_t found;
};

static enum cp_err look_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    static const enum db_audit_outcome outcomes[] = {DB_AUDIT_DONE, DB_AUDIT_ACCEPTED};
    struct look *l = arg;

    l->found = 0;
    for (size_t i = 0; i < 2 && l->found == 0; i++) {
        struct db_audit_filter filter = {.operation = l->operation, .outcome = &outcomes[i]};
        struct db_audit row = {.before = NULL};

        CP_TRY(db_audit_list(conn, &filter, 0, 1, &row, &l->found, err));
        free(row.before);
        free(row.after);
    }
    return CP_OK;
}

void rig_audit_check(struct rig *r)
{
    struct cp_error err = {.code = CP_OK};
    bool good = true;

    for (size_t i = 0; i < operation_count; i++) {
        struct look look = {.operation = operations[i]};

        if (db_run_read(r->ctx.db, "look", look_body, &look, &err) != CP_OK) {
            print_error("audit log: %s\n", err.text);
            good = false;
        } else if (look.found == 0) {
            print_error("%s changed something, but is not in the audit log\n", operations[i]);
            good = false;
        }
    }
    assert_true(good);
}

/* What tests write by hand is of no node. */
void rig_audit_kinds(void)
{
    if (getenv("CASTPOINT_EVENT_KINDS") != NULL) {
        assert_int_equal(system("psql -qAtX -v ON_ERROR_STOP=1 \"$CASTPOINT_TEST_DB\" -c 'SELECT "
                                "DISTINCT kind FROM events WHERE node_id IS NOT NULL' > "
                                "\"$CASTPOINT_EVENT_KINDS\""),
                         0);
    }
}
