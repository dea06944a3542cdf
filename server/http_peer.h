/* SPDX-License-Identifier: Apache-2.0
 * The connections: how many there are, and whether the one whose turn it is sends at all. A sender
 * that is too slow (docs/limits.md) is cut off by a thread of its own, for libmicrohttpd's time-out
 * starts anew at every byte. Thread-safe; a peer belongs to its connection. */
#ifndef SERVER_HTTP_PEER_H
#define SERVER_HTTP_PEER_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/time.h"
#include "server/http_linger.h"

struct srv_peer;
struct srv_source;  /* server/http_source.h */
struct srv_sources; /* the same */
struct srv_peers;

struct srv_peers_config {
    struct srv_sources *sources; /* borrowed */
    unsigned limit;              /* connections; those beyond are told so and closed */
    cp_time headers;     /* until those of the first request are whole, the handshake included */
    cp_time idle;        /* so much longer has every other one */
    cp_time body_window; /* within each of these … */
    size_t body_min;     /* … so many bytes of a body must come, but for its end */
};

CP_MUST_CHECK enum cp_err srv_peers_new(const struct srv_peers_config *config,
                                        struct srv_peers **ret_peers, struct cp_error *err);
void srv_peers_free(struct srv_peers *p); /* no connection may be left; NULL allowed */

/* What MHD asks before it takes a connection; MHD_OPTION_NOTIFY_CONNECTION. cls is the struct
 * srv_peers. */
enum MHD_Result srv_on_accept(void *cls, const struct sockaddr *address, socklen_t size);
void srv_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                       enum MHD_ConnectionNotificationCode code);

/* NULL when there was no memory for it. All that follows takes NULL. */
struct srv_peer *srv_peer_of(struct MHD_Connection *connection);

/* Why it is one too many; NULL: it is welcome. */
const char *srv_peer_surplus(const struct srv_peer *peer);

/* Where it comes from; NULL: not known. */
struct srv_source *srv_peer_source(const struct srv_peer *peer);

/* Whose turn it is. The peer's: its next request, or a body, of which `size` more bytes came; ours:
 * no time is counted. */
void srv_peer_awaits_request(struct srv_peer *peer);
void srv_peer_sent_body(struct srv_peer *peer, size_t size);
void srv_peer_waits(struct srv_peer *peer);

/* The connection ends with the answer that is queued now, and the peer may still be sending: it is
 * read on within `bounds`, so that the answer arrives. */
void srv_peer_leaves(struct srv_peer *peer, const struct srv_linger_bounds *bounds);

/* So many bytes of a body go out next (server/http_batch.h). */
void srv_peer_sends(struct srv_peer *peer, size_t size);

#endif
