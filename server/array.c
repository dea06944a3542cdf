/* SPDX-License-Identifier: Apache-2.0
 * Arrays on the heap that grow. Pure but for the heap; thread-safe. */
#include "server/array.h"

#include <stdlib.h>
#include <string.h>

bool srv_array_resize(void *array, size_t count, size_t size)
{
    void *present, *bigger;

    /* Copied, not read as a void *: the caller's pointer has another type. */
    memcpy(&present, array, sizeof present);
    bigger = reallocarray(present, count, size);
    if (bigger != NULL) {
        memcpy(array, &bigger, sizeof bigger);
    }
    return bigger != NULL;
}
