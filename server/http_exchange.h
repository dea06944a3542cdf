/* SPDX-License-Identifier: Apache-2.0
 * The life of one request: libmicrohttpd's callbacks, from the first header to the log line. MHD
 * calls on threads of its own, one at a time for a request; handlers run on the workers' meanwhile
 * (http_work.h), with the connection suspended. */
#ifndef SERVER_HTTP_EXCHANGE_H
#define SERVER_HTTP_EXCHANGE_H

#include <microhttpd.h>
#include <stdbool.h>

struct api_context;  /* api/api.h */
struct srv_throttle; /* server/http_throttle.h */
struct srv_trust;    /* server/http_tls.h */
struct srv_work;     /* server/http_work.h */

/* What all requests share; `cls` of the callbacks. */
struct srv_serving {
    const struct api_context *api;
    struct srv_work *work;
    struct srv_throttle *throttle;
    struct srv_trust *trust; /* NULL: no client certificates */
    bool plain;              /* without TLS where TLS is the rule */
};

/* MHD_OPTION_URI_LOG_CALLBACK, the access handler, MHD_OPTION_NOTIFY_COMPLETED. */
void *srv_on_target(void *cls, const char *target, struct MHD_Connection *connection);
enum MHD_Result srv_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *size, void **context);
void srv_on_completed(void *cls, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode code);

#endif
