/* SPDX-License-Identifier: Apache-2.0
 * Turns an api_response into libmicrohttpd's. */
#include "server/http_answer.h"

#include <strings.h>

/* Hands the body to MHD. */
static struct MHD_Response *convert(struct api_response *rs)
{
    struct MHD_Response *out;

    if (rs->fd >= 0) {
        out = MHD_create_response_from_fd_at_offset64(rs->fd_size, rs->fd, rs->fd_offset);
        if (out != NULL) {
            rs->fd = -1; /* MHD closes it */
        }
        return out;
    }
    out = MHD_create_response_from_buffer(rs->body_size, rs->body == NULL ? "" : rs->body,
                                          rs->body == NULL ? MHD_RESPMEM_PERSISTENT
                                                           : MHD_RESPMEM_MUST_FREE);
    if (out != NULL) {
        rs->body = NULL;
    }
    return out;
}

static bool has_header(const struct api_response *rs, const char *name)
{
    for (size_t i = 0; i < rs->header_count; i++) {
        if (strcasecmp(rs->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static enum MHD_Result add_headers(struct MHD_Response *out, const struct api_response *rs,
                                   const char *request_id, bool close)
{
    enum MHD_Result rc = MHD_YES;

    if (rs->content_type != NULL) {
        rc = MHD_add_response_header(out, "Content-Type", rs->content_type);
    }
    for (size_t i = 0; rc == MHD_YES && i < rs->header_count; i++) {
        rc = MHD_add_response_header(out, rs->headers[i].name, rs->headers[i].value);
    }
    if (rc == MHD_YES && !has_header(rs, "X-Request-Id")) {
        rc = MHD_add_response_header(out, "X-Request-Id", request_id);
    }
    if (rc == MHD_YES && close) {
        rc = MHD_add_response_header(out, "Connection", "close");
    }
    return rc;
}

enum MHD_Result srv_answer(struct MHD_Connection *connection, struct api_response *rs,
                           const char *request_id, bool close)
{
    struct MHD_Response *out = convert(rs);
    enum MHD_Result rc = MHD_NO;

    if (out != NULL) {
        rc = add_headers(out, rs, request_id, close);
        if (rc == MHD_YES) {
            rc = MHD_queue_response(connection, (unsigned)rs->status, out);
        }
        MHD_destroy_response(out);
    }
    api_response_done(rs);
    return rc;
}
