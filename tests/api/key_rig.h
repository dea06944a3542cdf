/* SPDX-License-Identifier: Apache-2.0
 * What tests of keys stand on: the rig of joins, and a sealed version that everybody may have. A
 * failure ends the test by a cmocka assertion. */
#ifndef TESTS_API_KEY_RIG_H
#define TESTS_API_KEY_RIG_H

#include "tests/api/join_rig.h"

#define KEY_ALL       "/api/v1/distribution-points/local/keys"
#define KEY_MULTICAST KEY_ALL "/multicast"
#define KEY_IDENTITY  KEY_ALL "/identity"

/* Group fixture of cmocka: rig_set_up, and the package "kept". */
int key_set_up(void **state);

struct rig_call key_post(const char *path, const char *body);

/* A key is shown with that health and those words in its summary. */
void key_expect(const char *path, const char *health, const char *words);
/* The list says that of the kind as a whole. */
void key_listed(const char *kind, const char *health, const char *words);
/* Of the key in use. */
void key_fingerprint(const char *path, char ret_text[65]);

/* A join that must succeed, with every signature checked; one that no key can serve. */
void key_joins(const char *client, int status);
void key_refused(const char *word);

#endif
