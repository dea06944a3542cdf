/* SPDX-License-Identifier: Apache-2.0
 * Arrays on the heap that grow. Pure but for the heap; thread-safe. */
#include "server/array.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

bool srv_array_resize(void *array, size_t count, size_t size)
{
    void *present, *bigger;

    CP_ASSERT(count > 0 && size > 0); /* realloc would free it and say that there is no memory */
    /* Copied, not read as a void *: the caller's pointer has another type. */
    memcpy(&present, array, sizeof present);
    bigger = reallocarray(present, count, size);
    if (bigger != NULL) {
        memcpy(array, &bigger, sizeof bigger);
    }
    return bigger != NULL;
}
