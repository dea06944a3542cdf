/* SPDX-License-Identifier: Apache-2.0
 * The rig of joins. */
#include "tests/api/join_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base64.h"
#include "content/certificate.h"

struct rig_call join_call(const char *body)
{
    return (struct rig_call){.method = API_POST, .path = "/api/v1/joins", .body = body};
}

json_t *joined_object(const struct joined *j, const char *name)
{
    json_t *value = json_object_get(j->ticket, name);

    assert_true(json_is_object(value));
    return value;
}

struct joined joined_as(enum rig_who who, const char *body, int status)
{
    struct rig_call call = join_call(body);
    struct joined j = {.answer = rig_expect(rig, who, &call, status)};
    uint8_t identity[JWS_KEY_SIZE];
    const char *text = rig_text(&j.answer, "identity_key");
    struct certificate certificate;
    struct cp_error err;
    char *payload;
    size_t size;

    assert_true(
        cp_base64_decode(CP_BASE64_URL, text, strlen(text), identity, sizeof identity, &size));
    assert_int_equal(
        certificate_verify(identity, rig_text(&j.answer, "certificate"), 0, &certificate, &err),
        CP_OK);
    assert_string_equal(certificate.node, rig->node_id);
    memcpy(j.key, certificate.public_key, sizeof j.key);
    assert_int_equal(jws_verify(j.key, rig_text(&j.answer, "ticket"), &payload, &size, &err),
                     CP_OK);
    j.ticket = json_loadb(payload, size, JSON_REJECT_DUPLICATES, NULL);
    free(payload);
    assert_non_null(j.ticket);
    assert_string_equal(rig_text_in(j.ticket, "castpoint"), "ticket");
    assert_string_equal(rig_text_in(j.ticket, "join"), rig_text(&j.answer, "id"));
    assert_true(strncmp(rig_text(&j.answer, "receiver_token"), "cpr_", 4) == 0);
    assert_null(strstr(rig_text(&j.answer, "ticket"), rig_text(&j.answer, "receiver_token")));
    (void)snprintf(j.bearer, sizeof j.bearer, "Bearer %s", rig_text(&j.answer, "receiver_token"));
    return j;
}

void joined_done(struct joined *j)
{
    json_decref(j->ticket);
    rig_answer_done(&j->answer);
}

void sealed_package(const char *name, const char *more_fields)
{
    rig_package(rig, name, more_fields);
    rig_put(rig, name, 1, "a.bin", "some content that is not empty");
    rig_seal(rig, name, 1);
}

struct rig_answer joined_call(const struct joined *j, enum api_method method, const char *tail,
                              const char *body, int status)
{
    char path[256];
    struct rig_call call = {
        .method = method, .path = path, .body = body, .authorization = j->bearer};

    (void)snprintf(path, sizeof path, "/api/v1/joins/%s%s", rig_text_in(j->ticket, "join"), tail);
    return rig_expect(rig, RIG_NOBODY, &call, status);
}

int joined_status(const struct joined *j, enum api_method method, const char *tail,
                  const char *body)
{
    char path[256];
    struct rig_call call = {
        .method = method, .path = path, .body = body, .authorization = j->bearer};

    (void)snprintf(path, sizeof path, "/api/v1/joins/%s%s", rig_text_in(j->ticket, "join"), tail);
    return rig_status(rig, RIG_NOBODY, &call);
}

void end_sessions(void)
{
    rig_sql("UPDATE sessions SET state = 'cancelled', ended_at = now() WHERE ended_at IS NULL");
}
