/* SPDX-License-Identifier: Apache-2.0
 * Tests of client/ticket and the manifest's part of client/join: a whole chain of signatures, and
 * every way of breaking it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <jansson.h>

#include "client/join.h"
#include "client/ticket.h"
#include "common/hex.h"
#include "content/certificate.h"

#define NOW  "2026-11-23T12:00:00Z"
#define JOIN "0191e3a4-1111-7222-8333-444455556666"

static const char payload[] =
    "{\"castpoint\":\"ticket\",\"join\":\"" JOIN "\",\"issued_at\":\"2026-11-23T11:59:59Z\","
    "\"expires_at\":\"2026-11-23T13:00:00Z\",\"correlation_id\":\"c-1\",\"package\":\"win11\","
    "\"version\":3,\"policy\":\"prefer\",\"manifest\":{\"url\":"
    "\"/api/v1/packages/win11/versions/3/manifest\",\"sha256\":"
    "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\",\"size\":1234,"
    "\"signature\":\"a..b\"},\"content\":{\"https\":true,\"url\":\"/api/v1/content/\"},"
    "\"session\":{\"id\":\"" JOIN "\",\"state\":\"waiting\",\"starts_at\":"
    "\"2026-11-23T12:00:04.500Z\",\"group\":\"239.255.77.1\",\"port\":7001,\"source\":"
    "\"10.77.0.1\",\"ssm\":false,\"sender_id\":1,\"node_id\":17,\"object_id\":1,\"fec_id\":129,"
    "\"segment_size\":1408,\"max_block_len\":128,\"num_parity\":32,\"content_size\":1048576,"
    "\"object_size\":1081344,\"auth\":\"hmac-sha256-128\",\"encrypt\":true,\"secret\":"
    "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"},\"progress\":{\"url\":"
    "\"/api/v1/joins/" JOIN "/progress\",\"interval_ms\":1000},\"result\":{\"url\":"
    "\"/api/v1/joins/" JOIN "/result\"},\"fallback\":{\"silence_ms\":5000,\"start_ms\":250}}";

struct chain {
    struct jws_key identity, multicast;
    char *certificate, *ticket;
    struct cl_ticket_source source;
};

static uint64_t time_of(const char *text)
{
    uint64_t ns = 0;

    assert_int_equal(certificate_time_parse(text, &ns), CP_OK);
    return ns;
}

static void sign_ticket(struct chain *c, const char *text)
{
    free(c->ticket);
    assert_int_equal(jws_sign(&c->multicast, text, strlen(text), &c->ticket), CP_OK);
    c->source.ticket = c->ticket;
}

static int setup(void **state)
{
    struct chain *c = calloc(1, sizeof *c);
    struct certificate certificate = {
        .node = JOIN, .not_before = "2026-11-01T00:00:00Z", .not_after = "2027-11-01T00:00:00Z"};

    assert_int_equal(jws_key_make(&c->identity), CP_OK);
    assert_int_equal(jws_key_make(&c->multicast), CP_OK);
    memcpy(certificate.public_key, c->multicast.public_key, JWS_KEY_SIZE);
    assert_int_equal(certificate_sign(&c->identity, &certificate, &c->certificate), CP_OK);
    c->source = (struct cl_ticket_source){.identity_key = c->identity.public_key,
                                          .certificate = c->certificate,
                                          .now_ns = time_of(NOW),
                                          .join = JOIN,
                                          .package = "win11"};
    sign_ticket(c, payload);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct chain *c = *state;

    free(c->certificate);
    free(c->ticket);
    free(c);
    return 0;
}

static void good_ticket_is_read(void **state)
{
    struct chain *c = *state;
    struct cl_ticket t;

    assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_OK);
    assert_string_equal(t.package, "win11");
    assert_int_equal(t.version, 3);
    assert_string_equal(t.correlation_id, "c-1");
    assert_true(t.https && t.session);
    assert_string_equal(t.content_url, "/api/v1/content/");
    assert_int_equal(t.manifest.size, 1234);
    assert_int_equal(t.manifest.sha256[31], 31);
    assert_string_equal(t.channel.group, "239.255.77.1");
    assert_int_equal(t.channel.port, 7001);
    assert_int_equal(t.channel.secret[31], 31);
    assert_true(t.channel.auth && t.channel.encrypt);
    assert_int_equal(t.node_id, 17);
    assert_int_equal(t.starts_in, 5500 * CP_MSEC); /* by the service's clock alone */
    assert_int_equal(t.silence, 5 * CP_SEC);
    assert_int_equal(t.https_delay, 250 * CP_MSEC);
    assert_int_equal(t.progress_interval, CP_SEC);
    assert_memory_equal(t.multicast_key, c->multicast.public_key, JWS_KEY_SIZE);
    cl_ticket_done(&t);
    assert_int_equal(t.channel.secret[31], 0);
    c->source.version = 3;
    assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_OK);
}

