/* SPDX-License-Identifier: Apache-2.0
 * Nodes and their settings: run through tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <stdio.h>

#include "db/settings.h"

static void test_node(void **state)
{
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_node again, found, list[3];
    size_t count;

    OK(f, db_node_register(c, "dp1", "0.2.0", &again, &f->err));
    assert_string_equal(again.id, f->node.id);
    assert_string_equal(again.version, "0.2.0");
    OK(f, db_node_register(c, "dp2", "0.2.0", &again, &f->err));
    OK(f, db_node_get(c, f->node.id, &found, &f->err));
    assert_string_equal(found.name, "dp1");
    OK(f, db_node_get(c, "dp2", &found, &f->err));
    assert_string_equal(found.id, again.id);
    REFUSED(f, CP_ERR_NOT_FOUND, db_node_get(c, "dp3", &found, &f->err));
    OK(f, db_node_list(c, "", 3, list, &count, &f->err));
    assert_int_equal(count, 2);
    OK(f, db_node_list(c, "dp1", 3, list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].name, "dp2");
    OK(f, db_node_lock(c, f->node.id, &f->err));
    REFUSED(f, CP_ERR_NOT_FOUND, db_node_lock(c, "00000000-0000-0000-0000-000000000000", &f->err));
    fixture_commit(f);
}

static void test_library(void **state)
{
    static const char found[] = "01234567-89ab-4cde-8f01-23456789abcd";
    static const char nobody[] = "00000000-0000-0000-0000-000000000000";
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    char first[DB_ID_SIZE], then[DB_ID_SIZE];
    struct db_node node;
    bool news;

    assert_string_equal(f->node.library_id, "");
    assert_int_equal(f->node.library_foreign_since, 0);
    OK(f, db_node_own_library(c, f->node.id, "", false, first, &f->err));
    assert_true(db_is_uuid(first));
    OK(f, db_node_own_library(c, f->node.id, found, false, then, &f->err));
    assert_string_equal(then, first); /* it has one */
    OK(f, db_node_own_library(c, f->node.id, found, true, then, &f->err));
    assert_string_not_equal(then, first);
    assert_string_not_equal(then, found);
    OK(f, db_node_foreign_library(c, f->node.id, &news, &f->err));
    assert_true(news);
    OK(f, db_node_foreign_library(c, f->node.id, &news, &f->err));
    assert_false(news);
    OK(f, db_node_get(c, f->node.id, &node, &f->err));
    assert_string_equal(node.library_id, then);
    assert_true(node.library_foreign_since > 0);
    OK(f, db_node_own_library(c, f->node.id, "?", false, then, &f->err));
    assert_string_equal(then, node.library_id);
    OK(f, db_node_get(c, f->node.id, &node, &f->err));
    assert_int_equal(node.library_foreign_since, 0);
    OK(f, db_node_register(c, "dp2", "0.2.0", &node, &f->err));
    OK(f, db_node_own_library(c, node.id, found, false, then, &f->err));
    assert_string_equal(then, found);
    REFUSED(f, CP_ERR_NOT_FOUND, db_node_own_library(c, nobody, "", false, then, &f->err));
    fixture_commit(f);
}

