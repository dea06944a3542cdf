/* SPDX-License-Identifier: Apache-2.0
 * The input of a fuzz target read as a script: bytes that decide, zeros when it is over. */
#ifndef TESTS_FUZZ_SCRIPT_H
#define TESTS_FUZZ_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct script {
    const uint8_t *data;
    size_t size, at;
};

static inline bool script_over(const struct script *s)
{
    return s->at >= s->size;
}

static inline uint8_t script_u8(struct script *s)
{
    return s->at < s->size ? s->data[s->at++] : 0;
}

static inline uint16_t script_u16(struct script *s)
{
    uint8_t high = script_u8(s);

    return (uint16_t)(high << 8 | script_u8(s));
}

static inline uint32_t script_u32(struct script *s)
{
    uint32_t high = script_u16(s);

    return high << 16 | script_u16(s);
}

/* As a rule the value, or one close to it, else anything: bounds are where the faults are. */
static inline uint32_t script_near(struct script *s, uint32_t value)
{
    uint8_t how = script_u8(s);

    if (how < 128) {
        return value;
    }
    return how < 224 ? value + how - 176 : script_u32(s);
}

#endif
