/* SPDX-License-Identifier: Apache-2.0
 * What tests of the content library share. A failure ends the test by a cmocka assertion. */
#ifndef TESTS_API_LIBRARY_RIG_H
#define TESTS_API_LIBRARY_RIG_H

#include "tests/api/rig.h"

#define LIBRARY "/api/v1/distribution-points/local/library"

/* SHA-256 of a text, in hexadecimal; the same as the path of its blob. */
const char *library_digest(const char *text);
const char *library_path(const char *text);

/* One entry of GET …/library/blobs; it must be there. json_decref. */
json_t *library_blob(const char *text);
/* Whether there is one. */
bool library_has(const char *text);
json_int_t library_references(const char *text);

/* POST …/library/<what>, done; result of the task. json_decref. */
json_t *library_work(const char *what, const char *body);

/* Writes other bytes over those of a blob. */
void library_damage(const char *text, const char *bytes);

#endif