static void test_settings(void **state)
{
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_settings s, changed, bad;

    OK(f, db_settings_get(c, f->node.id, &s, &f->err));
    assert_true(s.multicast_enabled);
    assert_string_equal(s.address_first, "239.255.77.1");
    assert_int_equal(s.rate_ceiling_bps, 0);
    assert_int_equal(s.content_access, DB_ACCESS_AUTHENTICATED);
    assert_int_equal(s.revision, 1);

    s.multicast_enabled = false;
    s.port_last = 7002;
    s.rate_ceiling_bps = 500000000;
    (void)snprintf(s.interface, sizeof s.interface, "%s", "eth0");
    s.content_access = DB_ACCESS_ANONYMOUS;
    OK(f, db_settings_update(c, &s, &changed, &f->err));
    assert_int_equal(changed.revision, 2);
    assert_false(changed.multicast_enabled);
    assert_int_equal(changed.rate_ceiling_bps, 500000000);
    assert_string_equal(changed.interface, "eth0");
    REFUSED(f, CP_ERR_PRECONDITION_FAILED, db_settings_update(c, &s, &changed, &f->err));

    bad = changed;
    bad.port_first = 7003;
    REFUSED(f, CP_ERR_INVALID, db_settings_update(c, &bad, &changed, &f->err));
    fixture_sql(f, "SAVEPOINT s");
    assert_int_equal(db_settings_update(c, &bad, &changed, &f->err), CP_ERR_INVALID);
    assert_string_equal(db_constraint(c), "settings_ports_check");
    fixture_sql(f, "ROLLBACK TO s");
    bad = changed;
    (void)snprintf(bad.address_first, sizeof bad.address_first, "10.0.0.1");
    REFUSED(f, CP_ERR_INVALID, db_settings_update(c, &bad, &changed, &f->err));
    (void)snprintf(bad.address_first, sizeof bad.address_first, "nonsense");
    REFUSED(f, CP_ERR_INVALID, db_settings_update(c, &bad, &changed, &f->err));
    (void)snprintf(bad.address_first, sizeof bad.address_first, "224.0.0.5");
    REFUSED(f, CP_ERR_INVALID, db_settings_update(c, &bad, &changed, &f->err));
    REFUSED(f, CP_ERR_NOT_FOUND, db_settings_get(c, "no id", &s, &f->err));
    fixture_commit(f);
}

/* Whatever the ends are, it is the constraint that speaks, not an operator in it. */
static void test_address_ranges(void **state)
{
    static const struct {
        const char *first, *last;
        bool good;
    } cases[] = {
        {"239.1.0.1", "239.1.0.9", true},
        {"239.1.0.1", "239.2.0.0", true},
        {"239.1.0.1", "239.2.0.1", false},
        {"239.1.0.2", "239.1.0.1", false},
        {"224.0.0.255", "224.0.1.1", false},
        {"0.0.0.1", "239.1.0.1", false},
        {"239.1.0.1", "ff15::1", false},
        {"ff15::1", "239.1.0.1", false},
        {"ff15::1", "ff15::1", true},
        {"ff15::", "ff15::ffff", true},
        {"ff15::", "ff15::1:0", false},
        {"ff15::2", "ff15::1", false},
        {"ff15::1", "ff16::1", false},
        {"ff15::ffff:ffff", "ff15::1:0:1", true},
        {"ff15::ff/120", "ff15::1ff", false},
        {"::1", "ff15::1", false},
        {"ff15::1", "::1", false},
        {"ff01::1000", "ff01::1001", false},
        {"ff11::1", "ff11::1", false},
        {"ff30::1", "ff30::1", false},
        {"ff02::1", "ff02::2", false},
        {"ff02::1:0", "ff02::1:1", false},
        {"ff12::1", "ff12::2", true},
        {"ff05::ff", "ff05::100", false},
        {"ff05::100", "ff05::1ff", true},
        {"ff0e::1", "ff0e::1", false},
    };
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_settings s, changed;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum cp_err rc;

        OK(f, db_settings_get(c, f->node.id, &s, &f->err));
        (void)snprintf(s.address_first, sizeof s.address_first, "%s", cases[i].first);
        (void)snprintf(s.address_last, sizeof s.address_last, "%s", cases[i].last);
        fixture_sql(f, "SAVEPOINT s");
        rc = db_settings_update(c, &s, &changed, &f->err);
        if ((rc == CP_OK) != cases[i].good) {
            fail_msg("%s to %s: %s", cases[i].first, cases[i].last, f->err.text);
        }
        if (rc != CP_OK) {
            assert_int_equal(rc, CP_ERR_INVALID);
            assert_string_equal(db_constraint(c), "settings_addresses_check");
            fixture_sql(f, "ROLLBACK TO s");
        }
    }
    fixture_commit(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_node),
        TEST(test_library),
        TEST(test_settings),
        TEST(test_address_ranges),
    };

    return cmocka_run_group_tests_name("db node", tests, NULL, NULL);
}