static void foreign_signatures_are_refused(void **state)
{
    struct chain *c = *state;
    struct jws_key foreign;
    struct cp_error err;
    struct cl_ticket t;
    char *forged;

    assert_int_equal(jws_key_make(&foreign), CP_OK);
    /* a ticket that another key signed */
    assert_int_equal(jws_sign(&foreign, payload, sizeof payload - 1, &forged), CP_OK);
    c->source.ticket = forged;
    assert_int_equal(cl_ticket_verify(&c->source, &t, &err), CP_ERR_SIGNATURE);
    assert_non_null(strstr(err.text, "ticket"));
    free(forged);
    /* the identity key itself must not sign tickets */
    assert_int_equal(jws_sign(&c->identity, payload, sizeof payload - 1, &forged), CP_OK);
    c->source.ticket = forged;
    assert_int_equal(cl_ticket_verify(&c->source, &t, &err), CP_ERR_SIGNATURE);
    free(forged);
    /* another identity than the one that certified the key */
    c->source.ticket = c->ticket;
    c->source.identity_key = foreign.public_key;
    assert_int_equal(cl_ticket_verify(&c->source, &t, &err), CP_ERR_SIGNATURE);
    assert_non_null(strstr(err.text, "certificate"));
    /* certificate and ticket changed places */
    c->source.identity_key = c->identity.public_key;
    c->source.certificate = c->ticket;
    assert_int_equal(cl_ticket_verify(&c->source, &t, &err), CP_ERR_SIGNATURE);
}

static void forged_bytes_are_refused(void **state)
{
    struct chain *c = *state;
    struct cl_ticket t;
    char *copy = strdup(c->ticket);

    for (size_t i = 0; i < strlen(c->ticket); i += 7) {
        char saved = copy[i];

        copy[i] = saved == 'x' ? 'y' : 'x';
        c->source.ticket = copy;
        assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_ERR_SIGNATURE);
        copy[i] = saved;
    }
    copy[strlen(copy) - 1] = '\0';
    assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_ERR_SIGNATURE);
    free(copy);
}

static void times_are_heeded(void **state)
{
    struct chain *c = *state;
    struct cp_error err;
    struct cl_ticket t;

    c->source.now_ns = time_of("2026-11-23T13:04:00Z"); /* within the grace */
    assert_int_equal(cl_ticket_verify(&c->source, &t, &err), CP_OK);
    c->source.now_ns = time_of("2026-11-23T13:06:00Z");
    assert_int_equal(cl_ticket_verify(&c->source, &t, &err), CP_ERR_SIGNATURE);
    assert_non_null(strstr(err.text, "expired"));
    c->source.now_ns = time_of("2026-11-23T11:54:00Z");
    assert_int_equal(cl_ticket_verify(&c->source, &t, &err), CP_ERR_SIGNATURE);
    assert_non_null(strstr(err.text, "future"));
    c->source.now_ns = time_of("2027-11-02T00:00:00Z"); /* the certificate's end */
    assert_int_equal(cl_ticket_verify(&c->source, &t, &err), CP_ERR_SIGNATURE);
    assert_non_null(strstr(err.text, "certificate"));
}

static void ticket_of_another_join_is_refused(void **state)
{
    struct chain *c = *state;
    struct cl_ticket t;

    c->source.package = "win10";
    assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_ERR_SIGNATURE);
    c->source.package = "win11";
    c->source.version = 2;
    assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_ERR_SIGNATURE);
    c->source.version = 0;
    c->source.join = "0191e3a4-1111-7222-8333-444455556667";
    assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_ERR_SIGNATURE);
}

/* The payload with one text replaced by another. */
static char *changed(const char *from, const char *to)
{
    const char *at = strstr(payload, from);
    char *text = calloc(1, sizeof payload + strlen(to));

    assert_non_null(at);
    (void)sprintf(text, "%.*s%s%s", (int)(at - payload), payload, to, at + strlen(from));
    return text;
}

