/* SPDX-License-Identifier: Apache-2.0
 * Joining: asks the service for a package, verifies the ticket, fetches and verifies the manifest.
 * Touches the network through http.h. One thread. */
#ifndef CLIENT_JOIN_H
#define CLIENT_JOIN_H

#include <stdbool.h>
#include <stdint.h>

#include "client/http.h"
#include "client/ticket.h"
#include "common/err.h"
#include "content/manifest.h"

struct cl_join_request {
    const char *package;
    uint32_t version;      /* 0: the current one */
    const char *client_id; /* see cl_client_id() */
    const char *client_name;
    const char *identity; /* known identities (identity.h), NULL: whichever it is */
    bool multicast;
};

struct cl_join {
    struct cl_ticket ticket;
    struct manifest *manifest;
    char *token; /* receiver token of this join */
};

/* Posts the join with the user's credentials, everything after it goes by the receiver token,
 * which `http` uses from then on. Errors: what the service refused with, CP_ERR_SIGNATURE,
 * CP_ERR_PROTOCOL, CP_ERR_MALFORMED and those of cl_http_call. */
CP_MUST_CHECK enum cp_err cl_join(struct cl_http *http, const struct cl_join_request *request,
                                  struct cl_join *ret_join, struct cp_error *err);
void cl_join_done(struct cl_join *j);

/* Pure: the manifest's bytes against the ticket: size, digest, signature, package, version, and
 * the session's content size. CP_ERR_SIGNATURE, CP_ERR_MALFORMED. */
CP_MUST_CHECK enum cp_err cl_manifest_verify(const struct cl_ticket *ticket, const char *text,
                                             size_t size, struct manifest **ret_manifest,
                                             struct cp_error *err);

/* Name of this receiver's place: the same on every run of this machine for this output, other
 * for another output, and not to be traced back to the machine's id. 64 characters and NUL.
 * CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err cl_client_id(const char *output, char ret_id[65]);

/* A new id for one run: it goes along with every request, and the ticket gives it back. 32
 * hexadecimal digits and NUL. */
void cl_correlation_id(char ret_id[33]);

#endif
