/* SPDX-License-Identifier: Apache-2.0
 * What receivers report, progress and results, and the sessions that show it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/session/progress.h"
#include "tests/api/join_rig.h"

static struct rig_answer get_session(const struct joined *j)
{
    char path[128];
    struct rig_call call = {.method = API_GET, .path = path};

    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s",
                   rig_text_in(json_object_get(j->ticket, "session"), "id"));
    return rig_expect(rig, RIG_VIEWER, &call, 200);
}

static struct rig_answer get_receivers(const struct joined *j)
{
    char path[128];
    struct rig_call call = {.method = API_GET, .path = path};

    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/receivers",
                   rig_text_in(json_object_get(j->ticket, "session"), "id"));
    return rig_expect(rig, RIG_VIEWER, &call, 200);
}

#define PROGRESS(state, bytes)                                                                     \
    "{\"state\": \"" state "\", \"bytes_done\": " bytes ", \"bytes_total\": 30,"                   \
    " \"bytes_multicast\": " bytes ", \"bytes_repair\": 0, \"bytes_https\": 0, \"rate_bps\": 8,"   \
    " \"loss_ppm\": 20, \"nacks\": 1}"
#define RESULT_DONE                                                                                \
    "{\"outcome\": \"done\", \"bytes_total\": 30, \"bytes_multicast\": 30, \"bytes_repair\": 0,"   \
    " \"bytes_https\": 0, \"duration_ms\": 5, \"rate_bps\": 8, \"loss_ppm\": 20}"

static void receivers_report(void **state)
{
    struct joined j, other;
    struct rig_answer a;
    const json_t *item;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("reported", "");
    j = joined_as(RIG_NOBODY, JOIN("reported", "c1"), 201);
    other = joined_as(RIG_NOBODY, JOIN("reported", "c2"), 201);
    assert_int_equal(joined_status(&j, API_PUT, "/progress", PROGRESS("receiving", "10")), 204);
    a = get_receivers(&j);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 2);
    for (size_t i = 0; i < 2; i++) {
        item = json_array_get(json_object_get(a.json, "items"), i);
        if (strcmp(rig_text_in(item, "client_id"), "c1") == 0) {
            assert_string_equal(rig_text_in(item, "state"), "receiving");
            assert_int_equal(rig_number_in(item, "bytes_done"), 10);
            assert_int_equal(rig_number_in(item, "loss_ppm"), 20);
            assert_string_equal(rig_text_in(item, "address"), "192.0.2.7");
        }
    }
    assert_null(strstr(a.bytes, "cpr_"));
    rig_answer_done(&a);

    assert_int_equal(joined_status(&j, API_PUT, "/result", RESULT_DONE), 204);
    assert_int_equal(joined_status(&j, API_PUT, "/result",
                                   "{\"outcome\": \"failed\", \"code\": \"output-full\"}"),
                     204); /* the first one counts */
    assert_int_equal(joined_status(&j, API_PUT, "/progress", PROGRESS("receiving", "11")), 204);
    a = joined_call(&j, API_GET, "", NULL, 200);
    assert_string_equal(rig_text(&a, "state"), "done");
    assert_int_equal(rig_number(&a, "duration_ms"), 5);
    /* No sender tells of it: its result does. */
    assert_int_equal(rig_number_in(json_object_get(a.json, "seen"), "rate_bps"), 8);
    rig_answer_done(&a);
    a = get_session(&j);
    assert_int_equal(rig_number_in(json_object_get(a.json, "receivers"), "done"), 1);
    assert_int_equal(rig_number_in(json_object_get(a.json, "receivers"), "active"), 1);
    assert_null(strstr(a.bytes, "secret"));
    rig_answer_done(&a);
    joined_done(&j);
    joined_done(&other);
    end_sessions();
}

static void wrong_reports_are_refused(void **state)
{
    struct joined j, other;
    char path[128];
    struct rig_call foreign = {.method = API_PUT, .path = path, .body = PROGRESS("receiving", "1")};

    (void)state;
    j = joined_as(RIG_NOBODY, JOIN("reported", "c1"), 201);
    other = joined_as(RIG_NOBODY, JOIN("reported", "c2"), 201);
    (void)snprintf(path, sizeof path, "/api/v1/joins/%s/progress", rig_text_in(j.ticket, "join"));
    foreign.authorization = other.bearer;
    rig_refused(rig, RIG_NOBODY, &foreign, "access-denied", NULL);
    foreign.authorization = NULL;
    rig_refused(rig, RIG_NOBODY, &foreign, "authentication-required", NULL);
    rig_refused(rig, RIG_ADMIN, &foreign, "access-denied", NULL);

    assert_int_equal(joined_status(&j, API_PUT, "/progress", PROGRESS("dancing", "10")), 400);
    assert_int_equal(
        joined_status(&j, API_PUT, "/progress", "{\"state\": \"moved\", \"reason\": \"x\"}"), 400);
    assert_int_equal(joined_status(&j, API_PUT, "/result", "{\"outcome\": \"failed\"}"), 400);
    assert_int_equal(
        joined_status(&j, API_PUT, "/result", "{\"outcome\": \"failed\", \"code\": \"no-such\"}"),
        400);
    joined_done(&j);
    joined_done(&other);
    end_sessions();
}

