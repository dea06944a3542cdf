/* SPDX-License-Identifier: Apache-2.0
 * Steps that many of the API's tests take on the rig: packages, tasks, changes, events, SQL. */
#include "tests/api/rig.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/api/rig_audit.h"

struct rig_call rig_call_get(const char *path)
{
    return (struct rig_call){.method = API_GET, .path = path};
}

struct rig_call rig_call_put(const char *path, const char *data)
{
    return (struct rig_call){.method = API_PUT, .path = path, .data = data, .size = strlen(data)};
}

struct rig_answer rig_get(struct rig *r, enum rig_who who, const char *path)
{
    return rig_expect(r, who, &(struct rig_call){.method = API_GET, .path = path}, 200);
}

void rig_if_match(struct rig *r, const char *path, char ret_header[128])
{
    struct rig_answer a = rig_get(r, RIG_ADMIN, path);

    (void)snprintf(ret_header, 128, "If-Match: %s", rig_header(&a, "ETag"));
    rig_answer_done(&a);
}

void rig_package(struct rig *r, const char *name, const char *more_fields)
{
    struct rig_answer a;
    char path[128];
    char body[256];

    (void)snprintf(body, sizeof body, "{\"name\": \"%s\"%s}", name, more_fields);
    a = rig_expect(r, RIG_OPERATOR,
                   &(struct rig_call){.method = API_POST, .path = "/api/v1/packages", .body = body},
                   201);
    rig_answer_done(&a);
    (void)snprintf(path, sizeof path, "/api/v1/packages/%s/versions", name);
    a = rig_expect(r, RIG_OPERATOR, &(struct rig_call){.method = API_POST, .path = path}, 201);
    assert_int_equal(rig_number(&a, "version"), 1);
    rig_answer_done(&a);
}

void rig_put(struct rig *r, const char *package, int version, const char *path, const char *data)
{
    struct rig_answer a;
    char address[512];

    (void)snprintf(address, sizeof address, "/api/v1/packages/%s/versions/%d/files/%s", package,
                   version, path);
    a = rig_expect(
        r, RIG_OPERATOR,
        &(struct rig_call){.method = API_PUT, .path = address, .data = data, .size = strlen(data)},
        201);
    rig_answer_done(&a);
}

void rig_work(struct rig *r)
{
    struct cp_error err = {.code = CP_OK};
    enum cp_err rc = CP_OK;

    while (rc == CP_OK) {
        rc = jobs_do_one(&r->jobs, NULL, &err);
    }
    if (rc != CP_ERR_NOT_FOUND) {
        fail_msg("%s", err.text);
    }
}

struct rig_answer rig_task(struct rig *r, enum rig_who who, const struct rig_call *call,
                           const char *state)
{
    struct rig_answer a = rig_expect(r, who, call, 202);
    char path[128];

    (void)snprintf(path, sizeof path, "/api/v1/tasks/%s", rig_text(&a, "id"));
    assert_string_equal(rig_header(&a, "Location"), path);
    rig_answer_done(&a);
    rig_work(r);
    a = rig_get(r, RIG_VIEWER, path);
    if (strcmp(rig_text(&a, "state"), state) != 0) {
        fail_msg("%s is not %s: %s", path, state, a.bytes);
    }
    return a;
}

void rig_task_fails(struct rig *r, enum rig_who who, const struct rig_call *call, const char *code,
                    const char *word)
{
    struct rig_answer a = rig_task(r, who, call, "failed");
    const json_t *error = json_object_get(a.json, "error");
    const char *detail = json_string_value(json_object_get(error, "detail"));

    assert_string_equal(json_string_value(json_object_get(error, "code")), code);
    if (word != NULL && (detail == NULL || strstr(detail, word) == NULL)) {
        fail_msg("no '%s' in %s", word, a.bytes);
    }
    rig_answer_done(&a);
}

static struct rig_answer newest_log(const char *kind)
{
    char path[128];
    struct rig_answer tasks, log;

