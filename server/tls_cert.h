/* SPDX-License-Identifier: Apache-2.0
 * The service's certificate: the operator's own, or a self-signed one made at first start. The
 * only place with <gnutls/…>. Touches files of the state folder and the list of interfaces. */
#ifndef SERVER_TLS_CERT_H
#define SERVER_TLS_CERT_H

#include "common/err.h"

struct srv_tls {
    char *cert_pem; /* owned, NUL-terminated */
    char *key_pem;  /* owned; wiped by srv_tls_done */
    char fingerprint
        [96];     /* SHA-256 of the certificate: "AB:CD:…", as browsers and openssl show it */
    char pin[64]; /* SHA-256 of the public key: "sha256//…", as curl --pinnedpubkey takes it */
};

/* The operator's files. Errors: CP_ERR_USAGE naming the file, also when they do not match. */
CP_MUST_CHECK enum cp_err srv_tls_load(const char *cert_path, const char *key_path,
                                       struct srv_tls *ret_tls, struct cp_error *err);

/* <dir>/cert.pem and <dir>/key.pem (0600), made when they are missing: P-256, for the
 * host's name, localhost, listen_host and the addresses of all interfaces. A certificate that
 * ends within 30 days is made anew for the same key, so that the pin stays.
 * Errors: CP_ERR_STORAGE, CP_ERR_USAGE (a file there is damaged), CP_ERR_INTERNAL. */
CP_MUST_CHECK enum cp_err srv_tls_self_signed(const char *dir, const char *listen_host,
                                              struct srv_tls *ret_tls, struct cp_error *err);

/* Zeroed object allowed. */
void srv_tls_done(struct srv_tls *tls);

#endif
