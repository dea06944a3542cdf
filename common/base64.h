/* SPDX-License-Identifier: Apache-2.0
 * Base64 (RFC 4648 §4) and base64url without padding (§5, as JOSE uses it). Strict: no white
 * space, no foreign characters, no non-zero trailing bits. Pure. */
#ifndef CP_COMMON_BASE64_H
#define CP_COMMON_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for the text of `size` bytes with padding and NUL. */
#define CP_BASE64_SIZE(size) (((size) + 2) / 3 * 4 + 1)

enum cp_base64_kind { CP_BASE64_STD, CP_BASE64_URL };

/* Writes the text and a NUL into ret_text (CP_BASE64_SIZE(size)); returns its length. */
size_t cp_base64_encode(enum cp_base64_kind kind, const void *data, size_t size, char *ret_text);

/* Decodes text_size characters into at most cap bytes; false when it is not strict base64 of
 * that kind or does not fit (outputs then undefined in content, *ret_size untouched). */
bool cp_base64_decode(enum cp_base64_kind kind, const char *text, size_t text_size, void *ret_data,
                      size_t cap, size_t *ret_size);

#endif
