/* SPDX-License-Identifier: Apache-2.0
 * What tests of webhooks stand on: the API's rig, and webhooks by their names. A failure ends the
 * test by a cmocka assertion. */
#ifndef TESTS_API_HOOK_RIG_H
#define TESTS_API_HOOK_RIG_H

#include "tests/api/rig.h"

#define HOOKS "/api/v1/webhooks"

/* Such urls often have a secret: every webhook of these tests has one, which is looked for at the
 * end where viewers can read. */
#define HOOK_SECRET "very-secret"

/* A webhook to that url; `more` are further fields; its secret (may be NULL). */
void hook_make(const char *name, const char *url, const char *more, char ret_secret[64]);
struct rig_answer hook_get(const char *name);
struct rig_answer hook_patch(const char *name, const char *body);
void hook_drop(const char *name);
void hook_expect_state(const char *name, const char *state);

/* One look of who sends, with little patience. */
void hook_send_due(void);
/* As if the pause before the next attempt were over. */
void hook_pass_pause(const char *name);
/* Items of the list of what was sent, borrowed from the answer. */
json_t *hook_deliveries(const char *name, struct rig_answer *ret_answer);

#endif
