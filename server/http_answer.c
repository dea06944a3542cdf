/* SPDX-License-Identifier: Apache-2.0
 * Turns an api_response into libmicrohttpd's. */
#include "server/http_answer.h"

#include <stdio.h>
#include <strings.h>

#include "server/http_body.h"
#include "server/http_stream.h"

/* Hands the body to MHD. */
static struct MHD_Response *convert(const struct srv_asker *asker, struct api_response *rs)
{
    struct MHD_Response *out;

    if (rs->feed != NULL) {
        return srv_stream_new(asker->connection, asker->trust, rs);
    }
    if (rs->fd >= 0) {
        return srv_body_new(asker, rs);
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

static enum MHD_Result add_content_type(struct MHD_Response *out, const struct api_response *rs)
{
    char text[128];

    if (rs->content_type == NULL) {
        return MHD_YES;
    }
    (void)snprintf(text, sizeof text, "%s%s%s", rs->content_type,
                   rs->boundary[0] != '\0' ? "; boundary=" : "", rs->boundary);
    return MHD_add_response_header(out, "Content-Type", text);
}

static enum MHD_Result add_headers(struct MHD_Response *out, const struct api_response *rs,
                                   const char *request_id, bool close)
{
    enum MHD_Result rc = add_content_type(out, rs);

    for (size_t i = 0; rc == MHD_YES && i < rs->header_count; i++) {
        rc = MHD_add_response_header(out, rs->headers[i].name, rs->headers[i].value);
    }
    if (rc == MHD_YES && rs->link != NULL) {
        rc = MHD_add_response_header(out, "Link", rs->link);
    }
    if (rc == MHD_YES && !has_header(rs, "X-Request-Id")) {
        rc = MHD_add_response_header(out, "X-Request-Id", request_id);
    }
    if (rc == MHD_YES && close) {
        rc = MHD_add_response_header(out, "Connection", "close");
    }
    return rc;
}

enum MHD_Result srv_answer(const struct srv_asker *asker, struct api_response *rs, bool close)
{
    struct MHD_Response *out = convert(asker, rs);
    enum MHD_Result rc = MHD_NO;

    if (out != NULL) {
        rc = add_headers(out, rs, asker->request_id, close);
        if (rc == MHD_YES) {
            rc = MHD_queue_response(asker->connection, (unsigned)rs->status, out);
        }
        MHD_destroy_response(out);
    }
    api_response_done(rs);
    return rc;
}
