/* SPDX-License-Identifier: Apache-2.0
 * Headers with digests. Pure. */
#include "api/upload/digest.h"

#include <string.h>
#include <strings.h>

#include "common/base64.h"

#define BLANK   " \t"
#define KEY     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.*"
#define BASE64  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
#define SHA_256 "sha-256"

/* One KEY=:BASE64: */
struct member {
    const char *key, *value;
    size_t key_size, value_size;
};

/* Returns what is behind it; NULL: it is not one. */
static const char *read_member(const char *at, struct member *ret_member)
{
    struct member m = {.key = at, .key_size = strspn(at, KEY)};

    at += m.key_size;
    if (m.key_size == 0 || strncmp(at, "=:", 2) != 0) {
        return NULL;
    }
    m.value = at + 2;
    m.value_size = strspn(m.value, BASE64);
    at = m.value + m.value_size;
    if (*at != ':') {
        return NULL;
    }
    at++;
    at += strspn(at, BLANK);
    if (*at != '\0' && *at != ',') {
        return NULL;
    }
    *ret_member = m;
    return at;
}

static bool is_sha_256(const struct member *m)
{
    return m->key_size == strlen(SHA_256) && strncasecmp(m->key, SHA_256, m->key_size) == 0;
}

/* False: it is none, or another than the one before. */
static bool take(const struct member *m, struct api_digest *digest)
{
    uint8_t found[CONTENT_DIGEST_SIZE];
    size_t size = 0;

    if (!cp_base64_decode(CP_BASE64_STD, m->value, m->value_size, found, sizeof found, &size) ||
        size != sizeof found ||
        (digest->is_given && memcmp(found, digest->sha256, sizeof found) != 0)) {
        return false;
    }
    memcpy(digest->sha256, found, sizeof found);
    digest->is_given = true;
    return true;
}

enum cp_err api_digest_field(const char *header, const char *text, struct api_digest *digest,
                             struct cp_error *err)
{
    const char *at = text != NULL ? text : "";

    for (at += strspn(at, BLANK ","); *at != '\0'; at += strspn(at, BLANK ",")) {
        struct member m;

        at = read_member(at, &m);
        if (at == NULL || (is_sha_256(&m) && !take(&m, digest))) {
            return cp_error_set(err, CP_ERR_INVALID,
                                "Header '%s' is '%.150s': give 'sha-256=:<base64 of the "
                                "SHA-256>:', the same wherever you give it.",
                                header, text);
        }
    }
    return CP_OK;
}

enum cp_err api_digest_trailer(const char *text, struct cp_error *err)
{
    static const char *const names[] = {"Repr-Digest", "Content-Digest", "Upload-Checksum"};
    const char *at = text != NULL ? text : "";

    for (at += strspn(at, BLANK ","); *at != '\0'; at += strspn(at, BLANK ",")) {
        size_t size = strcspn(at, BLANK ",");

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            if (strlen(names[i]) == size && strncasecmp(at, names[i], size) == 0) {
                return cp_error_set(err, CP_ERR_INVALID,
                                    "Header 'Trailer' names '%s': a digest is taken before the "
                                    "body only.",
                                    names[i]);
            }
        }
        at += size;
    }
    return CP_OK;
}
