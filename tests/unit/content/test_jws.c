/* SPDX-License-Identifier: Apache-2.0
 * Tests of content/jws and content/certificate: known answers of the RFCs, forgeries, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base64.h"
#include "common/hex.h"
#include "common/time.h"
#include "content/certificate.h"
#include "content/jws.h"

/* RFC 8032 section 7.1, test 1. */
static void public_key_of_the_rfc(void **state)
{
    uint8_t secret[JWS_KEY_SIZE], expected[JWS_KEY_SIZE];
    struct jws_key key;
    char fingerprint[JWS_FINGERPRINT_SIZE];

    (void)state;
    assert_true(cp_hex_decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                              secret, sizeof secret));
    assert_true(cp_hex_decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                              expected, sizeof expected));
    assert_int_equal(jws_key_from_secret(secret, &key), CP_OK);
    assert_memory_equal(key.public_key, expected, sizeof expected);
    assert_int_equal(jws_fingerprint(key.public_key, fingerprint), CP_OK);
    assert_string_equal(fingerprint,
                        "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9");
    jws_key_wipe(&key);
    assert_int_equal(key.secret[0] | key.secret[31], 0);
}

static void signs_and_verifies(void **state)
{
    struct jws_key key;
    char *jws, *payload;
    size_t size;
    char header[256];

    (void)state;
    assert_int_equal(jws_key_make(&key), CP_OK);
    assert_int_equal(jws_sign(&key, "{\"a\":1}", 7, &jws), CP_OK);
    assert_int_equal(jws_verify(key.public_key, jws, &payload, &size, NULL), CP_OK);
    assert_int_equal(size, 7);
    assert_string_equal(payload, "{\"a\":1}");
    /* The protected header is exactly what the protocol says. */
    assert_true(cp_base64_decode(CP_BASE64_URL, jws, (size_t)(strchr(jws, '.') - jws), header,
                                 sizeof header - 1, &size));
    header[size] = '\0';
    assert_memory_equal(header, "{\"alg\":\"EdDSA\",\"kid\":\"", 22);
    assert_int_equal(size, 22 + 64 + 2);
    free(payload);
    free(jws);

    assert_int_equal(jws_sign(&key, "", 0, &jws), CP_OK);
    assert_int_equal(jws_verify(key.public_key, jws, &payload, &size, NULL), CP_OK);
    assert_int_equal(size, 0);
    free(payload);
    free(jws);
}

static void detached_signature(void **state)
{
    struct jws_key key, other;
    char *jws, *payload;
    struct cp_error err;
    size_t size;

    (void)state;
    assert_int_equal(jws_key_make(&key), CP_OK);
    assert_int_equal(jws_key_make(&other), CP_OK);
    assert_int_equal(jws_sign_detached(&key, "manifest", 8, &jws), CP_OK);
    assert_non_null(strstr(jws, ".."));
    assert_int_equal(jws_verify_detached(key.public_key, jws, "manifest", 8, &err), CP_OK);
    assert_int_equal(jws_verify_detached(key.public_key, jws, "manifesT", 8, &err),
                     CP_ERR_SIGNATURE);
    assert_int_equal(jws_verify_detached(key.public_key, jws, "manifest", 7, &err),
                     CP_ERR_SIGNATURE);
    assert_int_equal(jws_verify_detached(other.public_key, jws, "manifest", 8, &err),
                     CP_ERR_SIGNATURE);
    assert_int_equal(jws_verify(key.public_key, jws, &payload, &size, &err), CP_ERR_SIGNATURE);
    free(jws);
    assert_int_equal(jws_sign(&key, "manifest", 8, &jws), CP_OK);
    assert_int_equal(jws_verify_detached(key.public_key, jws, "manifest", 8, &err),
                     CP_ERR_SIGNATURE);
    free(jws);
}

static void forgeries_are_refused(void **state)
{
    static const char *const bad[] = {"", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d"};
    struct jws_key key, other;
    char *jws, *payload = NULL;
    struct cp_error err;
    size_t size;

    (void)state;
    assert_int_equal(jws_key_make(&key), CP_OK);
    assert_int_equal(jws_key_make(&other), CP_OK);
    assert_int_equal(jws_sign(&other, "x", 1, &jws), CP_OK);
    assert_int_equal(jws_verify(key.public_key, jws, &payload, &size, &err), CP_ERR_SIGNATURE);
    assert_non_null(strstr(err.text, "another key"));
    free(jws);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(jws_verify(key.public_key, bad[i], &payload, &size, &err),
                         CP_ERR_SIGNATURE);
    }
    assert_null(payload);
}

