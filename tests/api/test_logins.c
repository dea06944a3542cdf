/* SPDX-License-Identifier: Apache-2.0
 * Failed logins: what locks, for whom, how long, and that a lock does not tell which accounts there
 * are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/time.h"
#include "tests/api/rig.h"

#define SETTINGS "/api/v1/distribution-points/local/settings"

static struct rig_answer login(const char *account, const char *password, const char *remote)
{
    char header[256];

    rig_basic(account, password, header);
    return rig_send(
        rig, RIG_NOBODY,
        &(struct rig_call){
            .method = API_GET, .path = "/api/v1", .authorization = header, .remote = remote});
}

/* The same at an address that looks at credentials. */
static int status_of(const char *account, const char *password, const char *remote)
{
    char header[256];

    rig_basic(account, password, header);
    return rig_status(rig, RIG_NOBODY,
                      &(struct rig_call){.method = API_GET,
                                         .path = "/api/v1/packages",
                                         .authorization = header,
                                         .remote = remote});
}

static void limits(int failures, int seconds)
{
    char body[96];
    char match[128];
    struct rig_answer a;

    (void)snprintf(body, sizeof body, "{\"login_failures\": %d, \"login_lockout_s\": %d}", failures,
                   seconds);
    rig_if_match(rig, SETTINGS, match);
    a = rig_expect(
        rig, RIG_ADMIN,
        &(struct rig_call){.method = API_PATCH, .path = SETTINGS, .body = body, .headers = {match}},
        200);
    rig_answer_done(&a);
}

/* From an address of its own each, so that only the name is counted. */
static void guess(const char *account, int from, int count, int want)
{
    for (int i = from; i < from + count; i++) {
        char password[32];
        char remote[32];

        (void)snprintf(password, sizeof password, "a wrong guess %d", i);
        (void)snprintf(remote, sizeof remote, "198.51.100.%d", i);
        assert_int_equal(status_of(account, password, remote), want);
    }
}

static void unlock(const char *account)
{
    char path[96];
    struct rig_answer a;

    (void)snprintf(path, sizeof path, "/api/v1/accounts/%s/unlock", account);
    a = rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_POST, .path = path}, 200);
    assert_true(json_is_null(json_object_get(a.json, "locked_until")));
    rig_answer_done(&a);
}

static void public_addresses_do_not_look(void **state)
{
    struct rig_answer a = login("viewer", "wrong", NULL);

    (void)state;
    assert_int_equal(a.status, 200);
    rig_answer_done(&a);
}

static void a_name_is_locked(void **state)
{
    struct rig_answer a;
    char header[256];
    struct rig_call call = {.method = API_GET, .path = "/api/v1/packages", .authorization = header};

    (void)state;
    limits(3, 900);
    guess("viewer", 1, 3, 401);
    rig_basic("viewer", RIG_PASSWORD, header);
    a = rig_expect(rig, RIG_NOBODY, &call, 429);
    assert_string_equal(rig_text(&a, "code"), "account-locked");
    assert_in_range(strtol(rig_header(&a, "Retry-After"), NULL, 10), 890, 900);
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_VIEWER, &(struct rig_call){.path = "/api/v1/packages"}),
                     200); /* by its token */
    a = rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_GET, .path = "/api/v1/accounts/viewer"}, 200);
    assert_non_null(rig_text(&a, "locked_until"));
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "account-locked"), 1);
    rig_restart_logins(rig); /* the database remembers */
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 429);
    unlock("viewer");
    assert_int_equal(rig_events(rig, "account-unlocked"), 1);
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    unlock("viewer"); /* nothing to do */
    assert_int_equal(rig_events(rig, "account-unlocked"), 1);
    rig_refused(rig, RIG_ADMIN,
                &(struct rig_call){.method = API_POST, .path = "/api/v1/accounts/nobody/unlock"},
                "not-found", "nobody");
}

/* Word for word the same, so that a list of names cannot be tried. */
static void an_unknown_name_is_locked_the_same(void **state)
{
    struct rig_answer known, unknown;
    const char *detail;

    (void)state;
    limits(3, 900);
    guess("operator", 1, 3, 401);
    guess("no-such-account", 1, 3, 401);
    guess("Nobody Has Such A Name!", 1, 3, 401);
    guess("operator", 4, 1, 429);
    guess("no-such-account", 4, 1, 429);
    guess("Nobody Has Such A Name!", 4, 1, 429);
    rig_sql("UPDATE login_failures SET locked_until = now() + interval '500 seconds'"
            " WHERE locked_until IS NOT NULL");
    known = login("operator", "x", "198.51.100.99");
    rig_answer_done(&known);
    known =
        rig_send(rig, RIG_NOBODY,
                 &(struct rig_call){.method = API_GET,
                                    .path = "/api/v1/packages",
                                    .authorization = "Basic b3BlcmF0b3I6eA=="}); /* operator:x */
    unknown =
        rig_send(rig, RIG_NOBODY,
                 &(struct rig_call){.method = API_GET,
                                    .path = "/api/v1/packages",
                                    .authorization =
                                        "Basic bm8tc3VjaC1hY2NvdW50Ong="}); /* no-such-account:x */
    assert_int_equal(known.status, 429);
    assert_int_equal(unknown.status, 429);
    detail = rig_text(&known, "detail");
    assert_memory_equal(detail, rig_text(&unknown, "detail"), strcspn(detail, "0123456789"));
    assert_string_equal(rig_text(&known, "title"), rig_text(&unknown, "title"));
    rig_answer_done(&known);
    rig_answer_done(&unknown);
    unlock("operator");
}

