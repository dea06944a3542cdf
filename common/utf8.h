/* SPDX-License-Identifier: Apache-2.0
 * UTF-8 (RFC 3629). Pure. */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stddef.h>

/* Bytes of the character at s, 1 … 4; 0: it is none (RFC 3629 section 4). s ends with NUL, which
 * counts as a character of one byte. */
size_t cp_utf8_size(const char *s);

/* Puts '?' in the place of each byte that belongs to no character. What a format cut ("%.300s", the
 * end of a buffer) may end within one, and neither PostgreSQL nor JSON takes that. */
void cp_utf8_mend(char *text);

#endif
