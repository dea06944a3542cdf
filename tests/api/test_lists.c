/* SPDX-License-Identifier: Apache-2.0
 * The filters of the lists that have no test of their own: what they leave, page by page with the
 * addresses in Link, and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/api/rig.h"

#define PACKAGE "/api/v1/packages/lists"
#define HOOKS   "/api/v1/webhooks"
#define KEYS    "/api/v1/distribution-points/local/keys"

/* The rig takes addresses as they are after the server has decoded them. */
static void decode(char *path)
{
    char *to = path;
    unsigned byte;

    for (const char *at = path; *at != '\0'; at++) {
        if (sscanf(at, "%%%2x", &byte) == 1) {
            *to++ = (char)byte;
            at += 2;
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
}

/* How many there are in pages of one; each has `value` in that field. */
static size_t listed(const char *address, const char *field, const char *value)
{
    char path[512];
    size_t count = 0;
    bool more = true;

    (void)snprintf(path, sizeof path, "%s%climit=1", address, strchr(address, '?') ? '&' : '?');
    while (more) {
        struct rig_answer a = rig_get(rig, RIG_ADMIN, path);
        const json_t *items = json_object_get(a.json, "items");

        for (size_t i = 0; i < json_array_size(items); i++) {
            if (field != NULL) {
                assert_string_equal(rig_text_in(json_array_get(items, i), field), value);
            }
            assert_true(count++ < 100);
        }
        more = a.link != NULL;
        if (more) {
            assert_int_equal(json_array_size(items), 1);
            assert_int_equal(sscanf(a.link, "<%511[^>]>; rel=\"next\"", path), 1);
            decode(path);
        }
        rig_answer_done(&a);
    }
    return count;
}

static size_t count_of(const char *address)
{
    return listed(address, NULL, NULL);
}

/* What is no value of a filter is named. */
static void refused(const char *path, const char *field)
{
    struct rig_answer a =
        rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = path}, 400);
    const json_t *errors = json_object_get(a.json, "errors");

    assert_string_equal(rig_text(&a, "code"), "invalid-request");
    assert_int_equal(json_array_size(errors), 1);
    assert_string_equal(rig_text_in(json_array_get(errors, 0), "field"), field);
    rig_answer_done(&a);
}

static void make(const char *path, const char *body)
{
    struct rig_call call = {.method = API_POST, .path = path, .body = body};

    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 201);
}

static int set_up(void **state)
{
    int rc = rig_set_up(state);

    rig_package(rig, "lists", "");
    return rc;
}

static void files_have_a_path_prefix(void **state)
{
    static const char *const paths[] = {"Z", "a/1", "a/2", "a/\xc3\xa9", "a0", "ab", "b/1"};

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        rig_put(rig, "lists", 1, paths[i], "content");
    }
    assert_int_equal(count_of(PACKAGE "/versions/1/files"), 7);
    assert_int_equal(count_of(PACKAGE "/versions/1/files?path_prefix=a"), 5);
    assert_int_equal(count_of(PACKAGE "/versions/1/files?path_prefix=a/"), 3);
    assert_int_equal(count_of(PACKAGE "/versions/1/files?path_prefix=a/\xc3\xa9"), 1);
    assert_int_equal(count_of(PACKAGE "/versions/1/files?path_prefix=A"), 0);
    assert_int_equal(count_of(PACKAGE "/versions/1/files?path_prefix=_/"), 0); /* no pattern */
    assert_int_equal(count_of(PACKAGE "/versions/1/files?path_prefix=a/&after=a/1"), 2);
    assert_int_equal(count_of(PACKAGE "/versions/1/files?path_prefix=a/&after=b"), 0);
    refused(PACKAGE "/versions/1/files?path_prefix=", "path_prefix");
}

static void uploads_have_a_package_and_a_state(void **state)
{
    (void)state;
    rig_package(rig, "lists2", "");
    rig_sql("INSERT INTO uploads (node_id, version_id, path, mode, size, received, digest,"
            " finished_at, expires_at) SELECT n.id, v.id, 'f' || i, 420, 3, least(i, 3),"
            " CASE WHEN i >= 3 THEN repeat('a', 64) END, CASE WHEN i >= 4 THEN now() END,"
            " now() + interval '1 hour' FROM nodes n, versions v, generate_series(0, 6) i,"
            " packages p WHERE p.id = v.package_id AND p.name LIKE 'lists%'");
    assert_int_equal(count_of("/api/v1/uploads"), 14);
    assert_int_equal(listed("/api/v1/uploads?package=lists2", "package", "lists2"), 7);
    assert_int_equal(count_of("/api/v1/uploads?package=lists3"), 0);
    assert_int_equal(listed("/api/v1/uploads?state=receiving", "state", "receiving"), 6);
    assert_int_equal(listed("/api/v1/uploads?state=received", "state", "received"), 2);
    assert_int_equal(listed("/api/v1/uploads?state=finished", "state", "finished"), 6);
    assert_int_equal(listed("/api/v1/uploads?package=lists2&state=finished", "package", "lists2"),
                     3);
    assert_int_equal(listed(PACKAGE "/versions/1/uploads", "package", "lists"), 7);
    assert_int_equal(listed(PACKAGE "/versions/1/uploads?state=receiving", "state", "receiving"),
                     3);
    refused("/api/v1/uploads?state=any", "state");
    refused("/api/v1/uploads?package=", "package");
    refused(PACKAGE "/versions/1/uploads?state=done", "state");
    refused(PACKAGE "/versions/1/uploads?package=lists", "package");
}

