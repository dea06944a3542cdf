/* SPDX-License-Identifier: Apache-2.0
 * Makes malloc and calloc of the code under test fail on demand. A test program that compiles
 * failing_alloc.c links with -Wl,--wrap=malloc,--wrap=calloc. */
#ifndef TESTS_SUPPORT_FAILING_ALLOC_H
#define TESTS_SUPPORT_FAILING_ALLOC_H

#include <stdbool.h>

/* The allocation after `count` further ones fails, once; a negative count: none does. */
void failing_alloc_after(int count);
/* The failure that was ordered took place. */
bool failing_alloc_happened(void);

#endif
