/* SPDX-License-Identifier: Apache-2.0
 * Joins: who gets in, what a receiver's token opens and when it ends, which wishes are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/api/join_rig.h"

static void access_is_decided_at_each_join(void **state)
{
    struct rig_call call = join_call(JOIN("guarded", "c1"));
    struct rig_call wrong = join_call(JOIN("guarded", "c1"));
    struct rig_call missing = join_call(JOIN("no-such", "c1"));
    struct joined j;

    (void)state;
    sealed_package("guarded", "");
    rig_content_access(rig, "authenticated");
    rig_refused(rig, RIG_NOBODY, &call, "authentication-required", NULL);
    wrong.authorization = "Bearer cpt_nonsense";
    rig_refused(rig, RIG_NOBODY, &wrong, "authentication-failed", NULL);
    wrong.authorization = "Basic Y29udGVudDp3cm9uZw=="; /* content:wrong */
    rig_refused(rig, RIG_NOBODY, &wrong, "authentication-failed", NULL);
    /* A stranger does not learn which packages there are. */
    rig_refused(rig, RIG_NOBODY, &missing, "authentication-required", NULL);
    rig_refused(rig, RIG_CONTENT, &missing, "package-not-found", "no-such");
    j = joined_as(RIG_CONTENT, JOIN("guarded", "c1"), 201);
    joined_done(&j);
    rig_content_access(rig, "anonymous");
    j = joined_as(RIG_NOBODY, JOIN("guarded", "c2"), 201);
    joined_done(&j);
    rig_content_access(rig, "authenticated");
    rig_refused(rig, RIG_NOBODY, &call, "authentication-required", NULL);
}

static void package_overrides_access(void **state)
{
    struct rig_call closed = join_call(JOIN("closed", "c1"));
    struct joined j;

    (void)state;
    sealed_package("opened", ", \"content_access\": \"anonymous\"");
    sealed_package("closed", ", \"content_access\": \"authenticated\"");
    rig_content_access(rig, "authenticated");
    j = joined_as(RIG_NOBODY, JOIN("opened", "c1"), 201);
    joined_done(&j);
    rig_content_access(rig, "anonymous");
    rig_refused(rig, RIG_NOBODY, &closed, "authentication-required", NULL);
}

/* A receiver token never makes another one: it would outlive every decision about access. */
static void receiver_token_joins_nothing(void **state)
{
    struct rig_call call = join_call(JOIN("other", "c1"));
    struct rig_call same = join_call(JOIN("mine", "c1"));
    struct rig_call missing = join_call(JOIN("no-such", "c1"));
    struct joined j;

    (void)state;
    rig_content_access(rig, "authenticated");
    sealed_package("mine", "");
    sealed_package("other", "");
    j = joined_as(RIG_CONTENT, JOIN("mine", "c1"), 201);
    call.authorization = j.bearer;
    same.authorization = j.bearer;
    missing.authorization = j.bearer;
    rig_refused(rig, RIG_NOBODY, &call, "access-denied", "join");
    rig_refused(rig, RIG_NOBODY, &same, "access-denied", "join");
    rig_refused(rig, RIG_NOBODY, &missing, "access-denied", "join");
    joined_done(&j);
    rig_content_access(rig, "anonymous");
    j = joined_as(RIG_NOBODY, JOIN("mine", "c2"), 201);
    /* one of a session that waits would be void now */
    rig_sql("UPDATE sessions SET state = 'running', started_at = now() WHERE ended_at IS NULL");
    rig_content_access(rig, "authenticated");
    same.authorization = j.bearer;
    rig_refused(rig, RIG_NOBODY, &same, "access-denied", "join");
    joined_done(&j);
}

static void delete_leaver(void)
{
    char match[128];

    rig_if_match(rig, "/api/v1/accounts/leaver", match);
    assert_int_equal(rig_status(rig, RIG_ADMIN,
                                &(struct rig_call){.method = API_DELETE,
                                                   .path = "/api/v1/accounts/leaver",
                                                   .headers = {match}}),
                     204);
}

static struct joined join_as_leaver(int status)
{
    struct rig_call call = join_call(JOIN("left", "c1"));
    struct joined j = {.ticket = NULL};

    assert_int_equal(rig_status(rig, RIG_ADMIN,
                                &(struct rig_call){.method = API_POST,
                                                   .path = "/api/v1/accounts",
                                                   .body = "{\"name\": \"leaver\", \"role\": "
                                                           "\"content\", \"password\": "
                                                           "\"a password\"}"}),
                     201);
    call.authorization = "Basic bGVhdmVyOmEgcGFzc3dvcmQ="; /* leaver:a password */
    j.answer = rig_expect(rig, RIG_NOBODY, &call, status);
    (void)snprintf(j.bearer, sizeof j.bearer, "Bearer %s", rig_text(&j.answer, "receiver_token"));
    return j;
}

