/* SPDX-License-Identifier: Apache-2.0
 * Memory that begins on a page. */
#include "common/pages.h"

#include <stdint.h>
#include <stdlib.h>

/* The smallest page of any machine that we run on: a larger one changes nothing. */
#define PAGE 4096u

void *cp_pages_alloc(size_t size)
{
    size_t whole = size < PAGE ? PAGE : size;

    if (whole > SIZE_MAX - PAGE) {
        return NULL;
    }
    return aligned_alloc(PAGE, (whole + PAGE - 1) / PAGE * PAGE);
}
