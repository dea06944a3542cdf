/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of signed texts: JWS, certificate, ticket. A text is either signed with the right key,
 * so that the fuzzer reaches what lies behind the signature, or taken as the JWS itself, which then
 * must never be accepted. */
#include <stdlib.h>
#include <string.h>

#include "client/ticket.h"
#include "content/certificate.h"
#include "content/jws.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/text.h"

#define JOIN "0191e3a4-1111-7222-8333-444455556666"
#define NOW  UINT64_C(1795262400000000000) /* 2026-11-21T12:00:00Z */

static const char ticket_text[] =
    "{\"castpoint\":\"ticket\",\"join\":\"" JOIN "\",\"issued_at\":\"2026-11-21T11:59:59Z\","
    "\"expires_at\":\"2026-11-21T13:00:00Z\",\"correlation_id\":\"c-1\",\"package\":\"win11\","
    "\"version\":3,\"policy\":\"prefer\",\"manifest\":{\"url\":"
    "\"/api/v1/packages/win11/versions/3/manifest\",\"sha256\":"
    "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\",\"size\":1234,"
    "\"signature\":\"a..b\"},\"content\":{\"https\":true,\"url\":\"/api/v1/content/\"},"
    "\"session\":{\"id\":\"" JOIN "\",\"state\":\"waiting\",\"starts_at\":"
    "\"2026-11-21T12:00:04.500Z\",\"group\":\"239.255.77.1\",\"port\":7001,\"source\":"
    "\"10.77.0.1\",\"ssm\":false,\"sender_id\":1,\"node_id\":17,\"object_id\":1,\"fec_id\":129,"
    "\"segment_size\":1408,\"max_block_len\":128,\"num_parity\":32,\"content_size\":1048576,"
    "\"object_size\":1081344,\"auth\":\"hmac-sha256-128\",\"encrypt\":true,\"secret\":"
    "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"},\"progress\":{\"url\":"
    "\"/api/v1/joins/" JOIN "/progress\",\"interval_ms\":1000},\"result\":{\"url\":"
    "\"/api/v1/joins/" JOIN "/result\"},\"fallback\":{\"silence_ms\":5000,\"start_ms\":250}}";
static const char refusal_text[] =
    "{\"castpoint\":\"ticket\",\"join\":\"" JOIN "\",\"issued_at\":\"2026-11-21T11:59:59Z\","
    "\"expires_at\":\"2026-11-21T13:00:00Z\",\"correlation_id\":\"c\",\"package\":\"win11\","
    "\"version\":3,\"manifest\":{\"url\":\"/api/v1/m\",\"sha256\":"
    "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\",\"size\":1,"
    "\"signature\":\"a..b\"},\"content\":{\"https\":false,\"code\":\"multicast-only\"},"
    "\"session\":null,\"no_session\":{\"code\":\"multicast-disabled\",\"detail\":\"off\"},"
    "\"progress\":{\"url\":\"/api/v1/p\",\"interval_ms\":100},\"result\":{\"url\":\"/api/v1/r\"},"
    "\"fallback\":{\"silence_ms\":1,\"start_ms\":0}}";

static struct {
    struct jws_key identity, multicast;
    char *certificate, *certificate_text, *ticket;
} keys;

static void make_keys(void)
{
    static const uint8_t secret[2][JWS_KEY_SIZE] = {{1}, {2}};
    struct certificate c = {
        .node = JOIN, .not_before = "2026-11-01T00:00:00Z", .not_after = "2027-11-01T00:00:00Z"};
    size_t size;

    if (keys.certificate != NULL) {
        return;
    }
    CP_ASSERT(jws_key_from_secret(secret[0], &keys.identity) == CP_OK);
    CP_ASSERT(jws_key_from_secret(secret[1], &keys.multicast) == CP_OK);
    memcpy(c.public_key, keys.multicast.public_key, JWS_KEY_SIZE);
    CP_ASSERT(certificate_sign(&keys.identity, &c, &keys.certificate) == CP_OK);
    CP_ASSERT(jws_verify(keys.identity.public_key, keys.certificate, &keys.certificate_text, &size,
                         NULL) == CP_OK);
    CP_ASSERT(jws_sign(&keys.multicast, ticket_text, sizeof ticket_text - 1, &keys.ticket) ==
              CP_OK);
}

