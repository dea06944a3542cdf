/* SPDX-License-Identifier: Apache-2.0
 * Edited examples: see text.h. Pure. */
#include "tests/fuzz/text.h"

#include <string.h>

#include "common/err.h"
#include "tests/fuzz/script.h"

#define WORD_MAX 32u

/* What means something to one of the readers. */
static const char *const words[] = {
    "0",          "-1",   "00",      "1e3",      "18446744073709551616",
    "null",       "true", "false",   "\"\"",     "{}",
    "[]",         "\"",   "\\u0000", "\xc3\xa4", "\xff",
    "..",         "../",  "/",       "//",       "%2f",
    "=",          ",",    ":",       ".",        "\\",
    "\n",         " ",    "#",       "A",        "z",
    "-",          "Z",    "[",       "]",        "bytes=0-",
    "4294967296", "W/\"",
};

static size_t insert(char *text, size_t length, size_t at, const char *word, size_t word_size)
{
    if (length + word_size >= FUZZ_TEXT_MAX) {
        return length;
    }
    memmove(text + at + word_size, text + at, length - at);
    memcpy(text + at, word, word_size);
    return length + word_size;
}

static size_t edit(struct script *s, char *text, size_t length)
{
    uint8_t how = script_u8(s);
    size_t at = length > 0 ? script_u16(s) % (length + 1) : 0;
    size_t stretch = 1u + how / 8u;
    char word[WORD_MAX];
    size_t size = 0;

    switch (how % 8) {
    case 0: /* insert a word of ours */
    case 1: {
        const char *known = words[script_u8(s) % (sizeof words / sizeof words[0])];

        return insert(text, length, at, known, strlen(known));
    }
    case 2: /* insert what the input says */
        while (size < stretch && size < WORD_MAX && !script_over(s)) {
            word[size++] = (char)script_u8(s);
        }
        return insert(text, length, at, word, size);
    case 3: /* cut a stretch */
        stretch = stretch < length - at ? stretch : length - at;
        memmove(text + at, text + at + stretch, length - at - stretch);
        return length - stretch;
    case 4: /* double a stretch */
        size = stretch < length - at ? stretch : length - at;
        memcpy(word, text + at, size);
        return insert(text, length, at, word, size);
    case 5: /* change a digit or letter to its neighbour */
        if (at < length) {
            text[at] = (char)(text[at] + 1);
        }
        return length;
    case 6: /* end it here */
        return how > 240 ? at : length;
    default:
        if (at < length) {
            text[at] = (char)script_u8(s);
        }
        return length;
    }
}

size_t fuzz_text(const uint8_t *data, size_t size, const char *const *examples, size_t count,
                 char ret_text[FUZZ_TEXT_MAX])
{
    struct script s = {.data = data, .size = size};
    size_t which = script_u8(&s) % (count + 1);
    size_t length;

    if (which == count) {
        length = size > 1 ? size - 1 : 0;
        length = length < FUZZ_TEXT_MAX ? length : FUZZ_TEXT_MAX - 1;
        memcpy(ret_text, data + (size > 0), length);
    } else {
        length = strlen(examples[which]);
        CP_ASSERT(length < FUZZ_TEXT_MAX);
        memcpy(ret_text, examples[which], length);
        while (!script_over(&s)) {
            length = edit(&s, ret_text, length);
        }
    }
    ret_text[length] = '\0';
    return length;
}
