/* SPDX-License-Identifier: Apache-2.0
 * Kerberos tickets by SPNEGO (RFC 4559): one step, one request; nothing is remembered of a
 * connection. The one place with GSSAPI. Touches the keytab; thread-safe. */
#ifndef API_ACCESS_NEGOTIATE_H
#define API_ACCESS_NEGOTIATE_H

#include "api/api.h"

/* keytab: path of the file with the service's keys ("HTTP/host@REALM"). CP_ERR_USAGE naming it when
 * it cannot be used. */
CP_MUST_CHECK enum cp_err
api_negotiate_new(const char *keytab, struct api_negotiate **ret_negotiate, struct cp_error *err);
void api_negotiate_free(struct api_negotiate *n);

/* What a ticket says, and what is said to it. */
struct api_negotiated {
    char principal[API_NAME_SIZE]; /* the client's: "alice@EXAMPLE.ORG" */
    char answer[1024];             /* base64, for WWW-Authenticate: Negotiate; "" none */
};

/* text: what follows "Negotiate", base64. CP_ERR_AUTH_FAILED with what GSSAPI says. */
CP_MUST_CHECK enum cp_err api_negotiate_accept(struct api_negotiate *n, const char *text,
                                               struct api_negotiated *ret_negotiated,
                                               struct cp_error *err);

#endif
