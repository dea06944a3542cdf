/* SPDX-License-Identifier: Apache-2.0
 * Labels and descriptions of packages and versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/api/rig.h"

#define PACKAGES "/api/v1/packages"

static struct rig_answer patch(const char *path, const char *body)
{
    char match[128];

    rig_if_match(rig, path, match);
    return rig_expect(
        rig, RIG_OPERATOR,
        &(struct rig_call){.method = API_PATCH, .path = path, .body = body, .headers = {match}},
        200);
}

static void patch_refused(const char *path, const char *body, const char *word)
{
    char match[128];

    rig_if_match(rig, path, match);
    rig_refused(
        rig, RIG_OPERATOR,
        &(struct rig_call){.method = API_PATCH, .path = path, .body = body, .headers = {match}},
        "invalid-request", word);
}

/* Whether `labels` of an answer is that JSON object. */
static void labels_are(const struct rig_answer *a, const char *expected)
{
    json_t *want = json_loads(expected, 0, NULL);

    assert_non_null(want);
    if (!json_equal(json_object_get(a->json, "labels"), want)) {
        fail_msg("not %s: %s", expected, a->bytes);
    }
    json_decref(want);
}

static void labels_are_merged(void **state)
{
    static const char path[] = PACKAGES "/labelled";
    struct rig_answer a;

    (void)state;
    rig_package(rig, "labelled",
                ", \"description\": \"D\", \"multicast\": \"off\","
                " \"labels\": {\"os\": \"windows\", \"site/ring\": \"1\", \"empty\": \"\"}");
    a = rig_get(rig, RIG_VIEWER, path);
    labels_are(&a, "{\"os\": \"windows\", \"site/ring\": \"1\", \"empty\": \"\"}");
    rig_answer_done(&a);
    a = patch(path,
              "{\"labels\": {\"os\": null, \"site/ring\": \"2\", \"new\": \"\\u00fc \\\\\\\"\"}}");
    labels_are(&a, "{\"site/ring\": \"2\", \"empty\": \"\", \"new\": \"\\u00fc \\\\\\\"\"}");
    assert_string_equal(rig_text(&a, "multicast"), "off");
    rig_answer_done(&a);
    a = patch(path, "{\"labels\": null, \"description\": null, \"multicast\": null}");
    labels_are(&a, "{}");
    assert_string_equal(rig_text(&a, "description"), "");
    assert_string_equal(rig_text(&a, "multicast"), "prefer");
    rig_answer_done(&a);
}

static void wrong_labels_are_refused(void **state)
{
    static const char *const bodies[] = {
        "{\"labels\": []}",
        "{\"labels\": {\"\": \"x\"}}",
        "{\"labels\": {\"Upper\": \"x\"}}",
        "{\"labels\": {\"-x\": \"x\"}}",
        "{\"labels\": {\"a b\": \"x\"}}",
        "{\"labels\": {\"a\": 5}}",
        "{\"labels\": {\"a\": \"line\\nbreak\"}}",
        "{\"labels\":{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":\"\"}}"};

    (void)state;
    rig_package(rig, "wronglabels", "");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        patch_refused(PACKAGES "/wronglabels", bodies[i], "labels");
    }
    /* null takes away what is there: a new package has nothing */
    rig_refused(rig, RIG_OPERATOR,
                &(struct rig_call){.method = API_POST,
                                   .path = PACKAGES,
                                   .body = "{\"name\": \"nolabel\", \"labels\": {\"a\": null}}"},
                "invalid-request", "labels");
}

/* "{"labels": {"k0": "\"\"\"…", …}}" with `count` values of `size` quotation marks. */
static char *many_labels(int count, int size)
{
    char *body = NULL;
    size_t body_size;
    FILE *out = open_memstream(&body, &body_size);

    assert_non_null(out);
    (void)fputs("{\"labels\": {", out);
    for (int i = 0; i < count; i++) {
        (void)fprintf(out, "%s\"key%060d\": \"", i > 0 ? ", " : "", i);
        for (int k = 0; k < size; k++) {
            (void)fputs("\\\"", out);
        }
        (void)fputc('"', out);
    }
    (void)fputs("}}", out);
    assert_int_equal(fclose(out), 0);
    return body;
}

static void as_many_labels_as_allowed(void **state)
{
    char *most = many_labels(32, 255);
    char *too_many = many_labels(33, 1);
    char *too_long = many_labels(1, 256);
    struct rig_answer a;

    (void)state;
    rig_package(rig, "manylabels", "");
    a = patch(PACKAGES "/manylabels", most);
    assert_int_equal(json_object_size(json_object_get(a.json, "labels")), 32);
    rig_answer_done(&a);
    a = rig_get(rig, RIG_VIEWER, PACKAGES "/manylabels");
    assert_int_equal(json_object_size(json_object_get(a.json, "labels")), 32);
    rig_answer_done(&a);
    patch_refused(PACKAGES "/manylabels", "{\"labels\": {\"one-more\": \"\"}}", "32");
    patch_refused(PACKAGES "/manylabels", too_many, "32");
    patch_refused(PACKAGES "/manylabels", too_long, "255");
    free(most);
    free(too_many);
    free(too_long);
}

/* An event has little room: it names what it leaves out, and keeps the rest. */
static void an_event_tells_what_it_leaves_out(void **state)
{
    char *most = many_labels(32, 255);
    struct rig_answer a;
    json_t *detail;

    (void)state;
    rig_package(rig, "long-story", "");
    rig_change(rig, PACKAGES "/long-story", most);
    a = rig_get(rig, RIG_VIEWER, "/api/v1/events?limit=1");
    detail = json_object_get(json_array_get(json_object_get(a.json, "items"), 0), "detail");
    assert_string_equal(rig_text_in(detail, "name"), "long-story");
    assert_null(json_object_get(detail, "labels"));
    assert_string_equal(json_string_value(json_array_get(json_object_get(detail, "left_out"), 0)),
                        "labels");
    rig_answer_done(&a);
    free(most);
}

static void versions_have_words(void **state)
{
    static const char path[] = PACKAGES "/words/versions/2";
    struct rig_answer a;

    (void)state;
    rig_package(rig, "words", "");
    a = rig_expect(rig, RIG_OPERATOR,
                   &(struct rig_call){.method = API_POST,
                                      .path = PACKAGES "/words/versions",
                                      .body = "{\"description\": \"May\","
                                              " \"labels\": {\"channel\": \"beta\"}}"},
                   201);
    assert_string_equal(rig_text(&a, "description"), "May");
    labels_are(&a, "{\"channel\": \"beta\"}");
    rig_answer_done(&a);
    rig_refused(rig, RIG_OPERATOR,
                &(struct rig_call){.method = API_PATCH, .path = path, .body = "{}"},
                "precondition-required", NULL);
    rig_put(rig, "words", 2, "a.txt", "content");
    rig_seal(rig, "words", 2);
    a = patch(path, "{\"description\": null, \"labels\": {\"channel\": \"stable\"}}");
    assert_string_equal(rig_text(&a, "description"), "");
    assert_string_equal(rig_text(&a, "state"), "sealed");
    labels_are(&a, "{\"channel\": \"stable\"}");
    rig_answer_done(&a);
    patch_refused(path, "{\"state\": \"draft\"}", "state");
    assert_int_equal(rig_events(rig, "version-changed"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_are_merged),
        cmocka_unit_test(wrong_labels_are_refused),
        cmocka_unit_test(as_many_labels_as_allowed),
        cmocka_unit_test(an_event_tells_what_it_leaves_out),
        cmocka_unit_test(versions_have_words),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
