/* SPDX-License-Identifier: Apache-2.0
 * What must hold of the bytes that the service answers on one connection. */
#ifndef TESTS_FUZZ_ANSWERS_H
#define TESTS_FUZZ_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>

/* An answer to HEAD has this header, for only who answers knows it. */
#define FUZZ_BODILESS "X-Bodiless"

/* Aborts unless the text is one answer of HTTP/1.1 after the other, each framed by Content-Length: of
 * the service with an id, refusals as problem+json with a code of the catalogue; or the one that
 * libmicrohttpd gives by itself (docs/limits.md), which is the last. ended: the service closed in good
 * order, so none may be cut off. text is NUL-terminated; NULs may lie inside. */
void fuzz_answers_check(const char *text, size_t size, bool ended);

#endif
