/* SPDX-License-Identifier: Apache-2.0
 * Which identity vouches: the present one, a former one while it overlaps, none else. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "client/identity.h"
#include "common/base64.h"

#define KEYS 3

struct answer {
    json_t *root;
    uint8_t keys[KEYS][JWS_KEY_SIZE]; /* the present one, and two former ones */
    char names[KEYS][JWS_FINGERPRINT_SIZE];
};

static json_t *pair(const struct answer *a, size_t i)
{
    char key[CP_BASE64_SIZE(JWS_KEY_SIZE)];
    char certificate[16];

    (void)cp_base64_encode(CP_BASE64_URL, a->keys[i], JWS_KEY_SIZE, key);
    (void)snprintf(certificate, sizeof certificate, "certificate %zu", i);
    return json_pack("{s:s, s:s}", "identity_key", key, "certificate", certificate);
}

static int set_up(void **state)
{
    static struct answer a;
    json_t *former = json_array();

    for (size_t i = 0; i < KEYS; i++) {
        memset(a.keys[i], (int)i + 1, JWS_KEY_SIZE);
        assert_int_equal(jws_fingerprint(a.keys[i], a.names[i]), CP_OK);
    }
    a.root = pair(&a, 0);
    (void)json_array_append_new(former, pair(&a, 1));
    (void)json_array_append_new(former, pair(&a, 2));
    (void)json_object_set_new(a.root, "previous_identities", former);
    *state = &a;
    return 0;
}

static int tear_down(void **state)
{
    struct answer *a = *state;

    json_decref(a->root);
    return 0;
}

static void expect(const struct answer *a, const char *known, size_t which)
{
    struct cl_identity identity;
    char certificate[16];

    (void)snprintf(certificate, sizeof certificate, "certificate %zu", which);
    assert_int_equal(cl_identity_choose(a->root, known, &identity, NULL), CP_OK);
    assert_memory_equal(identity.key, a->keys[which], JWS_KEY_SIZE);
    assert_string_equal(identity.certificate, certificate);
    assert_int_equal(identity.former, which > 0);
    assert_string_equal(identity.present, a->names[0]);
}

static void the_present_one_or_a_former_one(void **state)
{
    const struct answer *a = *state;
    char list[2 * JWS_FINGERPRINT_SIZE];

    expect(a, NULL, 0);
    for (size_t i = 0; i < KEYS; i++) {
        expect(a, a->names[i], i);
    }
    /* Who names the present one besides needs the former one no more. */
    (void)snprintf(list, sizeof list, "%s;%s", a->names[2], a->names[0]);
    assert_true(cl_identity_list(list));
    expect(a, list, 0);
}

static void strangers_are_refused(void **state)
{
    const struct answer *a = *state;
    static const char stranger[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct cl_identity identity;
    struct cp_error err;

    assert_int_equal(cl_identity_choose(a->root, stranger, &identity, &err), CP_ERR_SIGNATURE);
    assert_non_null(strstr(err.text, a->names[0]));
    (void)json_object_del(a->root, "previous_identities"); /* an older service */
    assert_int_equal(cl_identity_choose(a->root, a->names[1], &identity, &err), CP_ERR_SIGNATURE);
    expect(a, a->names[0], 0);
}

static void broken_answers_are_refused(void **state)
{
    const struct answer *a = *state;
    static const char *const bad[] = {"{}", "{\"identity_key\": \"AA\", \"certificate\": \"c\"}",
                                      "{\"identity_key\": 3, \"certificate\": \"c\"}",
                                      "{\"identity_key\": \"!\", \"certificate\": \"c\"}", "[]"};
    struct cl_identity identity;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *one = json_loads(bad[i], 0, NULL);
        json_t *list = json_array();

        assert_non_null(one);
        assert_int_equal(cl_identity_choose(one, NULL, &identity, NULL), CP_ERR_PROTOCOL);
        (void)json_array_append_new(list, one);
        (void)json_object_set_new(a->root, "previous_identities", list);
        assert_int_equal(cl_identity_choose(a->root, a->names[1], &identity, NULL),
                         CP_ERR_PROTOCOL);
    }
    assert_int_equal(cl_identity_choose(NULL, NULL, &identity, NULL), CP_ERR_PROTOCOL);
}

static void lists_are_strict(void **state)
{
    const struct answer *a = *state;
    char text[2 * JWS_FINGERPRINT_SIZE];

    assert_true(cl_identity_list(a->names[0]));
    (void)snprintf(text, sizeof text, "%s;", a->names[0]);
    assert_false(cl_identity_list(text));
    (void)snprintf(text, sizeof text, "%s", a->names[0]);
    text[0] = 'A';
    assert_false(cl_identity_list(text));
    text[63] = '\0';
    assert_false(cl_identity_list(text));
    assert_false(cl_identity_list(""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_present_one_or_a_former_one),
        TEST(strangers_are_refused),
        TEST(broken_answers_are_refused),
        TEST(lists_are_strict),
    };

    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