static void tokens_have_an_account_and_a_state(void **state)
{
    static const char *const names[] = {"on", "later", "past", "off", "both"};
    char by_id[96], body[128];
    struct rig_answer a;

    (void)state;
    make("/api/v1/accounts", "{\"name\": \"lister\", \"role\": \"viewer\"}");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(body, sizeof body, "{\"name\": \"%s\", \"role\": \"content\"}", names[i]);
        make("/api/v1/accounts/lister/tokens", body);
    }
    rig_sql("UPDATE tokens SET expires_at = now() + interval '1 hour' WHERE name = 'later';"
            "UPDATE tokens SET expires_at = now() WHERE name IN ('past', 'both');"
            "UPDATE tokens SET enabled = false WHERE name IN ('off', 'both')");
    assert_int_equal(count_of("/api/v1/accounts/lister/tokens"), 5);
    assert_int_equal(count_of("/api/v1/accounts/lister/tokens?state=active"), 2);
    assert_int_equal(count_of("/api/v1/accounts/lister/tokens?state=expired"), 2);
    assert_int_equal(count_of("/api/v1/accounts/lister/tokens?state=disabled"), 2);
    assert_int_equal(listed("/api/v1/tokens?account=lister", "account", "lister"), 5);
    assert_int_equal(listed("/api/v1/tokens?account=lister&state=active", "account", "lister"), 2);
    assert_int_equal(listed("/api/v1/tokens?state=expired", "account", "lister"), 2);
    assert_int_equal(listed("/api/v1/tokens?state=disabled", "account", "lister"), 2);
    assert_true(count_of("/api/v1/tokens?state=active") > 2);
    assert_int_equal(count_of("/api/v1/tokens?account=nobody"), 0);
    a = rig_get(rig, RIG_ADMIN, "/api/v1/accounts/lister");
    (void)snprintf(by_id, sizeof by_id, "/api/v1/tokens?account=%s", rig_text(&a, "id"));
    rig_answer_done(&a);
    assert_int_equal(listed(by_id, "account", "lister"), 5);
    refused("/api/v1/tokens?state=on", "state");
    refused("/api/v1/tokens?account=", "account");
    refused("/api/v1/accounts/lister/tokens?state=on", "state");
    refused("/api/v1/accounts/lister/tokens?account=viewer", "account");
}

static void webhooks_have_a_state(void **state)
{
    static const char *const names[] = {"good-1", "good-2", "failing", "off"};
    char body[128];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(body, sizeof body, "{\"name\": \"%s\", \"url\": \"https://a.example/\"}",
                       names[i]);
        make(HOOKS, body);
    }
    rig_sql("UPDATE webhooks SET failing_since = now() WHERE name IN ('failing', 'off');"
            "UPDATE webhooks SET enabled = false WHERE name = 'off'");
    assert_int_equal(count_of(HOOKS), 4);
    assert_int_equal(count_of(HOOKS "?enabled=true"), 3);
    assert_int_equal(listed(HOOKS "?enabled=false", "name", "off"), 1);
    assert_int_equal(listed(HOOKS "?state=good", "state", "good"), 2);
    assert_int_equal(listed(HOOKS "?state=failing", "name", "failing"), 1);
    assert_int_equal(listed(HOOKS "?state=disabled", "name", "off"), 1);
    assert_int_equal(count_of(HOOKS "?state=good&enabled=false"), 0);
    refused(HOOKS "?state=on", "state");
    refused(HOOKS "?enabled=1", "enabled");
    rig_sql("INSERT INTO webhook_deliveries (webhook_id, event_id, kind, attempt, taken)"
            " SELECT id, i / 2, 'package-created', 1, i % 2 = 0 FROM webhooks,"
            " generate_series(2, 8) i WHERE name LIKE 'good-%'");
    assert_int_equal(count_of(HOOKS "/good-1/deliveries"), 7);
    assert_int_equal(count_of(HOOKS "/good-1/deliveries?taken=true"), 4);
    assert_int_equal(count_of(HOOKS "/good-1/deliveries?taken=false"), 3);
    assert_int_equal(count_of(HOOKS "/good-1/deliveries?event=3"), 2);
    assert_int_equal(count_of(HOOKS "/good-1/deliveries?event=3&taken=true"), 1);
    assert_int_equal(count_of(HOOKS "/good-1/deliveries?event=812"), 0);
    refused(HOOKS "/good-1/deliveries?taken=maybe", "taken");
    refused(HOOKS "/good-1/deliveries?event=0", "event");
}

