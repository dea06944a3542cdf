/* SPDX-License-Identifier: Apache-2.0
 * Validation of the content library: what it finds, who is told, who is refused, and that the same
 * file uploaded again heals everything. */
#include <linux/ioprio.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/time.h"
#include "tests/api/join_rig.h"
#include "tests/api/library_rig.h"

#define CONTENT "some content that is not empty" /* of sealed_package */
#define VERSION "/api/v1/packages/%s/versions/%d"

static struct rig_answer get(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static struct rig_answer get(const char *fmt, ...)
{
    char path[256];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(path, sizeof path, fmt, args);
    va_end(args);
    return rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path}, 200);
}

static void version_is(const char *package, const char *content)
{
    struct rig_answer a = get(VERSION, package, 1);

    assert_string_equal(rig_text(&a, "content"), content);
    rig_answer_done(&a);
}

/* Of the only file of a version; *ret_checked: whether it was read. */
static void file_is(const char *package, const char *content, bool *ret_checked)
{
    struct rig_answer a = get(VERSION "/files", package, 1);
    const json_t *file = json_array_get(json_object_get(a.json, "items"), 0);

    assert_string_equal(rig_text_in(file, "content"), content);
    *ret_checked = json_is_string(json_object_get(file, "checked_at"));
    rig_answer_done(&a);
}

static void validated(const char *body, int good, int missing, int damaged, int healed)
{
    json_t *result = library_work("validate", body);

    assert_int_equal(rig_number_in(result, "good"), good);
    assert_int_equal(rig_number_in(result, "missing"), missing);
    assert_int_equal(rig_number_in(result, "damaged"), damaged);
    assert_int_equal(rig_number_in(result, "healed"), healed);
    json_decref(result);
}

/* What may be had of a version now, by every way. */
static void all_ways(const char *package, int status, const char *code)
{
    char file[128], content[128], body[256];
    struct rig_call calls[] = {
        {.method = API_GET, .path = file},
        {.method = API_GET, .path = content},
        {.method = API_POST, .path = "/api/v1/joins", .body = body},
    };

    (void)snprintf(file, sizeof file, VERSION "/files/a.bin", package, 1);
    (void)snprintf(content, sizeof content, "/api/v1/content/%s", library_digest(CONTENT));
    (void)snprintf(body, sizeof body, "{\"package\": \"%s\", \"client_id\": \"ways\"}", package);
    for (size_t i = 0; i < 3; i++) {
        if (code != NULL) {
            rig_refused(rig, RIG_CONTENT, &calls[i], code, NULL);
        } else {
            int found = rig_status(rig, RIG_CONTENT, &calls[i]);

            assert_true(found == status || found == 201);
        }
    }
}

/* ---- */

static void what_is_whole_stays_so(void **state)
{
    bool checked;

    (void)state;
    sealed_package("whole", "");
    sealed_package("twin", ""); /* has the same bytes */
    file_is("whole", "good", &checked);
    assert_false(checked);
    version_is("whole", "good");
    validated(NULL, 1, 0, 0, 0);
    file_is("whole", "good", &checked);
    assert_true(checked);
    assert_int_equal(rig_events(rig, "library-validated"), 1);
    assert_int_equal(rig_events(rig, "content-damaged"), 0);
    all_ways("whole", 200, NULL);
}

static void damage_is_found_told_and_refused(void **state)
{
    struct joined j = joined_as(RIG_CONTENT, JOIN("whole", "before"), 201);
    char path[128];
    struct rig_answer a;
    bool checked;

    (void)state;
    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s",
                   rig_text_in(joined_object(&j, "session"), "id"));
    library_damage(CONTENT, "some content that is not EMPTY");
    validated(NULL, 0, 0, 1, 0);
    file_is("whole", "damaged", &checked);
    version_is("whole", "damaged");
    version_is("twin", "damaged");
    all_ways("whole", 0, "content-damaged");
    all_ways("twin", 0, "content-damaged");
    assert_int_equal(rig_events(rig, "content-damaged"), 1);
    assert_int_equal(rig_events(rig, "content-quarantined"), 1);
    assert_true(access(library_path(CONTENT), F_OK) != 0);

    /* The session was ended, its receiver is told to leave, and why. */
    a = get("%s", path);
    assert_string_equal(rig_text(&a, "state"), "failed");
    rig_answer_done(&a);
    assert_true(rig_events(rig, "session-failed") >= 1);
    a = joined_call(&j, API_PUT, "/progress", "{\"state\": \"receiving\"}", 200);
    assert_string_equal(rig_text(&a, "command"), "leave");
    assert_string_equal(rig_text(&a, "code"), "content-damaged");
    rig_answer_done(&a);
    joined_done(&j);

    a = get(LIBRARY);
    assert_int_equal(rig_number_in(json_object_get(a.json, "quarantine"), "count"), 1);
    assert_int_equal(
        rig_number_in(json_object_get(json_object_get(a.json, "blobs"), "damaged"), "count"), 1);
    rig_answer_done(&a);
    a = get(LIBRARY "/blobs?state=damaged");
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
    rig_answer_done(&a);
}