/* Signed by the right key and yet not of the form agreed. */
static void bad_forms_are_refused(void **state)
{
    static const struct {
        const char *from, *to, *field;
    } changes[] = {
        {"\"version\":3", "\"version\":0", "version"},
        {"\"version\":3", "\"version\":\"3\"", "version"},
        {"\"size\":1234", "\"size\":0", "manifest.size"},
        {"000102", "0001", "manifest.sha256"},
        {"\"/api/v1/content/\"", "\"https://evil.example/\"", "content.url"},
        {"\"/api/v1/content/\"", "\"@evil.example/\"", "content.url"},
        {"\"https\":true", "\"https\":1", "content.https"},
        {"\"port\":7001", "\"port\":70000", "session.port"},
        {"\"node_id\":17", "\"node_id\":1", "session.node_id"},
        {"\"fec_id\":129", "\"fec_id\":5", "session.fec_id"},
        {"\"num_parity\":32", "\"num_parity\":200", "session.num_parity"},
        {"\"object_size\":1081344", "\"object_size\":1", "session.object_size"},
        {"hmac-sha256-128", "none", "'none', which this castget does not know"},
        {"hmac-sha256-128", "", "session.auth"},
        {"\"auth\":\"hmac-sha256-128\",", "", "session.auth"},
        {"\"auth\":\"hmac-sha256-128\"", "\"auth\":null", "session.auth"},
        {"AAECAwQF", "AAEC", "session.secret"},
        {"\"waiting\",\"starts_at\"", "\"waiting\",\"begins_at\"", "session.starts_at"},
        {"12:00:04.500Z", "12:00:04.500", "session.starts_at"},
        {"\"interval_ms\":1000", "\"interval_ms\":0", "progress.interval_ms"},
        {"\"silence_ms\":5000,", "", "fallback.silence_ms"},
        {"\"result\":{", "\"outcome\":{", "result"},
        {"\"session\":{", "\"sessions\":{", "session"},
        {"2026-11-23T13:00:00Z", "soon", "expires_at"},
    };
    struct chain *c = *state;
    struct cp_error err;
    struct cl_ticket t;

    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *text = changed(changes[i].from, changes[i].to);

        memset(&err, 0, sizeof err);
        sign_ticket(c, text);
        free(text);
        assert_int_equal(cl_ticket_verify(&c->source, &t, &err), CP_ERR_PROTOCOL);
        if (strstr(err.text, changes[i].field) == NULL) {
            fail_msg("'%s' does not name %s", err.text, changes[i].field);
        }
    }
    sign_ticket(c, "not json");
    assert_int_equal(cl_ticket_verify(&c->source, &t, &err), CP_ERR_PROTOCOL);
    sign_ticket(c, "{\"castpoint\":\"multicast-key\"}");
    assert_int_equal(cl_ticket_verify(&c->source, &t, &err), CP_ERR_SIGNATURE);
}

static void what_is_not_offered_has_a_reason(void **state)
{
    struct chain *c = *state;
    struct cl_ticket t;
    char *text = changed("\"https\":true,\"url\":\"/api/v1/content/\"",
                         "\"https\":false,\"code\":\"multicast-only\",\"detail\":\"x\"");
    const char *session = strstr(payload, "\"session\":{");
    char none[2048];

    sign_ticket(c, text);
    free(text);
    assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_OK);
    assert_false(t.https);
    assert_int_equal(t.no_https, CP_ERR_MULTICAST_ONLY);

    (void)snprintf(
        none, sizeof none,
        "%.*s\"session\":null,\"no_session\":{\"code\":\"multicast-disabled\",\"detail\":"
        "\"switched off\"},%s",
        (int)(session - payload), payload, strstr(payload, "\"progress\""));
    sign_ticket(c, none);
    assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_OK);
    assert_false(t.session);
    assert_int_equal(t.no_session, CP_ERR_MULTICAST_DISABLED);
    assert_string_equal(t.no_session_text, "switched off");
}

static void both_packet_macs_are_known(void **state)
{
    struct chain *c = *state;
    char *text = changed("hmac-sha256-128", "aes-256-gmac");
    struct cl_ticket t;

    sign_ticket(c, payload);
    assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_OK);
    assert_true(t.channel.auth);
    assert_int_equal(t.channel.mac, MC_MAC_HMAC_SHA256);
    sign_ticket(c, text);
    free(text);
    assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_OK);
    assert_true(t.channel.auth);
    assert_int_equal(t.channel.mac, MC_MAC_AES256_GMAC);
}

