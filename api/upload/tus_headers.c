/* SPDX-License-Identifier: Apache-2.0
 * Headers of the tus protocol 1.0.0. Pure. */
#include "api/upload/tus_headers.h"

#include <stdio.h>
#include <string.h>

#include "common/base64.h"

#define DIGITS_MAX  18 /* as Content-Length: no number of bytes overflows */
#define KEY_MAX     64
#define ALGORITHM   "sha256 "
#define KNOWN_COUNT 3

bool api_tus_number(const char *text, uint64_t *ret_number)
{
    size_t size = strspn(text, "0123456789");
    uint64_t number = 0;

    if (size == 0 || size > DIGITS_MAX || text[size] != '\0') {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    *ret_number = number;
    return true;
}

/* ---- metadata ---- */

struct known {
    const char *key;
    char *value;
    size_t cap;
    bool seen;
};

/* One "key value": `size` characters at `text`. */
static enum cp_err read_pair(const char *text, size_t size, struct known known[KNOWN_COUNT],
                             struct cp_error *err)
{
    const char *space = memchr(text, ' ', size);
    size_t key_size = space != NULL ? (size_t)(space - text) : size;
    size_t value_size = space != NULL ? size - key_size - 1 : 0;
    size_t decoded = 0;

    if (key_size == 0 || key_size > KEY_MAX) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "Header 'Upload-Metadata' has a pair without a key: give 'KEY BASE64', "
                            "parted by commas.");
    }
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        struct known *k = &known[i];

        if (strlen(k->key) != key_size || memcmp(k->key, text, key_size) != 0) {
            continue;
        }
        if (k->seen ||
            !cp_base64_decode(CP_BASE64_STD, space != NULL ? space + 1 : "", value_size, k->value,
                              k->cap - 1, &decoded) ||
            memchr(k->value, '\0', decoded) != NULL) {
            return cp_error_set(err, CP_ERR_INVALID,
                                "Header 'Upload-Metadata': '%s' is there twice, is not base64, is "
                                "longer than %zu bytes or holds a NUL.",
                                k->key, k->cap - 1);
        }
        k->value[decoded] = '\0';
        k->seen = true;
    }
    return CP_OK;
}

/* It is kept and given back: nothing that a database or a header would not take. */
static bool is_plain(const char *text)
{
    while (*text >= ' ' && *text <= '~') {
        text++;
    }
    return *text == '\0';
}

enum cp_err api_tus_metadata(const char *text, struct api_tus_metadata *ret_metadata,
                             struct cp_error *err)
{
    struct api_tus_metadata m;
    struct known known[KNOWN_COUNT] = {{"path", m.path, sizeof m.path, false},
                                       {"mode", m.mode, sizeof m.mode, false},
                                       {"sha256", m.sha256, sizeof m.sha256, false}};

    if (!is_plain(text)) {
        return cp_error_set(err, CP_ERR_INVALID, "Header 'Upload-Metadata' is not plain ASCII.");
    }
    memset(&m, 0, sizeof m);
    while (*text != '\0') {
        const char *end;

        text += strspn(text, " ");
        end = text + strcspn(text, ",");
        CP_TRY(read_pair(text, (size_t)(end - text), known, err));
        text = *end == ',' ? end + 1 : end;
    }
    *ret_metadata = m;
    return CP_OK;
}

/* ---- checksum ---- */

enum cp_err api_tus_checksum(const char *text, uint8_t ret_digest[CONTENT_DIGEST_SIZE],
                             struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    size_t prefix = sizeof ALGORITHM - 1;
    size_t size = 0;

    if (strncmp(text, ALGORITHM, prefix) != 0) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "Header 'Upload-Checksum' is '%.80s': the algorithm known here is "
                            "sha256.",
                            text);
    }
    if (!cp_base64_decode(CP_BASE64_STD, text + prefix, strlen(text + prefix), digest,
                          sizeof digest, &size) ||
        size != sizeof digest) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "Header 'Upload-Checksum' is '%.80s': give 'sha256 <base64 of the 32 "
                            "bytes>'.",
                            text);
    }
    memcpy(ret_digest, digest, sizeof digest);
    return CP_OK;
}
