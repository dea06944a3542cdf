/* SPDX-License-Identifier: Apache-2.0
 * An api_response as libmicrohttpd's. One thread at a time. */
#ifndef SERVER_HTTP_ANSWER_H
#define SERVER_HTTP_ANSWER_H

#include <microhttpd.h>
#include <stdbool.h>

#include "api/api.h"

/* Queues the response on the connection and frees it. request_id: for the header, unless it is
 * there. close: the connection ends after it. MHD_NO: the connection must be cut. */
enum MHD_Result srv_answer(struct MHD_Connection *connection, struct api_response *rs,
                           const char *request_id, bool close);

#endif
