/* SPDX-License-Identifier: Apache-2.0
 * malloc, calloc and aligned_alloc by the linker's --wrap. For tests of one thread. */
#include "tests/support/failing_alloc.h"

#include <stddef.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static int left = -1;
static bool happened;

void failing_alloc_after(int count)
{
    left = count;
    happened = false;
}

bool failing_alloc_happened(void)
{
    return happened;
}

static bool fails_now(void)
{
    if (left < 0) {
        return false;
    }
    happened = left == 0;
    left--;
    return happened;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails_now() ? NULL : __real_aligned_alloc(alignment, size);
}
