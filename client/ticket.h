/* SPDX-License-Identifier: Apache-2.0
 * The ticket: what the service granted at a join, verified down to the identity key and parsed
 * strictly (docs/protocol.md sections 3 and 4). Pure; the caller gives the time. */
#ifndef CLIENT_TICKET_H
#define CLIENT_TICKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/time.h"
#include "content/jws.h"
#include "content/sha256.h"
#include "multicast/session.h"

#define CL_PATH_SIZE 512u

struct cl_ticket {
    char join[37];
    char correlation_id[64];
    char package[129];
    uint32_t version;
    struct {
        char url[CL_PATH_SIZE];
        uint8_t sha256[CONTENT_DIGEST_SIZE];
        uint64_t size;
        char signature[512];
    } manifest;
    bool https; /* the content may be fetched over HTTPS … */
    char content_url[CL_PATH_SIZE];
    enum cp_err no_https;   /* … or why not */
    bool session;           /* there is one … */
    enum cp_err no_session; /* … or why not */
    char no_session_text[256];
    struct mc_channel channel; /* of the session; interface is left empty */
    uint32_t node_id;
    cp_time starts_in; /* from the ticket's making; 0: it runs */
    char progress_url[CL_PATH_SIZE];
    cp_time progress_interval;
    char result_url[CL_PATH_SIZE];
    cp_time silence;                     /* without a packet: turn to HTTPS */
    cp_time https_delay;                 /* … after so long */
    uint8_t multicast_key[JWS_KEY_SIZE]; /* signs the manifest; certified by the identity key */
};

/* Verifies the certificate by the identity key, the ticket by the certified key, both at now_ns
 * (wall clock of the service), and reads the ticket. CP_ERR_SIGNATURE: forged, foreign or expired;
 * CP_ERR_PROTOCOL: signed, but not of the form agreed. */
struct cl_ticket_source {
    const uint8_t *identity_key; /* JWS_KEY_SIZE bytes */
    const char *certificate;
    const char *ticket;
    uint64_t now_ns;
    const char *join;    /* the id that the answer named */
    const char *package; /* what was asked for */
    uint32_t version;    /* 0: the current one */
};
CP_MUST_CHECK enum cp_err cl_ticket_verify(const struct cl_ticket_source *source,
                                           struct cl_ticket *ret_ticket, struct cp_error *err);

/* Wipes the session secret. */
void cl_ticket_done(struct cl_ticket *t);

#endif
