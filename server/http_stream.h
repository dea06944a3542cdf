/* SPDX-License-Identifier: Apache-2.0
 * A body without end: what an api_feed gives, as it comes. While there is nothing the connection is
 * suspended and costs no thread. */
#ifndef SERVER_HTTP_STREAM_H
#define SERVER_HTTP_STREAM_H

#include <microhttpd.h>

#include "api/api.h"

struct srv_trust; /* server/http_tls.h */

/* A response that takes rs->feed over. It ends when trust, of a connection whose client showed a
 * certificate, does not take that any more; NULL: the client showed none. NULL: memory is out, rs has
 * the feed still. */
struct MHD_Response *srv_stream_new(struct MHD_Connection *connection, struct srv_trust *trust,
                                    struct api_response *rs);

#endif
