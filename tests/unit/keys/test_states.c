/* SPDX-License-Identifier: Apache-2.0
 * The table of states, all of it, and what is said of keys. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/time.h"
#include "keys/care.h"
#include "keys/report.h"
#include "keys/states.h"

#define DAY ((uint64_t)86400 * CP_SEC)
#define NOW ((uint64_t)1800000000 * CP_SEC)

/* Every transition there is; all others are refused. */
static const struct {
    enum db_key_state from;
    enum keys_change change;
    enum db_key_state to;
} allowed[] = {
    {DB_KEY_PENDING, KEYS_ACTIVATE, DB_KEY_ACTIVE},  {DB_KEY_PENDING, KEYS_RETIRE, DB_KEY_RETIRED},
    {DB_KEY_PENDING, KEYS_REVOKE, DB_KEY_REVOKED},   {DB_KEY_PENDING, KEYS_DAMAGE, DB_KEY_DAMAGED},
    {DB_KEY_ACTIVE, KEYS_SUPERSEDE, DB_KEY_OVERLAP}, {DB_KEY_ACTIVE, KEYS_RETIRE, DB_KEY_RETIRED},
    {DB_KEY_ACTIVE, KEYS_REVOKE, DB_KEY_REVOKED},    {DB_KEY_ACTIVE, KEYS_DAMAGE, DB_KEY_DAMAGED},
    {DB_KEY_OVERLAP, KEYS_RETIRE, DB_KEY_RETIRED},   {DB_KEY_OVERLAP, KEYS_REVOKE, DB_KEY_REVOKED},
    {DB_KEY_OVERLAP, KEYS_DAMAGE, DB_KEY_DAMAGED},   {DB_KEY_RETIRED, KEYS_REVOKE, DB_KEY_REVOKED},
    {DB_KEY_DAMAGED, KEYS_RETIRE, DB_KEY_RETIRED},   {DB_KEY_DAMAGED, KEYS_REVOKE, DB_KEY_REVOKED},
    {DB_KEY_DAMAGED, KEYS_DAMAGE, DB_KEY_DAMAGED},   {DB_KEY_DAMAGED, KEYS_HEAL, DB_KEY_ACTIVE},
    {DB_KEY_DAMAGED, KEYS_RESTORE, DB_KEY_OVERLAP},
};
#define ALLOWED (sizeof allowed / sizeof allowed[0])

static void test_every_transition(void **state)
{
    size_t found = 0;

    (void)state;
    for (int from = 0; from < DB_KEY_STATE_COUNT; from++) {
        for (int change = 0; change < KEYS_CHANGE_COUNT; change++) {
            enum db_key_state to = DB_KEY_STATE_COUNT;
            size_t at = 0;

            while (at < ALLOWED && !(allowed[at].from == (enum db_key_state)from &&
                                     allowed[at].change == (enum keys_change)change)) {
                at++;
            }
            assert_int_equal(
                keys_next_state((enum db_key_state)from, (enum keys_change)change, &to),
                at < ALLOWED);
            assert_int_equal(to, at < ALLOWED ? allowed[at].to : DB_KEY_STATE_COUNT);
            found += at < ALLOWED;
        }
    }
    assert_int_equal(found, ALLOWED);
}

/* What somebody else may have is never trusted again. */
static void test_revoked_is_final(void **state)
{
    (void)state;
    for (int change = 0; change < KEYS_CHANGE_COUNT; change++) {
        enum db_key_state to;

        assert_false(keys_next_state(DB_KEY_REVOKED, (enum keys_change)change, &to));
    }
}

static void test_powers(void **state)
{
    (void)state;
    for (int s = 0; s < DB_KEY_STATE_COUNT; s++) {
        assert_int_equal(keys_state_signs((enum db_key_state)s), s == DB_KEY_ACTIVE);
        assert_int_equal(keys_state_vouches((enum db_key_state)s),
                         s == DB_KEY_ACTIVE || s == DB_KEY_OVERLAP);
    }
}

/* ---- reports ---- */

static const struct db_settings usual = {
    .key_rotation_days = 365, .key_overlap_hours = 168, .key_repair = true};
