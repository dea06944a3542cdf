/* SPDX-License-Identifier: Apache-2.0
 * Streamed uploads, whatever their kind: what server/ calls. Touches what the kinds touch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/access/auth.h"
#include "api/framework/respond.h"
#include "api/upload/upload_private.h"
#include "api/upload/upload_room.h"

#define LOOK_EVERY ((uint64_t)8 << 20)

#define UPLOADS "/api/v1/uploads/"

static bool is_resumable(const char *path)
{
    size_t prefix = sizeof UPLOADS - 1;

    return strncmp(path, UPLOADS, prefix) == 0 && path[prefix] != '\0' &&
           strchr(path + prefix, '/') == NULL;
}

enum cp_err api_method_override(struct api_request *rq, struct cp_error *err)
{
    static const struct {
        const char *name;
        enum api_method method;
    } methods[] = {{"PATCH", API_PATCH}, {"DELETE", API_DELETE}, {"HEAD", API_HEAD}};
    const char *name = api_request_header(rq, "X-HTTP-Method-Override");

    if (name == NULL) {
        return CP_OK;
    }
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (rq->method == API_POST && is_resumable(rq->path) &&
            strcmp(name, methods[i].name) == 0) {
            rq->method = methods[i].method;
            return CP_OK;
        }
    }
    return cp_error_set(err, CP_ERR_INVALID,
                        "Header 'X-HTTP-Method-Override' is '%.20s': it is taken with 'PATCH', "
                        "'DELETE' and 'HEAD', on a POST to '" UPLOADS "{upload}'.",
                        name);
}

/* The answer's headers depend on it. */
static void keep_origin(struct api_upload *u, const struct api_request *rq)
{
    const char *origin = api_request_header(rq, "Origin");

    if (origin != NULL && strlen(origin) <= API_CORS_ORIGIN_MAX) {
        (void)snprintf(u->origin_text, sizeof u->origin_text, "%s", origin);
        u->origin = (struct api_pair){"Origin", u->origin_text};
        u->rq.headers = &u->origin;
        u->rq.header_count = 1;
    }
}

struct api_upload *api_upload_new(size_t size, const struct api_upload_kind *kind,
                                  const struct api_context *ctx, const struct api_call *call)
{
    struct api_upload *u = calloc(1, size);

    if (u == NULL) {
        return NULL;
    }
    u->kind = kind;
    u->ctx = ctx;
    u->who = *call->who;
    u->rq = *call->rq;
    u->rq.headers = u->rq.query = NULL;
    u->rq.header_count = u->rq.query_count = 0;
    u->rq.certificate = NULL;
    keep_origin(u, call->rq);
    u->call = *call;
    u->call.rq = &u->rq;
    u->call.who = &u->who;
    u->call.param_count = 0;
    for (size_t i = 0; i < API_PARAMS_MAX; i++) {
        u->call.params[i] = NULL;
    }
    u->announced = call->rq->content_length;
    return u;
}

enum cp_err api_upload_look(struct api_upload *u, uint64_t unforeseen, struct cp_error *err)
{
    if (u->received - u->looked_at < LOOK_EVERY) {
        return CP_OK;
    }
    u->looked_at = u->received;
    return api_room_during(u->ctx, u->reserve, unforeseen, err);
}

bool api_upload_data(struct api_upload *u, const void *data, size_t size)
{
    u->received += size;
    if (u->err.code == CP_OK) {
        u->err.code = u->kind->take(u, data, size, &u->err);
    }
    return u->err.code == CP_OK;
}

struct api_response api_upload_finish(struct api_upload *u, bool complete)
{
    bool whole = complete && (u->announced == UINT64_MAX || u->received == u->announced);
    struct api_response rs = u->kind->end(u, whole);

    api_auth_answer(&u->who, &rs);
    api_cors_add(u->ctx, &u->rq, &rs);
    api_response_seal(&u->rq, &rs);
    free(u);
    return rs;
}
