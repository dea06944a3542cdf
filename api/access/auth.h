/* SPDX-License-Identifier: Apache-2.0
 * Who asks: Basic (account and password), Bearer (cpt_ account tokens, cpr_ receiver tokens),
 * Negotiate (Kerberos), a client certificate, or nobody. Touches the database; thread-safe. */
#ifndef API_ACCESS_AUTH_H
#define API_ACCESS_AUTH_H

#include "api/api.h"
#include "api/framework/router.h"

/* Successful Basic verifications of the last minute, since scrypt costs 250 ms: keyed by a salted
 * hash of account, password and the stored verifier, bounded; a changed password misses. */
struct api_auth_cache;
CP_MUST_CHECK enum cp_err api_auth_cache_new(struct api_auth_cache **ret_cache);
void api_auth_cache_free(struct api_auth_cache *cache);

/* No credentials: CP_OK and an anonymous principal. Wrong ones: CP_ERR_AUTH_FAILED, without saying
 * which part was wrong; CP_ERR_ACCOUNT_LOCKED. A certificate or principal that is no account's, or
 * a certificate beside another account's credentials: CP_ERR_ACCESS_DENIED. */
CP_MUST_CHECK enum cp_err api_authenticate(const struct api_context *ctx,
                                           const struct api_request *rq,
                                           struct api_principal *ret_who, struct cp_error *err);

/* Adds what a refusal for want of credentials (401) lacks: problem.c does not know what is
 * configured. */
void api_auth_challenge(const struct api_context *ctx, struct api_response *rs);

/* Adds what proves the service to a client that came with a Kerberos ticket. */
void api_auth_answer(const struct api_principal *who, struct api_response *rs);

/* What is taken whatever is configured. */
#define API_WAYS_ALWAYS "an account (Basic) or a token (Bearer)"

/* Whether that principal may enter a route of that need; CP_ERR_AUTH_REQUIRED or
 * CP_ERR_ACCESS_DENIED naming the role. Pure. */
CP_MUST_CHECK enum cp_err api_authorize(enum api_need need, const struct api_principal *who,
                                        struct cp_error *err);

#endif