/* Not only a disabled account: a deleted one takes its receiver tokens along, too. */
static void receiver_token_ends_with_its_account(void **state)
{
    struct rig_call manifest = {.method = API_GET,
                                .path = "/api/v1/packages/left/versions/1/manifest"};
    struct joined j;

    (void)state;
    rig_content_access(rig, "authenticated");
    sealed_package("left", "");
    j = join_as_leaver(201);
    manifest.authorization = j.bearer;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &manifest), 200);
    delete_leaver();
    rig_refused(rig, RIG_NOBODY, &manifest, "authentication-failed", NULL);
    joined_done(&j);
    /* The name comes back, with it the place, and the new account's token counts. */
    j = join_as_leaver(200);
    manifest.authorization = j.bearer;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &manifest), 200);
    joined_done(&j);
    delete_leaver();
}

/* The result may be sent again for a while; then the token has done its work. */
static void receiver_token_ends_after_the_result(void **state)
{
    static const char result[] = "{\"outcome\": \"done\", \"bytes_total\": 30}";
    struct rig_call manifest = {.method = API_GET,
                                .path = "/api/v1/packages/finished/versions/1/manifest"};
    struct joined j;

    (void)state;
    rig_content_access(rig, "authenticated");
    sealed_package("finished", "");
    j = joined_as(RIG_CONTENT, JOIN("finished", "c1"), 201);
    manifest.authorization = j.bearer;
    assert_int_equal(joined_status(&j, API_PUT, "/result", result), 204);
    assert_int_equal(joined_status(&j, API_PUT, "/result", result), 204);
    rig_sql("UPDATE receivers SET expires_at = expires_at - interval '11 minutes'"
            " WHERE version_id IN (SELECT v.id FROM versions v JOIN packages p"
            " ON p.id = v.package_id WHERE p.name = 'finished')");
    rig_refused(rig, RIG_NOBODY, &manifest, "authentication-failed", NULL);
    joined_done(&j);
}

static void versions_that_cannot_be_joined(void **state)
{
    struct rig_call current = join_call(JOIN("states", "c1"));
    struct rig_call second =
        join_call("{\"package\": \"states\", \"version\": 2, \"client_id\": \"c1\"}");
    struct rig_call third =
        join_call("{\"package\": \"states\", \"version\": 3, \"client_id\": \"c1\"}");
    struct rig_call call = {.method = API_POST, .path = "/api/v1/packages/states/versions"};
    struct rig_answer a;
    struct joined j;
    char match[128];

    (void)state;
    rig_content_access(rig, "anonymous");
    rig_package(rig, "states", "");
    rig_put(rig, "states", 1, "a.bin", "x");
    rig_refused(rig, RIG_NOBODY, &current, "version-not-sealed", NULL);
    rig_seal(rig, "states", 1);
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    rig_answer_done(&a);
    rig_refused(rig, RIG_NOBODY, &second, "version-not-sealed", "2");
    rig_refused(rig, RIG_NOBODY, &third, "version-not-found", "3");
    j = joined_as(RIG_NOBODY, JOIN("states", "c1"), 201);
    assert_int_equal(rig_number_in(j.ticket, "version"), 1);
    joined_done(&j);
    rig_put(rig, "states", 2, "a.bin", "y");
    rig_seal(rig, "states", 2);
    rig_if_match(rig, "/api/v1/packages/states/versions/2", match);
    call = (struct rig_call){.method = API_POST,
                             .path = "/api/v1/packages/states/versions/2/retire",
                             .headers = {match}};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200);
    rig_refused(rig, RIG_NOBODY, &second, "version-retired", "2");
}

static void wishes_are_checked(void **state)
{
    static const struct {
        const char *body, *word;
    } cases[] = {
        {"{}", "package"},
        {"{\"package\": \"p\"}", "client_id"},
        {"{\"package\": \"p\", \"client_id\": \"\"}", "client_id"},
        {"{\"package\": \"p\", \"client_id\": \"a b\"}", "client_id"},
        {"{\"package\": \"p\", \"client_id\": \"a/b\"}", "client_id"},
        {"{\"package\": \"p\", \"client_id\": \"c\", \"version\": 0}", "version"},
        {"{\"package\": \"p\", \"client_id\": \"c\", \"version\": \"1\"}", "version"},
        {"{\"package\": \"p\", \"client_id\": \"c\", \"multicast\": 1}", "multicast"},
        {"{\"package\": \"p\", \"client_id\": \"c\", \"extra\": 1}", "extra"},
        {"[]", NULL},
        {"{\"package\": \"p\", \"package\": \"q\", \"client_id\": \"c\"}", NULL},
    };

    (void)state;
    rig_content_access(rig, "anonymous");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig_call call = join_call(cases[i].body);
        struct rig_answer a = rig_expect(rig, RIG_NOBODY, &call, 400);

        if (cases[i].word != NULL && strstr(a.bytes, cases[i].word) == NULL) {
            fail_msg("%s: %s", cases[i].body, a.bytes);
        }
        rig_answer_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(access_is_decided_at_each_join),
        cmocka_unit_test(package_overrides_access),
        cmocka_unit_test(receiver_token_joins_nothing),
        cmocka_unit_test(receiver_token_ends_with_its_account),
        cmocka_unit_test(receiver_token_ends_after_the_result),
        cmocka_unit_test(versions_that_cannot_be_joined),
        cmocka_unit_test(wishes_are_checked),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
