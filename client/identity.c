/* SPDX-License-Identifier: Apache-2.0
 * Identities of the distribution point. Pure. */
#include "client/identity.h"

#include <stdio.h>
#include <string.h>

#include "common/base64.h"

#define HEX_SIZE (JWS_FINGERPRINT_SIZE - 1)

bool cl_identity_list(const char *text)
{
    for (;;) {
        size_t size = strcspn(text, ";");

        if (size != HEX_SIZE || strspn(text, "0123456789abcdef") != HEX_SIZE) {
            return false;
        }
        if (text[size] == '\0') {
            return true;
        }
        text += size + 1;
    }
}

static enum cp_err read_one(const json_t *object, struct cl_identity *ret,
                            char ret_fingerprint[JWS_FINGERPRINT_SIZE], struct cp_error *err)
{
    const char *key = json_string_value(json_object_get(object, "identity_key"));
    size_t size = 0;

    ret->certificate = json_string_value(json_object_get(object, "certificate"));
    if (key == NULL || ret->certificate == NULL ||
        !cp_base64_decode(CP_BASE64_URL, key, strlen(key), ret->key, JWS_KEY_SIZE, &size) ||
        size != JWS_KEY_SIZE) {
        return cp_error_set(err, CP_ERR_PROTOCOL, "join: a field of the answer is missing");
    }
    return jws_fingerprint(ret->key, ret_fingerprint) == CP_OK
               ? CP_OK
               : cp_error_set(err, CP_ERR_NO_MEMORY, "join");
}

static enum cp_err choose_former(const json_t *answer, const char *known,
                                 struct cl_identity *identity, struct cp_error *err)
{
    const json_t *list = json_object_get(answer, "previous_identities");
    char fingerprint[JWS_FINGERPRINT_SIZE];

    for (size_t i = 0; i < json_array_size(list); i++) {
        CP_TRY(read_one(json_array_get(list, i), identity, fingerprint, err));
        if (strstr(known, fingerprint) != NULL) {
            identity->former = true;
            return CP_OK;
        }
    }
    return cp_error_set(err, CP_ERR_SIGNATURE,
                        "the distribution point's identity is %s, none that --identity names: it "
                        "was rotated or revoked, or this is another distribution point; compare "
                        "it with what its operator tells you",
                        identity->present);
}

enum cp_err cl_identity_choose(const json_t *answer, const char *known,
                               struct cl_identity *ret_identity, struct cp_error *err)
{
    struct cl_identity identity = {.former = false};

    CP_TRY(read_one(answer, &identity, identity.present, err));
    if (known != NULL && strstr(known, identity.present) == NULL) {
        CP_TRY(choose_former(answer, known, &identity, err));
    }
    *ret_identity = identity;
    return CP_OK;
}