/* Processor time, so that a machine that is busy with something else makes no difference. */
static cp_time work_done(void)
{
    struct timespec t;

    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (cp_time)t.tv_sec * CP_SEC + (cp_time)t.tv_nsec;
}

static cp_time work_of(const char *account, int from)
{
    cp_time shortest = CP_TIME_NEVER;

    for (int i = from; i < from + 3; i++) {
        cp_time before = work_done();

        guess(account, i, 1, 401);
        shortest = cp_time_min(shortest, work_done() - before);
    }
    return shortest;
}

/* Hashing a password takes a hundred times as long as all else: it is done for every name. */
static void an_unknown_name_takes_as_long(void **state)
{
    cp_time known, unknown, odd;

    (void)state;
    limits(0, 900);
    known = work_of("operator", 61);
    unknown = work_of("still-no-such-account", 64);
    odd = work_of("Not Even A Name", 67);
    assert_true(unknown > known / 3 && unknown < known * 3);
    assert_true(odd > known / 3 && odd < known * 3);
}

/* Made with the setting of before: it takes as long as any other, and is made anew by a login. */
static void a_hash_of_before_is_renewed(void **state)
{
    cp_time former, unknown;

    (void)state;
    limits(0, 900);
    rig_sql("UPDATE accounts SET password_hash ="
            " replace('scrypt#15#8#1#AAECAwQFBgcICQoLDA0ODw#71MrULv6YuZMr-5TlqzaKGb6X4rZEs0_5cvElSZ"
            "Br2s', '#', chr(36))"
            " WHERE name = 'operator'");
    former = work_of("operator", 71);
    unknown = work_of("nor-is-this-an-account", 74);
    assert_true(unknown > former / 2 && unknown < former * 2);
    rig_sql("SELECT 1 / (count(*) = 1)::integer FROM accounts WHERE password_hash LIKE"
            " 'scrypt_15_8_1_%' AND name = 'operator'"); /* by wrong passwords it is not */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(status_of("operator", "secret", NULL), 200);
        rig_sql("SELECT 1 / (count(*) = 1)::integer FROM accounts WHERE password_hash LIKE"
                " 'scrypt_15_8_3_%' AND name = 'operator'");
        rig_restart_logins(rig);
    }
    rig_sql("UPDATE accounts SET password_hash = (SELECT password_hash FROM accounts WHERE"
            " name = 'viewer') WHERE name = 'operator'");
    assert_int_equal(status_of("operator", RIG_PASSWORD, NULL), 200);
}

static void a_success_resets(void **state)
{
    (void)state;
    limits(3, 900);
    guess("operator", 11, 2, 401);
    assert_int_equal(status_of("operator", RIG_PASSWORD, NULL), 200);
    guess("operator", 13, 2, 401);
    assert_int_equal(status_of("operator", RIG_PASSWORD, NULL), 200);
}

/* Forty machines with an old password make one guess. */
static void the_same_guess_counts_once(void **state)
{
    (void)state;
    limits(3, 900);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(status_of("content", "the password of last year", "203.0.113.5"), 401);
    }
    assert_int_equal(status_of("content", RIG_PASSWORD, "203.0.113.5"), 403); /* its role */
}

static void an_address_is_locked(void **state)
{
    static const char *const names[] = {"one", "two", "three"};
    char match[128];
    struct rig_call change = {.method = API_PATCH,
                              .path = "/api/v1/accounts/content",
                              .body = "{\"role\": \"viewer\"}",
                              .headers = {match}};

    (void)state;
    limits(3, 900);
    rig_if_match(rig, change.path, match);
    assert_int_equal(rig_status(rig, RIG_ADMIN, &change), 200);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(status_of(names[i], "the same word for all", "203.0.113.77"), 401);
    }
    assert_int_equal(status_of("content", RIG_PASSWORD, "203.0.113.77"), 429);
    assert_int_equal(status_of("content", RIG_PASSWORD, "203.0.113.78"), 200);
    rig_restart_logins(rig); /* only names are kept */
    assert_int_equal(status_of("content", RIG_PASSWORD, "203.0.113.77"), 200);
    /* who unlocks a name unlocks the address that failed at it */
    for (int i = 0; i < 3; i++) {
        char password[16];

        (void)snprintf(password, sizeof password, "guess %d", i);
        assert_int_equal(status_of("content", password, "203.0.113.79"), 401);
    }
    assert_int_equal(status_of("content", RIG_PASSWORD, "203.0.113.79"), 429);
    unlock("content");
    assert_int_equal(status_of("content", RIG_PASSWORD, "203.0.113.79"), 200);
    change.body = "{\"role\": \"content\"}";
    rig_if_match(rig, change.path, match);
    assert_int_equal(rig_status(rig, RIG_ADMIN, &change), 200);
}

