/* SPDX-License-Identifier: Apache-2.0
 * Joins: that every signature verifies, by which way content comes, that a place is given back, and
 * that keys heal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/session/ticket.h"
#include "content/jws.h"
#include "tests/api/join_rig.h"

/* The manifest that the ticket names has its size, and its signature is by the ticket's key. */
static void check_manifest(const struct joined *j)
{
    const json_t *manifest = joined_object(j, "manifest");
    struct rig_call call = {
        .method = API_GET, .path = rig_text_in(manifest, "url"), .authorization = j->bearer};
    struct rig_answer a = rig_expect(rig, RIG_NOBODY, &call, 200);
    struct cp_error err;

    assert_int_equal(a.size, rig_number_in(manifest, "size"));
    assert_int_equal(
        jws_verify_detached(j->key, rig_text_in(manifest, "signature"), a.bytes, a.size, &err),
        CP_OK);
    rig_answer_done(&a);
}

/* ---- tickets ---- */

static void ticket_is_complete_and_signed(void **state)
{
    struct joined j;
    json_t *session;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("full", "");
    j = joined_as(RIG_NOBODY, JOIN("full", "c1"), 201);
    assert_string_equal(rig_text_in(j.ticket, "package"), "full");
    assert_int_equal(rig_number_in(j.ticket, "version"), 1);
    assert_string_equal(rig_text_in(j.ticket, "policy"), "prefer");
    assert_string_equal(rig_text_in(j.ticket, "correlation_id"), "test-request");
    session = joined_object(&j, "session");
    assert_string_equal(rig_text_in(session, "state"), "waiting");
    assert_string_equal(rig_text_in(session, "source"), "192.0.2.1");
    assert_int_equal(rig_number_in(session, "segment_size"), 1408);
    assert_int_equal(rig_number_in(session, "sender_id"), 1);
    assert_int_equal(rig_number_in(session, "node_id"), 2);
    assert_int_equal(rig_number_in(session, "object_id"), 1);
    assert_int_equal(rig_number_in(session, "fec_id"), 129);
    assert_int_equal(rig_number_in(session, "content_size"), 30);
    assert_int_equal(rig_number_in(session, "object_size"), 1408);
    assert_string_equal(rig_text_in(session, "auth"), "aes-256-gmac");
    assert_true(json_is_true(json_object_get(session, "encrypt")));
    assert_int_equal(strlen(rig_text_in(session, "secret")), 43);
    assert_true(json_is_true(json_object_get(joined_object(&j, "content"), "https")));
    assert_int_equal(rig_number_in(joined_object(&j, "progress"), "interval_ms"), 1000);
    assert_int_equal(rig_number_in(joined_object(&j, "fallback"), "silence_ms"), 5000);

    check_manifest(&j);
    joined_done(&j);
}

static void narrow_links_get_small_segments(void **state)
{
    (void)state;
    assert_int_equal(api_segment_size(0, false, false), 1408);
    assert_int_equal(api_segment_size(1500, false, false), 1408);
    assert_int_equal(api_segment_size(65536, false, false), 1408);
    assert_int_equal(api_segment_size(1499, false, false), 1376);
    assert_int_equal(api_segment_size(1400, false, false), 1280);
    assert_int_equal(api_segment_size(540, false, false), 448);
    assert_int_equal(api_segment_size(539, false, false), 1408);
}

static void ipv6_headers_are_larger(void **state)
{
    (void)state;
    assert_int_equal(api_segment_size(0, false, true), 1344);
    assert_int_equal(api_segment_size(1500, false, true), 1344);
    assert_int_equal(api_segment_size(1455, false, true), 1312);
    assert_int_equal(api_segment_size(9000, true, true), 8832);
}

static void jumbo_frames_are_asked_for(void **state)
{
    (void)state;
    assert_int_equal(api_segment_size(9000, false, false), 1408);
    assert_int_equal(api_segment_size(9000, true, false), 8896);
    assert_int_equal(api_segment_size(65536, true, false), 8896);
    assert_int_equal(api_segment_size(8999, true, false), 1408); /* the link does not have it */
    assert_int_equal(api_segment_size(1499, true, false), 1376);
    assert_int_equal(api_segment_size(0, true, false), 1408);
}

