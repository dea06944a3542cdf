/* SPDX-License-Identifier: Apache-2.0
 * Lower-case hexadecimal text of bytes, and back. Pure. */
#ifndef CP_COMMON_HEX_H
#define CP_COMMON_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes 2 * size digits and a NUL. */
void cp_hex_encode(const uint8_t *data, size_t size, char *ret_text);

/* Exactly 2 * size digits, lower or upper case, then NUL; false (output untouched) otherwise. */
bool cp_hex_decode(const char *text, uint8_t *ret_data, size_t size);

#endif