static void set_aside_it_stays_damaged(void **state)
{
    bool checked;

    (void)state;
    validated(NULL, 0, 1, 0, 0); /* not in its place any more */
    file_is("whole", "damaged", &checked);
    assert_int_equal(rig_events(rig, "content-damaged"), 1);
    rig_settings(rig, "{\"library_grace_hours\": 0}");
    json_decref(library_work("collect", NULL)); /* keeps it for who wants to look at it */
    rig_settings(rig, "{\"library_grace_hours\": 24}");
    all_ways("whole", 0, "content-damaged");
}

static void the_same_file_again_heals_every_version(void **state)
{
    struct rig_answer a;
    char before[128], after[128];
    bool checked;
    json_t *result;

    (void)state;
    rig_if_match(rig, "/api/v1/packages/twin/versions/1", before);
    rig_package(rig, "cure", "");
    rig_put(rig, "cure", 1, "whatever.bin", CONTENT);
    file_is("whole", "good", &checked);
    assert_false(checked);
    version_is("whole", "good");
    version_is("twin", "good");
    rig_if_match(rig, "/api/v1/packages/twin/versions/1", after);
    assert_string_not_equal(before, after);
    assert_int_equal(rig_events(rig, "content-healed"), 1);
    all_ways("whole", 200, NULL);
    all_ways("twin", 200, NULL);
    validated(NULL, 1, 0, 0, 0);

    /* What was set aside is garbage now. */
    rig_settings(rig, "{\"library_grace_hours\": 0}");
    result = library_work("collect", NULL);
    assert_int_equal(rig_number_in(result, "quarantined"), 1);
    assert_int_equal(rig_number_in(result, "blobs"), 0);
    json_decref(result);
    rig_settings(rig, "{\"library_grace_hours\": 24}");
    a = get(LIBRARY);
    assert_int_equal(rig_number_in(json_object_get(a.json, "quarantine"), "count"), 0);
    rig_answer_done(&a);
}

static void what_is_missing_is_healed_when_it_is_back(void **state)
{
    char command[512];
    bool checked;

    (void)state;
    (void)snprintf(command, sizeof command, "mv '%s' '%s/kept'", library_path(CONTENT),
                   rig->folder);
    assert_int_equal(system(command), 0);
    validated("{\"package\": \"whole\"}", 0, 1, 0, 0);
    file_is("whole", "missing", &checked);
    assert_int_equal(rig_events(rig, "content-damaged"), 2);
    all_ways("whole", 0, "content-damaged");
    (void)snprintf(command, sizeof command, "mv '%s/kept' '%s'", rig->folder,
                   library_path(CONTENT));
    assert_int_equal(system(command), 0);
    validated("{\"package\": \"twin\", \"version\": 1}", 1, 0, 0, 1);
    file_is("whole", "good", &checked);
    assert_int_equal(rig_events(rig, "content-healed"), 2);
    all_ways("whole", 200, NULL);
}

static void a_part_is_given_to_nobody(void)
{
    char content[128];
    struct rig_call calls[] = {
        {.method = API_GET, .path = "/api/v1/packages/twin/versions/1/files/a.bin"},
        {.method = API_GET, .path = content},
        {.method = API_GET, .path = content, .headers = {"Range: bytes=0-1"}},
    };

    (void)snprintf(content, sizeof content, "/api/v1/content/%s", library_digest(CONTENT));
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        rig_refused(rig, RIG_CONTENT, &calls[i], "content-damaged", "not 30");
    }
}

