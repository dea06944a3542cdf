/* SPDX-License-Identifier: Apache-2.0
 * POSTs that create: the transaction, the answer, and Idempotency-Key. A client that lost the answer
 * sends the request again under the same key and gets the first answer, while nothing is made twice.
 * Touches the database; thread-safe. */
#ifndef API_FRAMEWORK_IDEMPOTENCY_H
#define API_FRAMEWORK_IDEMPOTENCY_H

#include "api/api.h"
#include "db/db.h"

struct api_creation {
    const char *name; /* of the transaction: "create-package" */
    /* Makes it, in READ COMMITTED: what must be unique is a constraint, what it depends on a row lock. */
    db_tx_fn *body;
    /* The answer from what the body left in arg; a 2xx is what is kept. Called in the transaction,
     * so maybe more than once: it consumes nothing. */
    struct api_response (*answer)(const void *arg);
    void *arg;
};

/* Runs the creation and answers. With Idempotency-Key (1 to 64 visible ASCII characters) the answer
 * is kept for a day in the same transaction, sealed under the master key, because it may hold a
 * token: the same account, role, key and request get it again with "Idempotency-Replayed: true" and
 * the body does not run; another request under that key is refused (422 idempotency-key-reused), and
 * while the first one runs 409 idempotency-key-busy. A refusal is not kept: the next one tries. */
struct api_response api_create(const struct api_context *ctx, const struct api_call *call,
                               const struct api_creation *creation);

#endif
