/* SPDX-License-Identifier: Apache-2.0
 * The certificate of a multicast key: a JWS by the identity key (docs/protocol.md section 3), made
 * by the distribution point, checked by it and by receivers. Pure but for libcrypto. */
#ifndef CONTENT_CERTIFICATE_H
#define CONTENT_CERTIFICATE_H

#include <stdint.h>

#include "common/err.h"
#include "content/jws.h"

#define CERTIFICATE_TIME_SIZE 32u

struct certificate {
    uint8_t public_key[JWS_KEY_SIZE];       /* the multicast key's */
    char node[37];                          /* uuid of the distribution point */
    char not_before[CERTIFICATE_TIME_SIZE]; /* RFC 3339 in UTC ("Z") */
    char not_after[CERTIFICATE_TIME_SIZE];
};

/* The JWS, malloced. CP_ERR_INVALID (a time or the node is not of its form), NO_MEMORY, INTERNAL. */
CP_MUST_CHECK enum cp_err certificate_sign(const struct jws_key *identity,
                                           const struct certificate *c, char **ret_jws);

/* Signature, form and fingerprint; valid at now_ns (wall clock, ns since 1970), with five minutes
 * of grace for clocks that differ (now_ns 0: times are not compared). CP_ERR_SIGNATURE. */
CP_MUST_CHECK enum cp_err certificate_verify(const uint8_t identity[JWS_KEY_SIZE], const char *jws,
                                             uint64_t now_ns, struct certificate *ret_certificate,
                                             struct cp_error *err);

/* RFC 3339 in UTC ("2026-11-23T04:21:00Z", up to 9 decimals) to ns since 1970. CP_ERR_INVALID. */
CP_MUST_CHECK enum cp_err certificate_time_parse(const char *text, uint64_t *ret_ns);

#endif