static void another_size_is_damage(void **state)
{
    bool checked;

    (void)state;
    library_damage(CONTENT, "");
    a_part_is_given_to_nobody(); /* nor before it was validated */
    library_damage(CONTENT, CONTENT " and more");
    a_part_is_given_to_nobody();
    library_damage(CONTENT, "");
    validated("{}", 0, 0, 1, 0);
    file_is("twin", "size-differs", &checked);
    assert_int_equal(rig_events(rig, "content-quarantined"), 2);
    rig_put(rig, "cure", 1, "again.bin", CONTENT);
    version_is("twin", "good");
}

#define FULL "UPDATE settings SET library_quota_bytes = (SELECT sum(size) FROM blobs)"

/* The way that comes to mind first: the same file to the same address. */
static void a_sealed_versions_file_is_healed_in_its_place(void **state)
{
    static const char path[] = "/api/v1/packages/whole/versions/1/files/a.bin";
    struct rig_call put = {
        .method = API_PUT, .path = path, .data = CONTENT, .size = sizeof CONTENT - 1};

    (void)state;
    rig_refused(rig, RIG_OPERATOR, &put, "version-sealed", NULL);
    library_damage(CONTENT, "something else");
    validated("{\"package\": \"whole\"}", 0, 0, 1, 0);
    put.data = "something new";
    put.size = 13;
    rig_refused(rig, RIG_OPERATOR, &put, "digest-mismatch", NULL);
    version_is("whole", "damaged");
    put.data = CONTENT;
    put.size = sizeof CONTENT - 1;
    rig_sql(FULL); /* its bytes are counted already */
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &put), 200);
    library_damage(CONTENT, "something else");
    validated("{\"package\": \"whole\"}", 0, 0, 1, 0);
    put.no_length = true;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &put), 200);
    put.no_length = false;
    rig_sql("UPDATE settings SET library_quota_bytes = NULL");
    version_is("whole", "good");
    version_is("twin", "good");
    all_ways("whole", 200, NULL);
    rig_refused(rig, RIG_OPERATOR, &put, "version-sealed", NULL);
}

static void only_what_was_asked_for_is_read(void **state)
{
    struct rig_call unknown = {
        .method = API_POST, .path = LIBRARY "/validate", .body = "{\"package\": \"none\"}"};
    struct rig_call alone = {
        .method = API_POST, .path = LIBRARY "/validate", .body = "{\"version\": 1}"};
    struct rig_answer a;
    bool checked;
    json_t *result;

    (void)state;
    rig_package(rig, "alone", "");
    rig_put(rig, "alone", 1, "a.bin", "nobody else has this");
    result = library_work("validate", "{\"package\": \"alone\", \"version\": 1}");
    assert_int_equal(rig_number_in(result, "blobs"), 1);
    assert_int_equal(rig_number_in(result, "bytes"), 20);
    json_decref(result);
    file_is("alone", "good", &checked);
    assert_true(checked);
    file_is("whole", "good", &checked);
    assert_false(checked); /* stored again, not read */
    rig_refused(rig, RIG_OPERATOR, &unknown, "package-not-found", "none");
    unknown.body = "{\"package\": \"alone\", \"version\": 2}";
    rig_refused(rig, RIG_OPERATOR, &unknown, "version-not-found", NULL);
    rig_refused(rig, RIG_OPERATOR, &alone, "invalid-request", NULL);
    a = get("/api/v1/tasks?kind=validate-library&limit=1");
    assert_string_equal(rig_text_in(json_array_get(json_object_get(a.json, "items"), 0), "subject"),
                        "package alone version 1");
    rig_answer_done(&a);
}

/* What the system refuses to open is not known to be damaged; the rest is read all the same. */
static void what_cannot_be_opened_is_told_and_left_alone(void **state)
{
    char folder[256], command[768];
    bool checked;
    json_t *result;

    (void)state;
    (void)snprintf(folder, sizeof folder, "%s", library_path(CONTENT));
    *strrchr(folder, '/') = '\0';
    (void)snprintf(command, sizeof command, "mv '%s' '%s/aside' && touch '%s'", folder, rig->folder,
                   folder);
    assert_int_equal(system(command), 0);
    result = library_work("validate", NULL);
    assert_int_equal(rig_number_in(result, "unreadable"), 1);
    assert_int_equal(rig_number_in(result, "good"), 1);
    json_decref(result);
    (void)snprintf(command, sizeof command, "rm '%s' && mv '%s/aside' '%s'", folder, rig->folder,
                   folder);
    assert_int_equal(system(command), 0);
    file_is("whole", "good", &checked);
    assert_false(checked);
    rig_log_says("validate-library", "error", "Not read: ");
    assert_int_equal(rig_log_lines("validate-library"), 2);
}