/* A running session has no start to wait for. */
static void running_session_needs_no_start(void **state)
{
    struct chain *c = *state;
    struct cl_ticket t;
    char *text = changed("\"waiting\"", "\"running\"");

    sign_ticket(c, text);
    free(text);
    assert_int_equal(cl_ticket_verify(&c->source, &t, NULL), CP_OK);
    assert_int_equal(t.starts_in, 0);
}

/* Ticket fields and signature of a manifest's text. */
static void sign_manifest(const struct jws_key *key, const char *text, struct cl_ticket *t)
{
    char *signature;

    assert_int_equal(content_sha256(text, strlen(text), t->manifest.sha256), CP_OK);
    t->manifest.size = strlen(text);
    assert_int_equal(jws_sign_detached(key, text, strlen(text), &signature), CP_OK);
    (void)snprintf(t->manifest.signature, sizeof t->manifest.signature, "%s", signature);
    free(signature);
    memcpy(t->multicast_key, key->public_key, JWS_KEY_SIZE);
}

static void manifest_is_tied_to_the_ticket(void **state)
{
    static const char text[] =
        "{\"format\":1,\"package\":\"win11\",\"version\":3,\"stream_size\":5,\"chunk_size\":"
        "1048576,"
        "\"files\":[{\"path\":\"a\",\"size\":5,\"mode\":420,\"sha256\":"
        "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"}],\"chunks\":["
        "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"]}";
    const struct chain *c = *state;
    struct cl_ticket t = {.package = "win11", .version = 3};
    struct manifest *m;
    struct cp_error err;
    size_t size = sizeof text - 1;

    sign_manifest(&c->multicast, text, &t);
    assert_int_equal(cl_manifest_verify(&t, text, size, &m, NULL), CP_OK);
    manifest_free(m);
    assert_int_equal(cl_manifest_verify(&t, text, size - 1, &m, &err), CP_ERR_SIGNATURE);
    t.version = 4;
    assert_int_equal(cl_manifest_verify(&t, text, size, &m, &err), CP_ERR_SIGNATURE);
    t.version = 3;
    sign_manifest(&c->identity, text, &t); /* by a key that is not the multicast key */
    memcpy(t.multicast_key, c->multicast.public_key, JWS_KEY_SIZE);
    assert_int_equal(cl_manifest_verify(&t, text, size, &m, &err), CP_ERR_SIGNATURE);
    sign_manifest(&c->multicast, "{}", &t);
    assert_int_equal(cl_manifest_verify(&t, "{}", 2, &m, &err), CP_ERR_MALFORMED);
    /* a session that does not carry this content */
    sign_manifest(&c->multicast, text, &t);
    t.session = true;
    t.channel.content_size = 6;
    assert_int_equal(cl_manifest_verify(&t, text, size, &m, &err), CP_ERR_PROTOCOL);
    t.channel.content_size = 5;
    t.channel.segment_size = 1408;
    t.channel.max_block_len = 128;
    t.channel.object_size = 1408;
    assert_int_equal(cl_manifest_verify(&t, text, size, &m, &err), CP_OK);
    manifest_free(m);
    t.channel.object_size = 5;
    assert_int_equal(cl_manifest_verify(&t, text, size, &m, &err), CP_ERR_PROTOCOL);
}

static void client_id_is_stable_and_per_output(void **state)
{
    char a[65], b[65], c[65];

    (void)state;
    if (access("/etc/machine-id", R_OK) != 0) {
        skip(); /* then it is random by design */
    }
    assert_int_equal(cl_client_id("/images/a", a), CP_OK);
    assert_int_equal(cl_client_id("/images/a", b), CP_OK);
    assert_int_equal(cl_client_id("/images/b", c), CP_OK);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    assert_int_equal(strspn(a, "0123456789abcdef"), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(good_ticket_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_signatures_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(forged_bytes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(times_are_heeded, setup, teardown),
        cmocka_unit_test_setup_teardown(ticket_of_another_join_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_forms_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_offered_has_a_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(both_packet_macs_are_known, setup, teardown),
        cmocka_unit_test_setup_teardown(running_session_needs_no_start, setup, teardown),
        cmocka_unit_test_setup_teardown(manifest_is_tied_to_the_ticket, setup, teardown),
        cmocka_unit_test(client_id_is_stable_and_per_output),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