static void progress_waits_in_the_table(void **state)
{
    struct api_progress *table;
    struct db_receiver_report reports[2];
    struct joined j;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("batched", "");
    assert_int_equal(api_progress_new(&table), CP_OK);
    rig->ctx.progress = table;
    j = joined_as(RIG_NOBODY, JOIN("batched", "c1"), 201);
    assert_int_equal(joined_status(&j, API_PUT, "/progress", PROGRESS("receiving", "7")), 204);
    assert_int_equal(joined_status(&j, API_PUT, "/progress", PROGRESS("receiving", "8")), 204);
    assert_int_equal(api_progress_take(table, reports, 2), 1);
    assert_string_equal(reports[0].id, rig_text_in(j.ticket, "join"));
    assert_int_equal(reports[0].progress.bytes_done, 8);
    /* A result overtakes what waits in the table. */
    assert_int_equal(joined_status(&j, API_PUT, "/progress", PROGRESS("receiving", "9")), 204);
    assert_int_equal(joined_status(&j, API_PUT, "/result", RESULT_DONE), 204);
    assert_int_equal(api_progress_take(table, reports, 2), 0);
    rig->ctx.progress = NULL;
    api_progress_free(table);
    joined_done(&j);
    end_sessions();
}

/* Why its session failed may be in libpq's words, which are not for everybody who joins. */
static void failed_session_keeps_foreign_words_to_itself(void **state)
{
    struct rig_answer a;
    struct joined j;
    char sql[256];

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("failed", "");
    j = joined_as(RIG_NOBODY, JOIN("failed", "c1"), 201);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE sessions SET state = 'failed', ended_at = now(), end_code ="
                   " 'database-unavailable', end_detail = 'at db1.example' WHERE id = '%s'",
                   rig_text_in(joined_object(&j, "session"), "id"));
    rig_sql(sql);
    a = joined_call(&j, API_PUT, "/progress", PROGRESS("receiving", "3"), 200);
    assert_string_equal(rig_text(&a, "code"), "database-unavailable");
    assert_string_equal(rig_text(&a, "detail"), cp_err_info(CP_ERR_DATABASE)->title);
    rig_answer_done(&a);
    joined_done(&j);
    end_sessions();
}

static void cancelled_session_tells_its_receivers(void **state)
{
    struct joined j, next;
    struct rig_answer a;
    char path[128];
    struct rig_call cancel = {.method = API_POST, .path = path};

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("cancelled", "");
    j = joined_as(RIG_NOBODY, JOIN("cancelled", "c1"), 201);
    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/cancel",
                   rig_text_in(joined_object(&j, "session"), "id"));
    rig_refused(rig, RIG_VIEWER, &cancel, "access-denied", NULL);
    a = rig_expect(rig, RIG_OPERATOR, &cancel, 200);
    assert_string_equal(rig_text(&a, "state"), "cancelled");
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &cancel), 200);
    assert_true(rig_events(rig, "session-cancelled") >= 1);
    a = joined_call(&j, API_PUT, "/progress", PROGRESS("receiving", "3"), 200);
    assert_string_equal(rig_text(&a, "command"), "leave");
    assert_string_equal(rig_text(&a, "code"), "cancelled");
    rig_answer_done(&a);
    /* Once it has left, nothing is commanded any more. */
    assert_int_equal(joined_status(&j, API_PUT, "/progress",
                                   "{\"state\": \"moved\", \"reason\": \"cancelled\"}"),
                     204);
    next = joined_as(RIG_NOBODY, JOIN("cancelled", "c1"), 201);
    assert_string_not_equal(rig_text_in(joined_object(&j, "session"), "id"),
                            rig_text_in(joined_object(&next, "session"), "id"));
    joined_done(&j);
    joined_done(&next);
    end_sessions();
    rig_sql("UPDATE sessions SET state = 'finished', started_at = now() "
            "WHERE state = 'cancelled'");
    rig_refused(rig, RIG_OPERATOR, &cancel, "conflict", "finished");
}

static void sessions_are_listed(void **state)
{
    struct rig_call call = {.method = API_GET, .path = "/api/v1/sessions?limit=1"};
    struct rig_answer a;
    struct joined j;
    const char *next;
    char path[160];

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("listed1", "");
    sealed_package("listed2", "");
    j = joined_as(RIG_NOBODY, JOIN("listed1", "c1"), 201);
    joined_done(&j);
    j = joined_as(RIG_NOBODY, JOIN("listed2", "c1"), 201);
    joined_done(&j);
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_string_equal(rig_text_in(json_array_get(json_object_get(a.json, "items"), 0), "package"),
                        "listed2");
    next = rig_text(&a, "next");
    (void)snprintf(path, sizeof path, "/api/v1/sessions?limit=1&after=%s", next);
    rig_answer_done(&a);
    call.path = path;
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_string_equal(rig_text_in(json_array_get(json_object_get(a.json, "items"), 0), "package"),
                        "listed1");
    rig_answer_done(&a);
    call.path = "/api/v1/sessions?package=listed1&state=waiting";
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
    rig_answer_done(&a);
    call.path = "/api/v1/sessions?state=asleep";
    assert_int_equal(rig_status(rig, RIG_VIEWER, &call), 400);
    call.path = "/api/v1/sessions?after=x";
    assert_int_equal(rig_status(rig, RIG_VIEWER, &call), 400);
    call.path = "/api/v1/sessions/00000000-0000-4000-8000-000000000000";
    rig_refused(rig, RIG_VIEWER, &call, "not-found", NULL);
    call.path = "/api/v1/sessions/nonsense/receivers";
    rig_refused(rig, RIG_VIEWER, &call, "not-found", NULL);
    end_sessions();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receivers_report),
        cmocka_unit_test(wrong_reports_are_refused),
        cmocka_unit_test(progress_waits_in_the_table),
        cmocka_unit_test(failed_session_keeps_foreign_words_to_itself),
        cmocka_unit_test(cancelled_session_tells_its_receivers),
        cmocka_unit_test(sessions_are_listed),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
