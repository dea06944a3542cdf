/* SPDX-License-Identifier: Apache-2.0
 * Tests of what castget says: progress lines and rate, bodies of reports, the summary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <jansson.h>

#include "client/progress.h"
#include "client/report.h"
#include "client/summary.h"

static const struct cl_counters half = {.bytes_total = 3000000000,
                                        .bytes_done = 1500000000,
                                        .bytes_multicast = 1400000000,
                                        .bytes_repair = 60000000,
                                        .bytes_https = 40000000,
                                        .rate_bps = 800000000,
                                        .loss_ppm = 12345,
                                        .nacks = 7};

static void rate_is_of_the_last_seconds(void **state)
{
    struct cl_rate r = {.count = 0};

    (void)state;
    assert_int_equal(cl_rate_bps(&r), 0);
    cl_rate_add(&r, CP_MSEC, 0);
    assert_int_equal(cl_rate_bps(&r), 0);
    cl_rate_add(&r, CP_SEC, 0);             /* still waiting: that time does not count */
    cl_rate_add(&r, CP_SEC + CP_MSEC, 999); /* too close: left out */
    assert_int_equal(r.count, 1);
    cl_rate_add(&r, 2 * CP_SEC, 125000000);
    assert_int_equal(cl_rate_bps(&r), 1000000000);
    /* Then a slower pace for longer than the samples reach back. */
    for (unsigned i = 1; i <= CL_RATE_SAMPLES; i++) {
        cl_rate_add(&r, 2 * CP_SEC + i * CP_SEC, 125000000 + i * (uint64_t)1000);
    }
    assert_int_equal(cl_rate_bps(&r), 8000);
}

static void line_has_the_figures_and_fits(void **state)
{
    char text[512];

    (void)state;
    (void)cl_progress_text("win11", &half, "multicast", 0, text, sizeof text);
    assert_string_equal(text, "win11  50 %  100.0 MB/s  loss 1.23 %  ETA 0:15  multicast");
    (void)cl_progress_text("win11", &half, "HTTPS", 80, text, sizeof text);
    assert_non_null(strstr(text, "["));
    assert_true(strlen(text) <= 80);
    for (size_t width = 20; width < 200; width++) {
        (void)cl_progress_text("win11", &half, "HTTPS", width, text, sizeof text);
        assert_true(strlen(text) <= width);
    }
}

/* Elsewhere than on a terminal: one line at first, then at each tenth or after a while. */
static void lines_are_few(void **state)
{
    struct cl_progress p;
    struct cl_counters c = {.bytes_total = 1000};
    char text[8192];
    int ends[2];
    ssize_t size;
    unsigned lines = 0;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    cl_progress_init(&p, "x", ends[1], false);
    for (unsigned i = 0; i <= 1000; i++) {
        c.bytes_done = i;
        cl_progress_show(&p, CP_SEC + i * CP_MSEC, &c, "multicast");
    }
    cl_progress_show(&p, 60 * CP_SEC, &c, "multicast");
    cl_progress_end(&p);
    (void)close(ends[1]);
    size = read(ends[0], text, sizeof text);
    for (ssize_t i = 0; i < size; i++) {
        lines += text[i] == '\n';
        assert_true(text[i] != '\r' && text[i] != '\x1b');
    }
    assert_int_equal(lines, 12);
    (void)close(ends[0]);
}

/* What a service says must not command the terminal, nor may it be cut into the line's end. */
static void notes_are_plain_text(void **state)
{
    struct cl_progress p;
    char note[2000], text[4096] = "";
    int ends[2];
    ssize_t size;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    cl_progress_init(&p, "x", ends[1], false);
    cl_progress_note(&p, "a\x1b[2Jb\nc\x7f");
    assert_int_equal(read(ends[0], text, sizeof text), sizeof "castget: a [2Jb c \n" - 1);
    assert_memory_equal(text, "castget: a [2Jb c \n", sizeof "castget: a [2Jb c \n" - 1);
    memset(note, 'n', sizeof note - 1);
    note[sizeof note - 1] = '\0';
    cl_progress_note(&p, note);
    (void)close(ends[1]);
    size = read(ends[0], text, sizeof text);
    assert_true(size > 100 && size < (ssize_t)sizeof note);
    assert_int_equal(text[size - 1], '\n');
    (void)close(ends[0]);
}

static void quiet_says_nothing(void **state)
{
    struct cl_progress p;
    char byte;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    cl_progress_init(&p, "x", ends[1], true);
    cl_progress_show(&p, CP_SEC, &half, "multicast");
    cl_progress_note(&p, "note");
    cl_progress_end(&p);
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    (void)close(ends[0]);
}

