/* SPDX-License-Identifier: Apache-2.0
 * The ticket of a join (docs/protocol.md section 4): its payload as JSON, from rows. Pure but for
 * the wall clock. */
#ifndef API_SESSION_TICKET_H
#define API_SESSION_TICKET_H

#include "api/api.h"
#include "db/receiver.h"
#include "db/session.h"
#include "db/version.h"

/* What the distribution point gives to every session (docs/protocol.md section 7). */
#define API_SESSION_SEGMENT_SIZE    1408u /* fits an MTU of 1500 */
#define API_SESSION_IPV6_SIZE       1344u /* the same, for IPv6 (norm.md section 6.3) */
#define API_SESSION_JUMBO_MTU       9000u
#define API_SESSION_JUMBO_SIZE      8896u /* fits that MTU */
#define API_SESSION_JUMBO_IPV6_SIZE 8832u
#define API_SESSION_MAX_BLOCK_LEN   128u
#define API_SESSION_NUM_PARITY      32u
#define API_SESSION_FEC_ID          129u
#define API_SESSION_OBJECT_ID       1u
#define API_SESSION_SENDER_ID       1u
#define API_SESSION_MAC             DB_MAC_AES256_GMAC

struct api_ticket {
    const struct db_version *version;
    const struct db_receiver *receiver;
    const struct db_session *session; /* NULL: none */
    const uint8_t *secret;            /* of the session, 32 bytes */
    const char *source;               /* address packets come from, "" unknown */
    enum cp_err no_session;           /* why there is none */
    const char *no_session_detail;
    const char *manifest_signature;
};

/* The payload's exact text, malloced; NULL when out of memory. It holds the session secret: wipe it
 * after use. */
char *api_ticket_text(const struct api_ticket *t, size_t *ret_size);

/* Segment size for a link of that MTU (0 unknown): the usual one, or, on a narrower link (a tunnel,
 * an overlay network), the largest multiple of 32 that fits with all headers. jumbo: the large one,
 * when it fits. */
uint32_t api_segment_size(uint32_t mtu, bool jumbo, bool ipv6);

/* Size of the object with padding (docs/protocol.md section 2). */
uint64_t api_object_size(uint64_t content_size, uint32_t segment_size, uint32_t max_block_len);

#endif