/* One account of one's own does not buy guesses at all others. */
static void a_success_does_not_pay_for_guesses(void **state)
{
    static const char remote[] = "203.0.113.80";
    static const char *const names[] = {"one", "two", "three"};

    (void)state;
    limits(3, 900);
    for (int i = 0; i < 3; i++) {
        char slip[16];

        (void)snprintf(slip, sizeof slip, "a slip %d", i);
        if (i < 2) {
            assert_int_equal(status_of("operator", slip, remote), 401);
            assert_int_equal(status_of("operator", RIG_PASSWORD, remote), 200);
        }
        assert_int_equal(status_of(names[i], "spring2026", remote), 401);
    }
    assert_int_equal(status_of("operator", RIG_PASSWORD, remote), 429);
}

static void a_lock_ends_by_itself(void **state)
{
    (void)state;
    limits(2, 1);
    guess("viewer", 21, 2, 401);
    rig_sql("UPDATE login_failures SET locked_until = now() - interval '1 second'"
            " WHERE locked_until IS NOT NULL");
    assert_int_equal(status_of("viewer", RIG_PASSWORD, NULL), 200);
    /* so does the window */
    limits(3, 900);
    guess("viewer", 23, 2, 401);
    rig_sql("UPDATE login_failures SET since = now() - interval '16 minutes'");
    guess("viewer", 25, 2, 401);
    assert_int_equal(status_of("viewer", RIG_PASSWORD, NULL), 200);
}

static void zero_never_locks(void **state)
{
    (void)state;
    limits(0, 900);
    guess("viewer", 31, 12, 401);
    assert_int_equal(status_of("viewer", RIG_PASSWORD, NULL), 200);
}

/* By its id, or in another way: it is the same account's count. */
static void an_id_is_the_same_name(void **state)
{
    struct rig_answer a =
        rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_GET, .path = "/api/v1/accounts/viewer"}, 200);

    (void)state;
    limits(4, 900);
    guess(rig_text(&a, "id"), 51, 2, 401);
    guess("viewer", 53, 2, 401);
    guess(rig_text(&a, "id"), 55, 1, 429);
    unlock("viewer");
    rig_answer_done(&a);
}

/* A disabled account's password is refused as a wrong one and counts as one, once; else the count would
 * tell that it is the right one. It is right again as soon as the account is enabled. */
static void a_disabled_account_says_nothing(void **state)
{
    char match[128];
    struct rig_call change = {.method = API_PATCH,
                              .path = "/api/v1/accounts/viewer",
                              .body = "{\"enabled\": false}",
                              .headers = {match}};

    (void)state;
    limits(2, 900);
    rig_if_match(rig, change.path, match);
    assert_int_equal(rig_status(rig, RIG_ADMIN, &change), 200);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(status_of("viewer", RIG_PASSWORD, NULL), 401);
    }
    guess("viewer", 61, 1, 401);
    assert_int_equal(status_of("viewer", RIG_PASSWORD, NULL), 429);
    unlock("viewer");
    change.body = "{\"enabled\": true}";
    rig_if_match(rig, change.path, match);
    assert_int_equal(rig_status(rig, RIG_ADMIN, &change), 200);
    assert_int_equal(status_of("viewer", RIG_PASSWORD, NULL), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_addresses_do_not_look),
        cmocka_unit_test(a_name_is_locked),
        cmocka_unit_test(an_unknown_name_is_locked_the_same),
        cmocka_unit_test(an_unknown_name_takes_as_long),
        cmocka_unit_test(a_hash_of_before_is_renewed),
        cmocka_unit_test(a_success_resets),
        cmocka_unit_test(the_same_guess_counts_once),
        cmocka_unit_test(an_address_is_locked),
        cmocka_unit_test(a_success_does_not_pay_for_guesses),
        cmocka_unit_test(a_lock_ends_by_itself),
        cmocka_unit_test(zero_never_locks),
        cmocka_unit_test(an_id_is_the_same_name),
        cmocka_unit_test(a_disabled_account_says_nothing),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
