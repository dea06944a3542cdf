/* SPDX-License-Identifier: Apache-2.0
 * An api_response as libmicrohttpd's. One thread at a time. */
#ifndef SERVER_HTTP_ANSWER_H
#define SERVER_HTTP_ANSWER_H

#include <microhttpd.h>
#include <stdbool.h>

#include "api/api.h"

struct srv_throttle; /* server/http_throttle.h */
struct srv_trust;    /* server/http_tls.h */
struct srv_work;     /* server/http_work.h */

/* Whom it goes to. */
struct srv_asker {
    struct MHD_Connection *connection;
    struct srv_throttle *throttle; /* for bodies from files */
    struct srv_work *work;         /* for those, too */
    struct srv_trust *trust;       /* of its client certificate, for bodies without end; or NULL */
    const char *request_id;        /* for the header, unless it is there */
};

/* Queues the response on the connection and frees it. close: the connection ends after it. MHD_NO:
 * the connection must be cut. */
enum MHD_Result srv_answer(const struct srv_asker *asker, struct api_response *rs, bool close);

#endif
