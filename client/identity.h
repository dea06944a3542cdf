/* SPDX-License-Identifier: Apache-2.0
 * Which identity of the distribution point vouches for an answer to a join: the present one, or, for
 * a user who named the one that it had before (--identity), that one until its overlap ends. */
#ifndef CLIENT_IDENTITY_H
#define CLIENT_IDENTITY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "content/jws.h"

struct cl_identity {
    uint8_t key[JWS_KEY_SIZE];
    const char *certificate; /* borrowed from the answer */
    bool former;             /* it was rotated: `present` is to be named by the user from now on */
    char present[JWS_FINGERPRINT_SIZE];
};

/* Fingerprints with ';' between, lower-case hexadecimal: is the text such a list? */
bool cl_identity_list(const char *text);

/* answer: the join's, an object. known: such a list, NULL when the user named none. Nothing of it
 * is verified yet. CP_ERR_PROTOCOL: a field is missing; CP_ERR_SIGNATURE: the distribution point has
 * none of the known identities. */
CP_MUST_CHECK enum cp_err cl_identity_choose(const json_t *answer, const char *known,
                                             struct cl_identity *ret_identity,
                                             struct cp_error *err);

#endif
