/* SPDX-License-Identifier: Apache-2.0
 * What a fuzz target gives to libFuzzer, or to main.c where there is none. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
