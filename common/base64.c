/* SPDX-License-Identifier: Apache-2.0
 * Strict base64. Pure. */
#include "common/base64.h"

#include <string.h>

static const char alphabet[2][65] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

size_t cp_base64_encode(enum cp_base64_kind kind, const void *data, size_t size, char *ret_text)
{
    const uint8_t *in = data;
    const char *letters = alphabet[kind];
    size_t out = 0;

    for (size_t i = 0; i < size; i += 3) {
        size_t have = size - i < 3 ? size - i : 3;
        uint32_t v = (uint32_t)in[i] << 16;

        v |= have > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        v |= have > 2 ? in[i + 2] : 0;
        for (size_t j = 0; j < 4; j++) {
            if (j <= have) {
                ret_text[out++] = letters[v >> (18 - 6 * j) & 63];
            } else if (kind == CP_BASE64_STD) {
                ret_text[out++] = '=';
            }
        }
    }
    ret_text[out] = '\0';
    return out;
}

static int letter(enum cp_base64_kind kind, char c)
{
    const char *p = c == '\0' ? NULL : memchr(alphabet[kind], c, 64);

    return p == NULL ? -1 : (int)(p - alphabet[kind]);
}

/* Length without padding; SIZE_MAX when the padding is wrong for the kind. */
static size_t unpadded(enum cp_base64_kind kind, const char *text, size_t size)
{
    if (kind == CP_BASE64_STD) {
        if (size % 4 != 0) {
            return SIZE_MAX;
        }
        if (size > 0 && text[size - 1] == '=') {
            size -= text[size - 2] == '=' ? 2 : 1;
        }
    }
    return size % 4 == 1 ? SIZE_MAX : size;
}

bool cp_base64_decode(enum cp_base64_kind kind, const char *text, size_t text_size, void *ret_data,
                      size_t cap, size_t *ret_size)
{
    size_t size = unpadded(kind, text, text_size);
    uint8_t *out = ret_data;
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;

    if (size == SIZE_MAX || size / 4 * 3 + size % 4 * 3 / 4 > cap) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        int v = letter(kind, text[i]);

        if (v < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    if ((bits & ((1u << have) - 1u)) != 0) {
        return false;
    }
    *ret_size = n;
    return true;
}