static int64_t number(const json_t *root, const char *key)
{
    const json_t *v = json_object_get(root, key);

    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

static const char *text_of(const json_t *root, const char *key)
{
    const char *s = json_string_value(json_object_get(root, key));

    return s == NULL ? "" : s;
}

static void progress_body(void **state)
{
    char *text = cl_report_progress_body(&half, "moved", CP_ERR_NO_MULTICAST_HEARD);
    json_t *root = json_loads(text, 0, NULL);

    (void)state;
    assert_string_equal(text_of(root, "state"), "moved");
    assert_string_equal(text_of(root, "reason"), "no-multicast-heard");
    assert_int_equal(number(root, "bytes_done"), 1500000000);
    assert_int_equal(number(root, "bytes_total"), 3000000000);
    assert_int_equal(number(root, "bytes_multicast"), 1400000000);
    assert_int_equal(number(root, "bytes_repair"), 60000000);
    assert_int_equal(number(root, "bytes_https"), 40000000);
    assert_int_equal(number(root, "loss_ppm"), 12345);
    assert_int_equal(number(root, "nacks"), 7);
    json_decref(root);
    free(text);
    text = cl_report_progress_body(&half, "receiving", CP_OK);
    assert_null(strstr(text, "reason"));
    free(text);
}

static void result_body(void **state)
{
    struct cp_error failure = {.code = CP_ERR_OUTPUT_FULL, .text = "no room"};
    struct cl_result result = {.counters = &half, .duration = 1500 * CP_MSEC};
    char *text = cl_report_result_body(&result);
    json_t *root = json_loads(text, 0, NULL);

    (void)state;
    assert_string_equal(text_of(root, "outcome"), "done");
    assert_int_equal(number(root, "nacks"), 7);
    assert_int_equal(number(root, "duration_ms"), 1500);
    assert_null(json_object_get(root, "code"));
    json_decref(root);
    free(text);
    result.failure = &failure;
    text = cl_report_result_body(&result);
    root = json_loads(text, 0, NULL);
    assert_string_equal(text_of(root, "outcome"), "failed");
    assert_string_equal(text_of(root, "code"), "output-full");
    assert_string_equal(text_of(root, "detail"), "no room");
    json_decref(root);
    free(text);
    (void)strcpy(failure.text, "\xff"); /* not UTF-8: the report still goes out */
    text = cl_report_result_body(&result);
    assert_non_null(text);
    assert_non_null(strstr(text, "output-full"));
    free(text);
}

static void summary_names_the_files(void **state)
{
    struct manifest_file file = {.path = "a/b", .size = 5, .sha256 = {0xab}};
    struct manifest m = {.version = 3, .files = &file, .file_count = 1};
    struct cp_error failure = {.code = CP_ERR_NO_MULTICAST_HEARD};
    struct cl_summary s = {.package = "win11",
                           .manifest = &m,
                           .counters = &half,
                           .duration = 2 * CP_SEC,
                           .transfer = 1500 * CP_MSEC};
    char *text = cl_summary_text(&s);
    json_t *root = json_loads(text, 0, NULL);
    const json_t *first = json_array_get(json_object_get(root, "files"), 0);

    (void)state;
    assert_true(json_is_true(json_object_get(root, "verified")));
    assert_int_equal(number(root, "version"), 3);
    assert_int_equal(number(root, "duration_ms"), 2000);
    assert_int_equal(number(root, "transfer_ms"), 1500);
    assert_int_equal(number(root, "bytes_total"), 3000000000);
    assert_int_equal(number(root, "bytes_done"), 1500000000);
    assert_int_equal(number(root, "bytes_multicast"), 1400000000);
    assert_int_equal(number(root, "bytes_repair"), 60000000);
    assert_int_equal(number(root, "bytes_https"), 40000000);
    assert_int_equal(number(root, "rate_bps"), 800000000);
    assert_int_equal(number(root, "loss_ppm"), 12345);
    assert_string_equal(text_of(first, "path"), "a/b");
    assert_memory_equal(text_of(first, "sha256"), "ab00", 4);
    json_decref(root);
    free(text);
    s.failure = &failure;
    s.manifest = NULL;
    text = cl_summary_text(&s);
    root = json_loads(text, 0, NULL);
    assert_true(json_is_false(json_object_get(root, "verified")));
    assert_string_equal(text_of(root, "code"), "no-multicast-heard");
    assert_int_equal(number(root, "exit_status"), 7);
    json_decref(root);
    free(text);
}

static void summary_that_cannot_be_written(void **state)
{
    struct cl_summary s = {.package = "p", .counters = &half};
    struct cp_error err;

    (void)state;
    assert_int_equal(cl_summary_write("/no/such/folder/s", &s, &err), CP_ERR_OUTPUT);
    assert_non_null(strstr(err.text, "/no/such/folder/s"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_is_of_the_last_seconds),
        cmocka_unit_test(line_has_the_figures_and_fits),
        cmocka_unit_test(lines_are_few),
        cmocka_unit_test(notes_are_plain_text),
        cmocka_unit_test(quiet_says_nothing),
        cmocka_unit_test(progress_body),
        cmocka_unit_test(result_body),
        cmocka_unit_test(summary_names_the_files),
        cmocka_unit_test(summary_that_cannot_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