static const struct db_settings cautious = {
    .key_rotation_days = 0, .key_overlap_hours = 168, .key_repair = false};

static void expect(const struct db_key *key, const struct db_settings *settings,
                   enum keys_health health, const char *words)
{
    struct keys_report r;

    keys_report_key(key, settings, NOW, &r);
    if (r.health != health || strstr(r.summary, words) == NULL) {
        fail_msg("%s: %s", keys_health_name(r.health), r.summary);
    }
}

static void test_reports(void **state)
{
    struct db_key key = {.kind = DB_KEY_MULTICAST,
                         .state = DB_KEY_ACTIVE,
                         .created_at = NOW - 100 * DAY,
                         .activated_at = NOW - 10 * DAY,
                         .check_result = "ok"};
    struct keys_report r;

    (void)state;
    keys_report_key(&key, &usual, NOW, &r);
    assert_int_equal(r.next_rotation_at, NOW + 355 * DAY);
    expect(&key, &usual, KEYS_HEALTH_OK, "rotated by itself on 2028-01-0");
    expect(&key, &cautious, KEYS_HEALTH_OK, "key_rotation_days is 0");
    key.activated_at = NOW - 365 * DAY;
    expect(&key, &usual, KEYS_HEALTH_OK, "rotated by itself on 2027-01-15");
    key.activated_at = NOW - 367 * DAY;
    expect(&key, &usual, KEYS_HEALTH_ATTENTION, "should have been rotated");
    (void)strcpy(key.check_result, "its private key is damaged");
    expect(&key, &usual, KEYS_HEALTH_BROKEN, "its private key is damaged. It is replaced");
    expect(&key, &cautious, KEYS_HEALTH_BROKEN, "joins are refused until somebody rotates it");
    key.state = DB_KEY_DAMAGED;
    expect(&key, &cautious, KEYS_HEALTH_BROKEN, "Cannot be used");
    key.retired_at = NOW;
    (void)strcpy(key.retired_reason, "its private key is damaged");
    expect(&key, &usual, KEYS_HEALTH_OK, "Damaged and replaced on 2027-01-15 08:00: its private");
}

static void test_reports_of_those_beside(void **state)
{
    struct db_key key = {.kind = DB_KEY_IDENTITY,
                         .state = DB_KEY_OVERLAP,
                         .overlap_until = NOW + DAY,
                         .check_result = "ok"};

    (void)state;
    expect(&key, &usual, KEYS_HEALTH_OK, "Until 2027-01-16 08:00 it certifies for clients");
    key.kind = DB_KEY_MULTICAST;
    expect(&key, &usual, KEYS_HEALTH_OK, "what it signed still holds");
    key.state = DB_KEY_PENDING;
    expect(&key, &usual, KEYS_HEALTH_OK, "at the next rotation");
    key.state = DB_KEY_REVOKED;
    key.retired_at = NOW;
    expect(&key, &usual, KEYS_HEALTH_OK, "should join again");
    key.kind = DB_KEY_IDENTITY;
    expect(&key, &usual, KEYS_HEALTH_OK, "signature-invalid");
    key.state = DB_KEY_RETIRED;
    memset(key.retired_reason, 'x', sizeof key.retired_reason - 1);
    expect(&key, &usual, KEYS_HEALTH_OK, "Retired on 2027-01-15 08:00: xxx");
}

static void test_no_key(void **state)
{
    struct keys_report r;

    (void)state;
    keys_report_kind(DB_KEY_IDENTITY, NULL, &usual, NOW, &r);
    assert_int_equal(r.health, KEYS_HEALTH_ATTENTION);
    assert_non_null(strstr(r.summary, "There is no identity key. It is made when"));
    keys_report_kind(DB_KEY_MULTICAST, NULL, &cautious, NOW, &r);
    assert_int_equal(r.health, KEYS_HEALTH_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_transition),
        cmocka_unit_test(test_revoked_is_final),
        cmocka_unit_test(test_powers),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_reports_of_those_beside),
        cmocka_unit_test(test_no_key),
    };

    return cmocka_run_group_tests_name("states", tests, NULL, NULL);
}