static void object_is_padded(void **state)
{
    (void)state;
    assert_int_equal(api_object_size(1, 1408, 128), 1408);
    assert_int_equal(api_object_size(1408, 1408, 128), 1408);
    assert_int_equal(api_object_size(1409, 1408, 128), 2816);
    assert_int_equal(api_object_size(1408 * 128, 1408, 128), 1408 * 128);
    assert_int_equal(api_object_size(1408 * 128 + 1, 1408, 128), 2 * 1408 * 128);
}

static void place_is_given_back(void **state)
{
    struct joined a, b, c;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("again", "");
    a = joined_as(RIG_NOBODY, JOIN("again", "c1"), 201);
    b = joined_as(RIG_NOBODY, JOIN("again", "c1"), 200);
    c = joined_as(RIG_NOBODY, JOIN("again", "c2"), 201);
    assert_string_equal(rig_text_in(a.ticket, "join"), rig_text_in(b.ticket, "join"));
    assert_string_not_equal(rig_text_in(a.ticket, "join"), rig_text_in(c.ticket, "join"));
    assert_string_equal(rig_text_in(joined_object(&a, "session"), "id"),
                        rig_text_in(joined_object(&c, "session"), "id"));
    assert_string_equal(rig_text_in(joined_object(&a, "session"), "secret"),
                        rig_text_in(joined_object(&b, "session"), "secret"));
    /* A node id is never given out twice: packet sequence numbers begin anew with it. */
    assert_int_equal(rig_number_in(joined_object(&a, "session"), "node_id"), 2);
    assert_int_equal(rig_number_in(joined_object(&b, "session"), "node_id"), 3);
    assert_int_equal(rig_number_in(joined_object(&c, "session"), "node_id"), 4);
    /* The former token is worth nothing any more. */
    assert_int_equal(joined_status(&a, API_GET, "", NULL), 401);
    assert_int_equal(joined_status(&b, API_GET, "", NULL), 200);
    joined_done(&a);
    joined_done(&b);
    joined_done(&c);
}

/* ---- by which way ---- */

static void no_session_has_a_reason(void **state)
{
    struct joined j;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("unicast", ", \"multicast\": \"off\"");
    sealed_package("either", "");
    j = joined_as(RIG_NOBODY, JOIN("unicast", "c1"), 201);
    assert_true(json_is_null(json_object_get(j.ticket, "session")));
    assert_string_equal(rig_text_in(joined_object(&j, "no_session"), "code"), "multicast-disabled");
    joined_done(&j);
    j = joined_as(RIG_NOBODY,
                  "{\"package\": \"either\", \"client_id\": \"c1\", \"multicast\": false}", 201);
    assert_true(json_is_null(json_object_get(j.ticket, "session")));
    assert_non_null(strstr(rig_text_in(joined_object(&j, "no_session"), "detail"), "HTTPS only"));
    joined_done(&j);
    rig_sql("UPDATE settings SET multicast_enabled = false");
    j = joined_as(RIG_NOBODY, JOIN("either", "c2"), 201);
    assert_non_null(strstr(rig_text_in(joined_object(&j, "no_session"), "detail"), "settings"));
    joined_done(&j);
    rig_sql("UPDATE settings SET multicast_enabled = true");
}

static void multicast_only_is_never_empty_handed(void **state)
{
    struct rig_call call =
        join_call("{\"package\": \"strict\", \"client_id\": \"c1\", \"multicast\": false}");
    struct rig_call wish = join_call(JOIN("strict", "c2"));
    struct joined j;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("strict", ", \"multicast\": \"require\"");
    rig_refused(rig, RIG_NOBODY, &call, "multicast-only", "strict");
    j = joined_as(RIG_NOBODY, JOIN("strict", "c1"), 201);
    assert_true(json_is_false(json_object_get(joined_object(&j, "content"), "https")));
    assert_string_equal(rig_text_in(joined_object(&j, "content"), "code"), "multicast-only");
    joined_done(&j);
    rig_sql("UPDATE settings SET multicast_enabled = false");
    rig_refused(rig, RIG_NOBODY, &wish, "multicast-disabled", "strict");
    rig_sql("UPDATE settings SET multicast_enabled = true");
}

