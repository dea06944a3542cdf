/* SPDX-License-Identifier: Apache-2.0
 * Memory of successful password checks for one minute and of failed ones for a quarter of an hour,
 * and the limit of how many checks run at once. Thread-safe. For login.c. */
#ifndef API_ACCESS_AUTHCACHE_H
#define API_ACCESS_AUTHCACHE_H

#include "api/access/auth.h"

/* The stored verifier and the password together: another password, or a changed one, misses. */
bool api_auth_cache_has(struct api_auth_cache *cache, const char *verifier, const char *password);
void api_auth_cache_put(struct api_auth_cache *cache, const char *verifier, const char *password);

/* The same of a wrong one. A room of machines that has an old password makes one guess, not forty:
 * what was wrong a moment ago is still wrong and does not count again. verifier: "" when there is
 * no such account. */
bool api_auth_cache_has_wrong(struct api_auth_cache *cache, const char *name, const char *verifier,
                              const char *password);
void api_auth_cache_put_wrong(struct api_auth_cache *cache, const char *name, const char *verifier,
                              const char *password);

/* Waits until fewer than two checks run: each takes 32 MiB and 250 ms of a core. False when too many
 * wait already: a flood of wrong passwords must not hold every thread. */
bool api_auth_cache_enter(struct api_auth_cache *cache);
void api_auth_cache_leave(struct api_auth_cache *cache);

#endif
