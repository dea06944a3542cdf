/* SPDX-License-Identifier: Apache-2.0
 * Who asks: Basic (account and password), Bearer (cpt_ account tokens, cpr_ receiver tokens), or
 * nobody. Touches the database; thread-safe. */
#ifndef API_AUTH_H
#define API_AUTH_H

#include "api/api.h"
#include "api/router.h"

/* Successful Basic verifications of the last minute, since scrypt costs 84 ms: keyed by a salted
 * hash of account, password and the stored verifier, bounded; a changed password misses. */
struct api_auth_cache;
CP_MUST_CHECK enum cp_err api_auth_cache_new(struct api_auth_cache **ret_cache);
void api_auth_cache_free(struct api_auth_cache *cache);

/* No credentials: CP_OK and an anonymous principal. Wrong ones: CP_ERR_AUTH_FAILED, without saying
 * which part was wrong. */
CP_MUST_CHECK enum cp_err api_authenticate(const struct api_context *ctx,
                                           const struct api_request *rq,
                                           struct api_principal *ret_who, struct cp_error *err);

/* Whether that principal may enter a route of that need; CP_ERR_AUTH_REQUIRED or
 * CP_ERR_ACCESS_DENIED naming the role. Pure. */
CP_MUST_CHECK enum cp_err api_authorize(enum api_need need, const struct api_principal *who,
                                        struct cp_error *err);

#endif
