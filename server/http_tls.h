/* SPDX-License-Identifier: Apache-2.0
 * Client certificates: who is trusted, and what the certificate is that the client of a connection
 * showed. libmicrohttpd asks for one when there is a trust, and takes every one: judging it is done
 * here, for each request, so that a revocation reaches open connections. Thread-safe. */
#ifndef SERVER_HTTP_TLS_H
#define SERVER_HTTP_TLS_H

#include <stdbool.h>

#include <gnutls/gnutls.h>

#include "api/api.h"
#include "common/err.h"

struct MHD_Connection;
struct srv_trust;

/* ca: PEM file of the authorities; crl: PEM file of their revocation lists, "" none, which is read
 * anew when it changes. CP_ERR_USAGE naming the file. */
CP_MUST_CHECK enum cp_err srv_trust_new(const char *ca, const char *crl,
                                        struct srv_trust **ret_trust, struct cp_error *err);
void srv_trust_free(struct srv_trust *t); /* NULL allowed */

/* The authorities as PEM text, for the daemon. Borrowed. */
const char *srv_trust_pem(const struct srv_trust *t);

/* The certificate that the connection's client showed, judged. False: it showed none. */
bool srv_trust_peer(struct srv_trust *t, struct MHD_Connection *connection,
                    struct api_certificate *ret_certificate);

/* The same of a chain in DER form, the client's own first. False: not even a certificate. */
bool srv_trust_judge(struct srv_trust *t, const gnutls_datum_t *chain, unsigned count,
                     struct api_certificate *ret_certificate);

#endif