/* {"alg":"none"} and a key id of ours with a foreign signature. */
static void algorithm_cannot_be_chosen(void **state)
{
    struct jws_key key, other;
    char *jws, *foreign, *payload;
    char forged[1024], none[128];
    size_t size;

    (void)state;
    assert_int_equal(jws_key_make(&key), CP_OK);
    assert_int_equal(jws_key_make(&other), CP_OK);
    assert_int_equal(jws_sign(&key, "x", 1, &jws), CP_OK);
    assert_int_equal(jws_sign(&other, "x", 1, &foreign), CP_OK);
    (void)cp_base64_encode(CP_BASE64_URL, "{\"alg\":\"none\"}", 14, none);
    (void)snprintf(forged, sizeof forged, "%s.eA.", none);
    assert_int_equal(jws_verify(key.public_key, forged, &payload, &size, NULL), CP_ERR_SIGNATURE);
    (void)snprintf(forged, sizeof forged, "%.*s%s", (int)(strchr(jws, '.') - jws), jws,
                   strchr(foreign, '.'));
    assert_int_equal(jws_verify(key.public_key, forged, &payload, &size, NULL), CP_ERR_SIGNATURE);
    free(jws);
    free(foreign);
}

static void every_damage_is_seen(void **state)
{
    struct jws_key key;
    char *jws, *payload;
    size_t size, length;

    (void)state;
    assert_int_equal(jws_key_make(&key), CP_OK);
    assert_int_equal(jws_sign(&key, "{\"package\":\"win11\"}", 19, &jws), CP_OK);
    length = strlen(jws);
    for (size_t i = 0; i < length; i++) {
        char saved = jws[i];

        jws[i] = saved == 'A' ? 'B' : 'A';
        assert_int_equal(jws_verify(key.public_key, jws, &payload, &size, NULL), CP_ERR_SIGNATURE);
        jws[i] = '\0'; /* truncated here */
        assert_int_equal(jws_verify(key.public_key, jws, &payload, &size, NULL), CP_ERR_SIGNATURE);
        jws[i] = saved;
    }
    assert_int_equal(jws_verify(key.public_key, jws, &payload, &size, NULL), CP_OK);
    free(payload);
    free(jws);
}

static void size_is_bounded(void **state)
{
    struct jws_key key;
    char *big = calloc(1, JWS_PAYLOAD_MAX + 1);
    char *jws, *payload;
    size_t size;

    (void)state;
    assert_non_null(big);
    assert_int_equal(jws_key_make(&key), CP_OK);
    assert_int_equal(jws_sign(&key, big, JWS_PAYLOAD_MAX + 1, &jws), CP_ERR_TOO_LARGE);
    assert_int_equal(jws_sign(&key, big, JWS_PAYLOAD_MAX, &jws), CP_OK);
    assert_int_equal(jws_verify(key.public_key, jws, &payload, &size, NULL), CP_OK);
    assert_int_equal(size, JWS_PAYLOAD_MAX);
    free(payload);
    free(jws);
    assert_int_equal(jws_sign_detached(&key, big, JWS_PAYLOAD_MAX + 1, &jws), CP_OK);
    assert_int_equal(jws_verify_detached(key.public_key, jws, big, JWS_PAYLOAD_MAX + 1, NULL),
                     CP_OK);
    free(jws);
    free(big);
}

static void times_are_parsed(void **state)
{
    static const char *const bad[] = {"",
                                      "2026-11-23",
                                      "2026-11-23T04:21:00",
                                      "2026-11-23T04:21:00+01:00",
                                      "2026-13-23T04:21:00Z",
                                      "2026-02-29T04:21:00Z",
                                      "2026-11-23T24:00:00Z",
                                      "2026-11-23T04:60:00Z",
                                      "2026-11-23T04:21:00.Z",
                                      "2026-11-23T04:21:00.1234567890Z",
                                      "1969-12-31T23:59:59Z",
                                      "2026-11-00T04:21:00Z",
                                      "2026-11-23 04:21:00Z",
                                      "2026-11-23T04:21:00Zx"};
    uint64_t ns = 1;

    (void)state;
    assert_int_equal(certificate_time_parse("1970-01-01T00:00:00Z", &ns), CP_OK);
    assert_int_equal(ns, 0);
    assert_int_equal(certificate_time_parse("2000-02-29T12:00:00.5Z", &ns), CP_OK);
    assert_int_equal(ns, 951825600 * CP_SEC + 500 * CP_MSEC);
    assert_int_equal(certificate_time_parse("2026-11-23T04:21:00.123Z", &ns), CP_OK);
    assert_int_equal(ns, 1795407660 * CP_SEC + 123 * CP_MSEC);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(certificate_time_parse(bad[i], &ns), CP_ERR_INVALID);
    }
}

