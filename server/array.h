/* SPDX-License-Identifier: Apache-2.0
 * Arrays on the heap that grow. Pure but for the heap; thread-safe. */
#ifndef SERVER_ARRAY_H
#define SERVER_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

/* `array` is the address of a pointer to objects of any type, from the heap or NULL: makes it point
 * to room for `count` of `size` bytes each, both above 0, with what was there. False: no memory, unchanged. */
bool srv_array_resize(void *array, size_t count, size_t size);

#endif
