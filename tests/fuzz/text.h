/* SPDX-License-Identifier: Apache-2.0
 * The input of a fuzz target as text: an example with a few edits, or free text. */
#ifndef TESTS_FUZZ_TEXT_H
#define TESTS_FUZZ_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_TEXT_MAX 4096u

/* Byte 0 names the example (past the last: the rest of the input itself is the text). The others
 * are edits: a NUL-terminated word to insert, a byte to change, a stretch to cut. Returns the
 * length; NULs may lie inside. ret_text is NUL-terminated. */
size_t fuzz_text(const uint8_t *data, size_t size, const char *const *examples, size_t count,
                 char ret_text[FUZZ_TEXT_MAX]);

#endif