static void addresses_run_out(void **state)
{
    struct rig_call call = join_call(JOIN("crowd2", "c1"));
    struct joined j;

    (void)state;
    rig_content_access(rig, "anonymous");
    end_sessions();
    sealed_package("crowd1", "");
    sealed_package("crowd2", "");
    rig_sql("UPDATE settings SET address_first = '239.255.9.9', address_last = '239.255.9.9', "
            "port_first = 7009, port_last = 7009");
    j = joined_as(RIG_NOBODY, JOIN("crowd1", "c1"), 201);
    assert_string_equal(rig_text_in(joined_object(&j, "session"), "group"), "239.255.9.9");
    assert_int_equal(rig_number_in(joined_object(&j, "session"), "port"), 7009);
    joined_done(&j);
    rig_refused(rig, RIG_NOBODY, &call, "address-in-use", NULL);
    rig_sql("UPDATE settings SET address_last = '239.255.9.99', port_last = 7099");
    j = joined_as(RIG_NOBODY, JOIN("crowd2", "c1"), 201);
    joined_done(&j);
}

/* ---- keys heal ---- */

static void harmed_keys_heal_at_the_next_join(void **state)
{
    static const char *const harm[] = {
        "DELETE FROM keys WHERE kind = 'multicast'",
        "DELETE FROM keys",
        "UPDATE keys SET private_sealed = '\\\\x00' WHERE state = 'active'",
        "UPDATE keys SET fingerprint = 'nonsense' WHERE kind = 'multicast' AND state = 'active'",
    };
    struct joined j;
    int before;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("healed", "");
    for (size_t i = 0; i < sizeof harm / sizeof harm[0]; i++) {
        before = rig_events(rig, "multicast-key-replaced");
        rig_sql(harm[i]);
        j = joined_as(RIG_NOBODY, JOIN("healed", "c1"), i == 0 ? 201 : 200);
        assert_int_equal(rig_events(rig, "multicast-key-replaced"), before + 1);
        check_manifest(&j);
        joined_done(&j);
    }
}

/* A session whose secret cannot be opened is replaced, not repeated for ever. */
static void unreadable_session_is_replaced(void **state)
{
    struct joined a, b;
    int before = rig_events(rig, "session-failed");

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("lost-secret", "");
    a = joined_as(RIG_NOBODY, JOIN("lost-secret", "c1"), 201);
    rig_sql("UPDATE sessions SET secret_sealed = '\\\\x0011' WHERE ended_at IS NULL");
    b = joined_as(RIG_NOBODY, JOIN("lost-secret", "c2"), 201);
    assert_string_not_equal(rig_text_in(joined_object(&a, "session"), "id"),
                            rig_text_in(joined_object(&b, "session"), "id"));
    assert_int_equal(rig_events(rig, "session-failed"), before + 1);
    joined_done(&a);
    joined_done(&b);
    end_sessions();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticket_is_complete_and_signed),
        cmocka_unit_test(narrow_links_get_small_segments),
        cmocka_unit_test(ipv6_headers_are_larger),
        cmocka_unit_test(jumbo_frames_are_asked_for),
        cmocka_unit_test(object_is_padded),
        cmocka_unit_test(place_is_given_back),
        cmocka_unit_test(no_session_has_a_reason),
        cmocka_unit_test(multicast_only_is_never_empty_handed),
        cmocka_unit_test(addresses_run_out),
        cmocka_unit_test(harmed_keys_heal_at_the_next_join),
        cmocka_unit_test(unreadable_session_is_replaced),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