/* Whatever a signed ticket says: a receiver gets values within their bounds. */
static void ticket(const char *jws)
{
    struct cl_ticket_source source = {.identity_key = keys.identity.public_key,
                                      .certificate = keys.certificate,
                                      .ticket = jws,
                                      .now_ns = NOW,
                                      .join = JOIN,
                                      .package = "win11"};
    struct cl_ticket t;

    if (cl_ticket_verify(&source, &t, NULL) != CP_OK) {
        return;
    }
    CP_ASSERT(strcmp(t.join, JOIN) == 0 && strcmp(t.package, "win11") == 0 && t.version > 0);
    CP_ASSERT(strncmp(t.manifest.url, "/api/v1/", 8) == 0);
    CP_ASSERT(strncmp(t.result_url, "/api/v1/", 8) == 0 && t.progress_interval >= 100 * CP_MSEC);
    CP_ASSERT(!t.https || strncmp(t.content_url, "/api/v1/", 8) == 0);
    if (t.session) {
        const struct mc_channel *c = &t.channel;

        CP_ASSERT(c->port > 0 && c->sender_id > 0 && t.node_id > 1 && t.node_id != UINT32_MAX);
        CP_ASSERT(c->segment_size >= 64 && c->max_block_len > 0);
        CP_ASSERT(c->max_block_len + c->num_parity <= 255 && c->object_size >= c->content_size);
        CP_ASSERT(c->auth && memchr(c->group, '\0', sizeof c->group) != NULL);
    }
    cl_ticket_done(&t);
}

static void certificate(const char *jws)
{
    struct certificate c;
    uint64_t ns;

    if (certificate_verify(keys.identity.public_key, jws, NOW, &c, NULL) != CP_OK) {
        return;
    }
    CP_ASSERT(strlen(c.node) == 36);
    CP_ASSERT(certificate_time_parse(c.not_before, &ns) == CP_OK && ns <= NOW + 300 * CP_SEC);
    CP_ASSERT(certificate_time_parse(c.not_after, &ns) == CP_OK && ns + 300 * CP_SEC >= NOW);
}

/* A JWS that nobody signed is one that was changed, or it is the very one. */
static void foreign(const char *jws)
{
    char *payload;
    size_t size;

    if (jws_verify(keys.multicast.public_key, jws, &payload, &size, NULL) == CP_OK) {
        CP_ASSERT(strcmp(jws, keys.ticket) == 0);
        free(payload);
    }
    CP_ASSERT(jws_verify_detached(keys.multicast.public_key, jws, "x", 1, NULL) != CP_OK);
}

static void signed_text(const char *text, size_t length)
{
    char *jws, *payload;
    size_t size;

    CP_ASSERT(jws_sign(&keys.multicast, text, length, &jws) == CP_OK);
    CP_ASSERT(jws_verify(keys.multicast.public_key, jws, &payload, &size, NULL) == CP_OK);
    CP_ASSERT(size == length && memcmp(payload, text, size) == 0);
    free(payload);
    ticket(jws);
    free(jws);
    CP_ASSERT(jws_sign(&keys.identity, text, length, &jws) == CP_OK);
    certificate(jws);
    free(jws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *examples[4];
    char text[FUZZ_TEXT_MAX];
    size_t length;

    make_keys();
    examples[0] = ticket_text;
    examples[1] = refusal_text;
    examples[2] = keys.certificate_text;
    examples[3] = keys.ticket;
    length = fuzz_text(data, size, examples, 4, text);
    if (size > 0 && data[0] % 5 == 3) {
        foreign(text);
        ticket(text);
    } else {
        signed_text(text, length);
    }
    return 0;
}
