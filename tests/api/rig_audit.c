/* SPDX-License-Identifier: Apache-2.0
 * What the rig holds against every test at its end. */
#include "tests/api/rig_audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

/* ---- before and after ---- */

#define ROWS 100

struct rows {
    uint64_t before;
    struct db_audit row[ROWS];
    size_t count;
};

/* PATCH operations. One that asks for what is so already has the same before and after; that all
 * calls of an operation do so only a test may say that means it. */
static struct {
    char operation[DB_NAME_SIZE];
    bool different;
} patches[OPERATIONS_MAX];
static size_t patch_count;
static const char *same[OPERATIONS_MAX];
static size_t same_count;

void rig_audit_same(const char *operation)
{
    for (size_t i = 0; i < same_count; i++) {
        if (strcmp(same[i], operation) == 0) {
            return;
        }
    }
    assert_true(same_count < OPERATIONS_MAX);
    same[same_count++] = operation;
}

static void note_patch(const char *operation, bool different)
{
    size_t i = 0;

    while (i < patch_count && strcmp(patches[i].operation, operation) != 0) {
        i++;
    }
    if (i == patch_count) {
        assert_true(patch_count++ < OPERATIONS_MAX);
        (void)snprintf(patches[i].operation, sizeof patches[i].operation, "%s", operation);
    }
    patches[i].different = patches[i].different || different;
}

static bool patches_differ(void)
{
    bool good = true;

    for (size_t i = 0; i < patch_count; i++) {
        bool fine = patches[i].different;

        for (size_t k = 0; k < same_count; k++) {
            fine = fine || strcmp(same[k], patches[i].operation) == 0;
        }
        if (!fine) {
            print_error("audit log: %s always has an after like its before\n",
                        patches[i].operation);
            good = false;
        }
    }
    return good;
}

static enum cp_err rows_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    static const enum db_audit_outcome done = DB_AUDIT_DONE;
    const struct db_audit_filter filter = {.outcome = &done};
    struct rows *r = arg;

    return db_audit_list(conn, &filter, r->before, ROWS, r->row, &r->count, err);
}

/* Entries that tell less, and why that is enough. */
static const struct {
    const char *operation, *subject; /* NULL: any */
    bool no_before, no_after;
    const char *why;
} allowed[] = {
    {NULL, "content access", true, false,
     "what a change of access did to receivers, in numbers; the change has an entry of its own"},
    {"continueUpload", NULL, true, false, "the last piece makes a file, which was not there"},
    {"putConfiguration", NULL, true, true, "it creates, changes and deletes: one of both is there"},
};

static void look_up(const struct db_audit *row, bool *ret_no_before, bool *ret_no_after)
{
    *ret_no_before = strcmp(row->method, "PATCH") != 0 && strcmp(row->method, "DELETE") != 0;
    *ret_no_after = strcmp(row->method, "DELETE") == 0;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        if ((allowed[i].operation == NULL || strcmp(allowed[i].operation, row->operation) == 0) &&
            (allowed[i].subject == NULL || strcmp(allowed[i].subject, row->subject) == 0)) {
            *ret_no_before = *ret_no_before || allowed[i].no_before;
            *ret_no_after = *ret_no_after || allowed[i].no_after;
        }
    }
}

static bool look_at(const struct rows *rows)
{
    bool good = true;

    for (size_t i = 0; i < rows->count; i++) {
        const struct db_audit *row = &rows->row[i];
        bool before = row->before_size > 0;
        bool after = row->after_size > 0;
        bool no_before, no_after;

        look_up(row, &no_before, &no_after);
        if ((!before && !no_before) || (!after && !no_after) || (!before && !after)) {
            print_error("audit log: %s of '%s' has too little: before '%s', after '%s'\n",
                        row->operation, row->subject, row->before, row->after);
            good = false;
        }
        if (strcmp(row->method, "PATCH") == 0 && before && after && !no_before) {
            note_patch(row->operation, strcmp(row->before, row->after) != 0);
        }
    }
    return good;
}

/* Every change that was made tells what was before and what is after. */
static bool rows_are_whole(struct rig *r)
{
    struct rows *rows = calloc(1, sizeof *rows);
    struct cp_error err = {.code = CP_OK};
    bool good = true;

    assert_non_null(rows);
    do {
        if (db_run_read(r->ctx.db, "rows", rows_body, rows, &err) != CP_OK) {
            print_error("audit log: %s\n", err.text);
            good = false;
            break;
        }
        good = look_at(rows) && good;
        for (size_t i = 0; i < rows->count; i++) {
            rows->before = rows->row[i].id;
            free(rows->row[i].before);
            free(rows->row[i].after);
        }
    } while (rows->count == ROWS);
    free(rows);
    return patches_differ() && good;
}

bool rig_audit_check(struct rig *r)
{
    struct cp_error err = {.code = CP_OK};
    bool good = rows_are_whole(r);

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
    return good;
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
