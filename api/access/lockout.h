/* SPDX-License-Identifier: Apache-2.0
 * Wrong passwords by the address that they came from: a bounded table in memory. An IPv6 address
 * counts by its first 64 bits, which one subscriber has. Thread-safe. */
#ifndef API_ACCESS_LOCKOUT_H
#define API_ACCESS_LOCKOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/time.h"
#include "db/login.h"

struct api_lockout;

CP_MUST_CHECK enum cp_err api_lockout_new(struct api_lockout **ret_lockout);
void api_lockout_free(struct api_lockout *l);

/* Seconds that this address must wait before its next password; 0: none. */
unsigned api_lockout_wait(struct api_lockout *l, const char *remote, cp_time now);

/* Counts a wrong password for the name with that hash; locks the address as the limits say. */
void api_lockout_failed(struct api_lockout *l, const char *remote,
                        const uint8_t name_hash[DB_HASH_SIZE], const struct db_login_limits *limits,
                        cp_time now);

/* A right password for that name: what the address got wrong last was a slip, if it was this name.
 * What it got wrong at other names stays, or anybody with one account could guess at all others. */
void api_lockout_succeeded(struct api_lockout *l, const char *remote,
                           const uint8_t name_hash[DB_HASH_SIZE]);

/* An administrator unlocked that name: every address that failed at it last may try again. */
void api_lockout_forget(struct api_lockout *l, const uint8_t name_hash[DB_HASH_SIZE]);

#endif