static void promotions_have_a_kind(void **state)
{
    (void)state;
    rig_sql("INSERT INTO promotions (package_id, kind, open) SELECT id, k, false FROM packages,"
            " unnest('{promote,rollback,promote,unpin,promote}'::text[]) k WHERE name = 'lists'");
    assert_int_equal(count_of(PACKAGE "/promotions"), 5);
    assert_int_equal(listed(PACKAGE "/promotions?kind=promote", "kind", "promote"), 3);
    assert_int_equal(listed(PACKAGE "/promotions?kind=rollback", "kind", "rollback"), 1);
    assert_int_equal(listed(PACKAGE "/promotions?kind=unpin", "kind", "unpin"), 1);
    refused(PACKAGE "/promotions?kind=demote", "kind");
}

static void keys_have_a_kind_and_a_state(void **state)
{
    struct rig_answer a;

    (void)state;
    rig_sql("INSERT INTO keys (node_id, kind, state, fingerprint, public_key, private_sealed,"
            " retired_at) SELECT n.id, k, s, md5(k || s || i) || md5(k || s || i), '', '', now()"
            " FROM nodes n, unnest('{identity,multicast}'::text[]) k,"
            " unnest('{retired,revoked,damaged}'::text[]) s, generate_series(1, 2) i");
    assert_int_equal(listed(KEYS "?state=retired", "state", "retired"), 4);
    assert_int_equal(listed(KEYS "?state=revoked&kind=identity", "kind", "identity"), 2);
    assert_int_equal(listed(KEYS "?state=damaged&kind=multicast", "state", "damaged"), 2);
    assert_int_equal(count_of(KEYS "?state=pending"), 0);
    assert_int_equal(listed(KEYS "?kind=identity", "kind", "identity") +
                         listed(KEYS "?kind=multicast", "kind", "multicast"),
                     count_of(KEYS));
    a = rig_get(rig, RIG_ADMIN, KEYS "?kind=identity&state=pending");
    assert_int_equal(json_array_size(json_object_get(a.json, "kinds")), 4); /* whatever is asked */
    rig_answer_done(&a);
    refused(KEYS "?state=in-use", "state");
    refused(KEYS "?kind=master", "kind");
}

static void decisions_say_what_changed(void **state)
{
    static const char path[] = "/api/v1/sessions/5e551000-0000-4000-8000-000000000001/decisions";
    char filtered[128];

    (void)state;
    rig_sql("INSERT INTO sessions (id, node_id, version_id, state, group_address, port, starts_at,"
            " started_at, ended_at, secret_sealed, instance_id, object_id, fec_id, segment_size,"
            " max_block_len, num_parity, content_size, object_size, encrypt)"
            " SELECT '5e551000-0000-4000-8000-000000000001', n.id, v.id, 'finished', '239.255.1.1',"
            " 7001, now(), now(), now(), 'sealed', 1, 1, 2, 1400, 64, 8, 1000, 1000, true"
            " FROM nodes n, versions v LIMIT 1");
    rig_sql("INSERT INTO session_decisions SELECT id, i % 64, i, now(),"
            " CASE i % 3 WHEN 0 THEN 'parity' ELSE 'rate' END, '', 0, 1, 2, 3, 4"
            " FROM sessions, generate_series(1, 7) i");
    assert_int_equal(count_of(path), 7);
    (void)snprintf(filtered, sizeof filtered, "%s?what=parity", path);
    assert_int_equal(listed(filtered, "what", "parity"), 2);
    (void)snprintf(filtered, sizeof filtered, "%s?what=rate", path);
    assert_int_equal(listed(filtered, "what", "rate"), 5);
    (void)snprintf(filtered, sizeof filtered, "%s?what=budget", path);
    assert_int_equal(count_of(filtered), 0);
    (void)snprintf(filtered, sizeof filtered, "%s?what=pace", path);
    refused(filtered, "what");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_have_a_path_prefix),
        cmocka_unit_test(uploads_have_a_package_and_a_state),
        cmocka_unit_test(tokens_have_an_account_and_a_state),
        cmocka_unit_test(webhooks_have_a_state),
        cmocka_unit_test(promotions_have_a_kind),
        cmocka_unit_test(keys_have_a_kind_and_a_state),
        cmocka_unit_test(decisions_say_what_changed),
    };

    return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
