/* SPDX-License-Identifier: Apache-2.0
 * How many requests a client may send: one bucket of tokens for each name (an address, an account, a
 * join), as the virtual scheduling algorithm of ITU-T I.371 keeps it: one time for each name.
 * Bounded: a full table forgets the name that used least of its bucket. The clock is the caller's;
 * thread-safe. */
#ifndef API_FRAMEWORK_LIMIT_H
#define API_FRAMEWORK_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/time.h"

struct api_limit;

/* About 400 KB, once. CP_ERR_NO_MEMORY, CP_ERR_INTERNAL (no random numbers). */
CP_MUST_CHECK enum cp_err api_limit_new(struct api_limit **ret_limit);
void api_limit_free(struct api_limit *l);

/* Counts one request of that name, `per_minute` being allowed (0: any number) and a sixth of that,
 * at least 20, at once. False: too many, *ret_wait_s (1 …) until the next one is taken; a refused
 * one costs nothing. */
bool api_limit_take(struct api_limit *l, const char *name, uint32_t per_minute, cp_time now,
                    uint32_t *ret_wait_s);

/* One that was taken shall not count after all. */
void api_limit_give(struct api_limit *l, const char *name, uint32_t per_minute, cp_time now);

#endif