/* ---- when, and how fast ---- */

static int tasks_of(const char *kind)
{
    struct rig_answer a = get("/api/v1/tasks?kind=%s&state=waiting", kind);
    int count = (int)json_array_size(json_object_get(a.json, "items"));

    rig_answer_done(&a);
    return count;
}

static void the_calendar_asks_for_it(void **state)
{
    struct cp_error err;

    (void)state;
    assert_int_equal(jobs_ask_due(&rig->jobs, &err), CP_OK);
    assert_int_equal(tasks_of("validate-library"), 0); /* less than 30 days ago */
    rig_work(rig);
    rig_sql("UPDATE tasks SET created_at = created_at - interval '31 days'"
            " WHERE kind = 'validate-library' AND subject = ''");
    rig_settings(rig, "{\"library_validate_days\": 0}");
    assert_int_equal(jobs_ask_due(&rig->jobs, &err), CP_OK);
    assert_int_equal(tasks_of("validate-library"), 0);
    rig_settings(rig, "{\"library_validate_days\": 40}");
    assert_int_equal(jobs_ask_due(&rig->jobs, &err), CP_OK);
    assert_int_equal(tasks_of("validate-library"), 0);
    rig_settings(rig, "{\"library_validate_days\": 30}");
    /* a validation of one package in between does not count as one of the library */
    assert_int_equal(jobs_ask_due(&rig->jobs, &err), CP_OK);
    assert_int_equal(tasks_of("validate-library"), 1);
    rig_work(rig);
}

/* Only from below: a slow machine cannot make it fail. */
static void the_rate_is_kept(void **state)
{
    static char data[1 << 20];
    const char *const path = "/api/v1/packages/slow/versions/1/files/%d.bin";
    char address[128];
    cp_time begun;

    (void)state;
    rig_package(rig, "slow", "");
    for (int i = 0; i < 3; i++) {
        struct rig_call put = {
            .method = API_PUT, .path = address, .data = data, .size = sizeof data};

        memset(data, 'a' + i, sizeof data);
        (void)snprintf(address, sizeof address, path, i);
        assert_int_equal(rig_status(rig, RIG_OPERATOR, &put), 201);
    }
    rig_settings(rig, "{\"library_validate_rate_bps\": 16777216}"); /* 2 MiB a second */
    begun = cp_clock_now();
    validated("{\"package\": \"slow\"}", 3, 0, 0, 0);
    assert_true(cp_clock_now() - begun >= CP_SEC - CP_MSEC * 100); /* the first MiB is at once */
    rig_settings(rig, "{\"library_validate_rate_bps\": null}");
    validated("{\"package\": \"slow\"}", 3, 0, 0, 0);
}

struct worker {
    pthread_t thread;
    atomic_bool stop;
    enum cp_err rc;
};

static void *do_one(void *arg)
{
    struct worker *w = arg;
    struct cp_error err = {.code = CP_OK};

    w->rc = jobs_do_one(&rig->jobs, &w->stop, &err);
    return NULL;
}

/* A validation of the package "slow" under way, at 1 Mbit/s: its 3 MiB would take 16 s. The task's
 * address. */
