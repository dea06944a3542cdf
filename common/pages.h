/* SPDX-License-Identifier: Apache-2.0
 * Memory that begins on a page, for what is read from files and written to them. Thread-safe. */
#ifndef COMMON_PAGES_H
#define COMMON_PAGES_H

#include <stddef.h>

/* At least `size` bytes from the beginning of a page, to be freed with free(); NULL: no memory. A
 * large malloc() lies 16 bytes behind one, which is the worst there is: the kernel copies to it at
 * 1.4 GB/s, to a page's start at 4.5 (AMD EPYC: "rep movsb" is slow when target and source lie
 * almost alike in their pages). */
void *cp_pages_alloc(size_t size);

#endif