static void certificate_is_checked(void **state)
{
    struct jws_key identity, foreign, multicast;
    struct certificate c = {.node = "0191e3a4-1111-7222-8333-444455556666",
                            .not_before = "2026-11-23T00:00:00Z",
                            .not_after = "2027-11-23T00:00:00Z"};
    struct certificate seen;
    struct cp_error err;
    uint64_t before, after;
    char *jws;

    (void)state;
    assert_int_equal(jws_key_make(&identity), CP_OK);
    assert_int_equal(jws_key_make(&foreign), CP_OK);
    assert_int_equal(jws_key_make(&multicast), CP_OK);
    memcpy(c.public_key, multicast.public_key, sizeof c.public_key);
    assert_int_equal(certificate_time_parse(c.not_before, &before), CP_OK);
    assert_int_equal(certificate_time_parse(c.not_after, &after), CP_OK);
    assert_int_equal(certificate_sign(&identity, &c, &jws), CP_OK);
    assert_int_equal(certificate_verify(identity.public_key, jws, before + 1, &seen, &err), CP_OK);
    assert_memory_equal(seen.public_key, multicast.public_key, JWS_KEY_SIZE);
    assert_string_equal(seen.node, c.node);
    assert_int_equal(certificate_verify(identity.public_key, jws, 0, &seen, &err), CP_OK);
    assert_int_equal(
        certificate_verify(identity.public_key, jws, before - 200 * CP_SEC, &seen, &err), CP_OK);
    assert_int_equal(
        certificate_verify(identity.public_key, jws, before - 400 * CP_SEC, &seen, &err),
        CP_ERR_SIGNATURE);
    assert_non_null(strstr(err.text, "clock"));
    assert_int_equal(
        certificate_verify(identity.public_key, jws, after + 400 * CP_SEC, &seen, &err),
        CP_ERR_SIGNATURE);
    assert_int_equal(certificate_verify(foreign.public_key, jws, before + 1, &seen, &err),
                     CP_ERR_SIGNATURE);
    free(jws);
    (void)strcpy(c.node, "not-a-uuid");
    assert_int_equal(certificate_sign(&identity, &c, &jws), CP_ERR_INVALID);
}

/* Signed by the right key, but not a certificate, or one whose fingerprint is another key's. */
static void signed_is_not_enough(void **state)
{
    static const char *const payloads[] = {
        "",
        "{}",
        "[]",
        "{\"castpoint\":\"ticket\"}",
        "{\"castpoint\":\"multicast-key\",\"public_key\":\"AAAA\",\"fingerprint\":\"00\","
        "\"node\":\"0191e3a4-1111-7222-8333-444455556666\",\"not_before\":\"2026-11-23T00:00:00Z\","
        "\"not_after\":\"2027-11-23T00:00:00Z\"}",
        "{\"castpoint\":\"multicast-key\","
        "\"public_key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"fingerprint\":\"00\","
        "\"node\":\"0191e3a4-1111-7222-8333-444455556666\",\"not_before\":\"2026-11-23T00:00:00Z\","
        "\"not_after\":\"2027-11-23T00:00:00Z\"}"};
    struct jws_key identity;
    struct certificate seen;
    char *jws;

    (void)state;
    assert_int_equal(jws_key_make(&identity), CP_OK);
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        assert_int_equal(jws_sign(&identity, payloads[i], strlen(payloads[i]), &jws), CP_OK);
        assert_int_equal(certificate_verify(identity.public_key, jws, 0, &seen, NULL),
                         CP_ERR_SIGNATURE);
        free(jws);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_key_of_the_rfc),
        cmocka_unit_test(signs_and_verifies),
        cmocka_unit_test(detached_signature),
        cmocka_unit_test(forgeries_are_refused),
        cmocka_unit_test(algorithm_cannot_be_chosen),
        cmocka_unit_test(every_damage_is_seen),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(times_are_parsed),
        cmocka_unit_test(certificate_is_checked),
        cmocka_unit_test(signed_is_not_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