static void begin_slowly(struct worker *w, char ret_task[128])
{
    struct rig_call ask = {
        .method = API_POST, .path = LIBRARY "/validate", .body = "{\"package\": \"slow\"}"};
    struct rig_answer a;
    bool running = false;

    rig_settings(rig, "{\"library_validate_rate_bps\": 1000000}");
    a = rig_expect(rig, RIG_OPERATOR, &ask, 202);
    (void)snprintf(ret_task, 128, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    atomic_store(&w->stop, false);
    assert_int_equal(pthread_create(&w->thread, NULL, do_one, w), 0);
    while (!running) {
        a = get("%s", ret_task);
        running = strcmp(rig_text(&a, "state"), "running") == 0;
        rig_answer_done(&a);
    }
}

static void ended_as(struct worker *w, const char *task, const char *state)
{
    struct rig_answer a;

    assert_int_equal(pthread_join(w->thread, NULL), 0);
    a = get("%s", task);
    assert_string_equal(rig_text(&a, "state"), state);
    rig_answer_done(&a);
}

static void another_rate_reaches_a_running_validation(void **state)
{
    struct worker w;
    cp_time begun = cp_clock_now();
    char task[128];

    (void)state;
    begin_slowly(&w, task);
    rig_settings(rig, "{\"library_validate_rate_bps\": null}");
    ended_as(&w, task, "done");
    assert_true(cp_clock_now() - begun < 12 * CP_SEC);
}

static void a_validation_is_cancelled(void **state)
{
    char task[128], path[160];
    struct rig_call cancel = {.method = API_POST, .path = path};
    struct worker w;

    (void)state;
    begin_slowly(&w, task);
    (void)snprintf(path, sizeof path, "%s/cancel", task);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &cancel), 200);
    ended_as(&w, task, "cancelled");
    rig_settings(rig, "{\"library_validate_rate_bps\": null}");
}

static void a_stopped_validation_goes_on_where_it_was(void **state)
{
    struct rig_answer a;
    struct worker w;
    char task[128];
    int read = 0;

    (void)state;
    begin_slowly(&w, task);
    while (read == 0) { /* the first MiB is read at once */
        const json_t *file;
        size_t i;

        a = get("/api/v1/packages/slow/versions/1/files");
        json_array_foreach(json_object_get(a.json, "items"), i, file)
        {
            struct rig_answer t = get("%s", task);

            read += json_is_string(json_object_get(file, "checked_at")) &&
                    strcmp(json_string_value(json_object_get(file, "checked_at")),
                           rig_text(&t, "created_at")) > 0;
            rig_answer_done(&t);
        }
        rig_answer_done(&a);
    }
    atomic_store(&w.stop, true);
    ended_as(&w, task, "waiting");
    rig_settings(rig, "{\"library_validate_rate_bps\": null}");
    rig_work(rig);
    a = get("%s", task);
    assert_string_equal(rig_text(&a, "state"), "done");
    assert_true(rig_number_in(json_object_get(a.json, "result"), "blobs") < 3);
    rig_answer_done(&a);
}

/* Reads of the library, and those of them by a thread whose requests wait for nobody. */
static atomic_uint reads, urgent;

ssize_t __real_pread64(int fd, void *buffer, size_t size, off_t at);
ssize_t __wrap_pread64(int fd, void *buffer, size_t size, off_t at);
ssize_t __wrap_pread64(int fd, void *buffer, size_t size, off_t at)
{
    long priority = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0); /* the calling thread's */

    atomic_fetch_add(&reads, 1);
    atomic_fetch_add(&urgent, IOPRIO_PRIO_CLASS(priority) != IOPRIO_CLASS_IDLE);
    return __real_pread64(fd, buffer, size, at);
}

static void others_come_first_at_the_disk(void **state)
{
    long usual = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);

    (void)state;
    assert_true(usual >= 0);
    assert_int_not_equal(IOPRIO_PRIO_CLASS(usual), IOPRIO_CLASS_IDLE);
    atomic_store(&reads, 0);
    atomic_store(&urgent, 0);
    validated("{\"package\": \"slow\"}", 3, 0, 0, 0);
    assert_true(atomic_load(&reads) >= 3);
    assert_int_equal(atomic_load(&urgent), 0);
    assert_int_equal(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0), usual); /* for the next task */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_whole_stays_so),
        cmocka_unit_test(damage_is_found_told_and_refused),
        cmocka_unit_test(set_aside_it_stays_damaged),
        cmocka_unit_test(the_same_file_again_heals_every_version),
        cmocka_unit_test(what_is_missing_is_healed_when_it_is_back),
        cmocka_unit_test(another_size_is_damage),
        cmocka_unit_test(a_sealed_versions_file_is_healed_in_its_place),
        cmocka_unit_test(only_what_was_asked_for_is_read),
        cmocka_unit_test(what_cannot_be_opened_is_told_and_left_alone),
        cmocka_unit_test(the_calendar_asks_for_it),
        cmocka_unit_test(the_rate_is_kept),
        cmocka_unit_test(another_rate_reaches_a_running_validation),
        cmocka_unit_test(a_validation_is_cancelled),
        cmocka_unit_test(a_stopped_validation_goes_on_where_it_was),
        cmocka_unit_test(others_come_first_at_the_disk),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
