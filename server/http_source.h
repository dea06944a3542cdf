/* SPDX-License-Identifier: Apache-2.0
 * The addresses that clients have: what one of them, and all together, may take of connections and
 * of memory for bodies (docs/limits.md). Thread-safe. */
#ifndef SERVER_HTTP_SOURCE_H
#define SERVER_HTTP_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/err.h"

struct srv_source; /* one address, or an IPv6 network of 64 bits; lives while it has anything */
struct srv_sources;

struct srv_sources_config {
    unsigned connections; /* of one address */
    unsigned surplus;     /* more of them that are told so; the others are closed at once */
    size_t bodies;        /* bytes, of all together; a quarter of it is for one address */
};

CP_MUST_CHECK enum cp_err srv_sources_new(const struct srv_sources_config *config,
                                          struct srv_sources **ret_sources, struct cp_error *err);
void srv_sources_free(struct srv_sources *s); /* nobody may have anything; NULL allowed */

/* It has all its connections and the surplus: another one is not worth an answer. */
bool srv_source_overrun(struct srv_sources *s, const struct sockaddr *address);

/* One connection more, until srv_source_leave(); *ret_surplus: it is over the limit. NULL: no
 * memory; what follows takes that, and counts nothing. */
struct srv_source *srv_source_enter(struct srv_sources *s, const struct sockaddr *address,
                                    bool *ret_surplus);
void srv_source_leave(struct srv_source *source);

/* Memory for a body. False: there is no more. It may be given back when the connections are gone. */
bool srv_source_take(struct srv_source *source, size_t size);
void srv_source_give(struct srv_source *source, size_t size);

#endif
