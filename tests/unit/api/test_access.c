/* SPDX-License-Identifier: Apache-2.0
 * Tests of the one decision who may have content: every combination. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/access/access.h"

static enum cp_err decide(enum db_access package, enum db_access node,
                          const struct api_principal *who)
{
    struct cp_error err;

    return api_access_decide(package, node, who, "version-1", &err);
}

static void nobody(void **state)
{
    static const struct {
        enum db_access package, node;
        enum cp_err want;
    } cases[] = {
        {DB_ACCESS_INHERIT, DB_ACCESS_ANONYMOUS, CP_OK},
        {DB_ACCESS_INHERIT, DB_ACCESS_AUTHENTICATED, CP_ERR_AUTH_REQUIRED},
        {DB_ACCESS_INHERIT, DB_ACCESS_INHERIT, CP_ERR_AUTH_REQUIRED},
        {DB_ACCESS_ANONYMOUS, DB_ACCESS_AUTHENTICATED, CP_OK},
        {DB_ACCESS_ANONYMOUS, DB_ACCESS_ANONYMOUS, CP_OK},
        {DB_ACCESS_AUTHENTICATED, DB_ACCESS_ANONYMOUS, CP_ERR_AUTH_REQUIRED},
        {DB_ACCESS_AUTHENTICATED, DB_ACCESS_AUTHENTICATED, CP_ERR_AUTH_REQUIRED},
    };
    struct api_principal who = {.role = API_ROLE_NONE};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(decide(cases[i].package, cases[i].node, &who), cases[i].want);
    }
}

static void every_role_may_fetch(void **state)
{
    (void)state;
    for (int role = API_ROLE_CONTENT; role <= API_ROLE_ADMIN; role++) {
        struct api_principal who = {.role = (enum api_role)role};

        assert_int_equal(decide(DB_ACCESS_AUTHENTICATED, DB_ACCESS_AUTHENTICATED, &who), CP_OK);
    }
}

static void a_receiver_token_is_for_its_version(void **state)
{
    struct api_principal who = {
        .account_id = "a", .receiver_id = "join-1", .receiver_version_id = "version-1"};

    (void)state;
    assert_int_equal(decide(DB_ACCESS_INHERIT, DB_ACCESS_AUTHENTICATED, &who), CP_OK);
    who.receiver_version_id[8] = '2';
    assert_int_equal(decide(DB_ACCESS_INHERIT, DB_ACCESS_AUTHENTICATED, &who),
                     CP_ERR_ACCESS_DENIED);
    assert_int_equal(decide(DB_ACCESS_INHERIT, DB_ACCESS_ANONYMOUS, &who), CP_OK);
}

/* It was let in by a rule that does not hold any more. */
static void an_anonymous_receiver_has_what_is_open(void **state)
{
    struct api_principal who = {.receiver_id = "join-1", .receiver_version_id = "version-1"};

    (void)state;
    assert_int_equal(decide(DB_ACCESS_INHERIT, DB_ACCESS_ANONYMOUS, &who), CP_OK);
    assert_int_equal(decide(DB_ACCESS_ANONYMOUS, DB_ACCESS_AUTHENTICATED, &who), CP_OK);
    assert_int_equal(decide(DB_ACCESS_INHERIT, DB_ACCESS_AUTHENTICATED, &who),
                     CP_ERR_AUTH_REQUIRED);
    assert_int_equal(decide(DB_ACCESS_AUTHENTICATED, DB_ACCESS_ANONYMOUS, &who),
                     CP_ERR_AUTH_REQUIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody),
        cmocka_unit_test(every_role_may_fetch),
        cmocka_unit_test(a_receiver_token_is_for_its_version),
        cmocka_unit_test(an_anonymous_receiver_has_what_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
