/* SPDX-License-Identifier: Apache-2.0
 * UTF-8 (RFC 3629). Pure. */
#include "common/utf8.h"

size_t cp_utf8_size(const char *s)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t size = u[0] < 0x80 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;

    if ((u[0] >= 0x80 && u[0] < 0xc2) || u[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((u[i] & 0xc0) != 0x80) {
            return 0; /* the end of the text, too */
        }
    }
    if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
        (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f)) {
        return 0; /* overlong, a surrogate, or beyond Unicode */
    }
    return size;
}

void cp_utf8_mend(char *text)
{
    while (*text != '\0') {
        size_t size = cp_utf8_size(text);

        if (size == 0) {
            *text = '?';
            size = 1;
        }
        text += size;
    }
}
