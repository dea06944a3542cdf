/* SPDX-License-Identifier: Apache-2.0
 * A body without end: what an api_feed gives, as it comes. While there is nothing the connection is
 * suspended and costs no thread. */
#ifndef SERVER_HTTP_STREAM_H
#define SERVER_HTTP_STREAM_H

#include <microhttpd.h>

#include "api/api.h"

/* A response that takes rs->feed over. NULL: memory is out, rs has it still. */
struct MHD_Response *srv_stream_new(struct MHD_Connection *connection, struct api_response *rs);

#endif
