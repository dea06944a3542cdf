/* SPDX-License-Identifier: Apache-2.0
 * Bodies that come from a file: read in large blocks, as fast as the ceiling of content over HTTPS
 * lets them. */
#ifndef SERVER_HTTP_BODY_H
#define SERVER_HTTP_BODY_H

#include <microhttpd.h>

#include "api/api.h"

struct srv_asker; /* server/http_answer.h */

/* MHD's response with the body of *rs, whose descriptor is open; what it needs of *rs it takes
 * over. NULL: no memory, *rs is as it was. */
struct MHD_Response *srv_body_new(const struct srv_asker *asker, struct api_response *rs);

#endif