    (void)snprintf(path, sizeof path, "/api/v1/tasks?kind=%s&limit=1", kind);
    tasks = rig_get(rig, RIG_VIEWER, path);
    assert_int_equal(json_array_size(json_object_get(tasks.json, "items")), 1);
    (void)snprintf(path, sizeof path, "/api/v1/tasks/%s/log?limit=1000",
                   rig_text_in(json_array_get(json_object_get(tasks.json, "items"), 0), "id"));
    log = rig_get(rig, RIG_VIEWER, path);
    rig_answer_done(&tasks);
    return log;
}

void rig_log_says(const char *kind, const char *level, const char *words)
{
    struct rig_answer a = newest_log(kind);
    bool found = false;
    json_t *line;
    size_t i;

    json_array_foreach(json_object_get(a.json, "items"), i, line)
    {
        found = found || (strcmp(rig_text_in(line, "level"), level) == 0 &&
                          strstr(rig_text_in(line, "text"), words) != NULL);
    }
    if (!found) {
        fail_msg("no '%s: %s' in the log of %s: %s", level, words, kind, a.bytes);
    }
    rig_answer_done(&a);
}

int rig_log_lines(const char *kind)
{
    struct rig_answer a = newest_log(kind);
    int count = (int)json_array_size(json_object_get(a.json, "items"));

    rig_answer_done(&a);
    return count;
}

void rig_seal(struct rig *r, const char *package, int version)
{
    struct rig_answer a;
    char path[256];

    (void)snprintf(path, sizeof path, "/api/v1/packages/%s/versions/%d/seal", package, version);
    a = rig_task(r, RIG_OPERATOR, &(struct rig_call){.method = API_POST, .path = path}, "done");
    rig_answer_done(&a);
}

void rig_change(struct rig *r, const char *path, const char *body)
{
    struct rig_answer a;
    char match[128];

    rig_if_match(r, path, match);
    a = rig_expect(
        r, RIG_ADMIN,
        &(struct rig_call){.method = API_PATCH, .path = path, .body = body, .headers = {match}},
        200);
    rig_answer_done(&a);
}

void rig_settings(struct rig *r, const char *body)
{
    rig_change(r, "/api/v1/distribution-points/local/settings", body);
}

void rig_content_access(struct rig *r, const char *word)
{
    char body[64];

    (void)snprintf(body, sizeof body, "{\"content_access\": \"%s\"}", word);
    rig_audit_same("updateSettings"); /* it may be so already */
    rig_settings(r, body);
}

int rig_events(struct rig *r, const char *kind)
{
    char path[128];
    struct rig_call call = {.method = API_GET, .path = path};
    struct rig_answer a;
    int count;

    (void)snprintf(path, sizeof path, "/api/v1/events?kind=%s&limit=1000", kind);
    a = rig_expect(r, RIG_VIEWER, &call, 200);
    count = (int)json_array_size(json_object_get(a.json, "items"));
    rig_answer_done(&a);
    return count;
}

void rig_sql(const char *sql)
{
    char command[1024];

    (void)snprintf(command, sizeof command,
                   "psql -qX -v ON_ERROR_STOP=1 \"$CASTPOINT_TEST_DB\" -c \"%s\"", sql);
    assert_int_equal(system(command), 0);
}

void rig_await_lock(void)
{
    rig_sql("DO 'BEGIN FOR i IN 1..2000 LOOP"
            " EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted);"
            " PERFORM pg_sleep(0.01); END LOOP; END'");
}

void rig_write_event(const char *kind, const char *subject)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql, "INSERT INTO events (kind, subject) VALUES ('%s', '%s')", kind,
                   subject);
    rig_sql(sql);
}

int rig_blob_count(struct rig *r)
{
    char path[256];
    int count = 0;
    DIR *outer;

    (void)snprintf(path, sizeof path, "%s/content/sha256", r->folder);
    outer = opendir(path);
    assert_non_null(outer);
    for (struct dirent *e = readdir(outer); e != NULL; e = readdir(outer)) {
        char inner_path[sizeof path + 8];
        DIR *inner;

        if (e->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(inner_path, sizeof inner_path, "%s/%.4s", path, e->d_name);
        inner = opendir(inner_path);
        assert_non_null(inner);
        for (struct dirent *f = readdir(inner); f != NULL; f = readdir(inner)) {
            count += f->d_name[0] != '.';
        }
        (void)closedir(inner);
    }
    (void)closedir(outer);
    return count;
}
