/* SPDX-License-Identifier: Apache-2.0
 * The way of every request: route, authentication, role, query, handler, problem. Denies by default.
 * Touches nothing itself; thread-safe. */
#include <string.h>
#include <strings.h>

#include "api/access/auth.h"
#include "api/access/cors.h"
#include "api/access/gate.h"
#include "api/events/audit.h"
#include "api/framework/fields.h"
#include "api/framework/respond.h"
#include "api/framework/router.h"
#include "api/handlers.h"
#include "api/point/live.h"

/* A browser that stored a Basic password would send it along with another site's form. */
static enum cp_err check_origin(const struct api_context *ctx, const struct api_request *rq,
                                struct cp_error *err)
{
    const char *site = api_request_header(rq, "Sec-Fetch-Site");
    const char *origin = api_request_header(rq, "Origin");

    if (rq->method == API_GET || rq->method == API_HEAD || site == NULL ||
        strcasecmp(site, "same-origin") == 0 || strcasecmp(site, "none") == 0 ||
        (origin != NULL && api_live_origin(ctx, origin))) {
        return CP_OK;
    }
    return cp_error_set(err, CP_ERR_ACCESS_DENIED,
                        "Header 'Sec-Fetch-Site' is '%.40s': a page of another site may not make "
                        "changes; send the request from this service's own pages or a program, or "
                        "name the site in 'cors_origins'.",
                        site);
}

/* What comes without TLS everybody on the way can read and change. */
static enum cp_err check_plain(const struct api_request *rq, const struct api_route *route,
                               struct cp_error *err)
{
    if (!rq->plain) {
        return CP_OK;
    }
    if (api_request_header(rq, "Authorization") != NULL) {
        return cp_error_set(err, CP_ERR_TLS_REQUIRED,
                            "Header 'Authorization' came over plain HTTP, so that others may know "
                            "its secret now: change it, and send credentials by HTTPS only.");
    }
    if (route->need != API_NEED_CONTENT || route->method != API_GET) {
        return cp_error_set(err, CP_ERR_TLS_REQUIRED,
                            "Over plain HTTP there are only content and manifests: send '%.100s' "
                            "by HTTPS.",
                            rq->path);
    }
    return CP_OK;
}

/* An address looks at credentials unless it is public. */
static bool may_be_false(const struct api_request *rq, const struct api_route *route)
{
    return route->need != API_NEED_PUBLIC && api_live_has_receiver_token(rq);
}

static enum api_traffic traffic_of(const struct api_route *route)
{
    if (route->need == API_NEED_RECEIVER) {
        return API_TRAFFIC_RECEIVER;
    }
    if (route->need != API_NEED_CONTENT) {
        return API_TRAFFIC_PLAIN;
    }
    return route->method == API_GET ? API_TRAFFIC_CONTENT : API_TRAFFIC_JOIN;
}

static enum cp_err admit(const struct api_context *ctx, const struct api_request *rq,
                         const struct api_route *route, struct api_principal *ret_who,
                         struct cp_error *err)
{
    memset(ret_who, 0, sizeof *ret_who);
    CP_TRY(check_plain(rq, route, err));
    if (route->need == API_NEED_PUBLIC) {
        return CP_OK;
    }
    CP_TRY(check_origin(ctx, rq, err));
    CP_TRY(api_authenticate(ctx, rq, ret_who, err));
    if (ret_who->receiver_id[0] != '\0') {
        api_live_not_false(ctx, rq);
    }
    CP_TRY(api_live_count_who(ctx, ret_who, traffic_of(route), err));
    return api_authorize(route->need, ret_who, err);
}

static struct api_response refuse_route(const struct api_request *rq, const struct api_match *match,
                                        const struct cp_error *err)
{
    struct api_response rs = api_problem(rq, err);

    if (err->code == CP_ERR_METHOD_NOT_ALLOWED) {
        char allow[64];

        api_allow_text(match->allowed, allow, sizeof allow);
        api_header_add(&rs, "Allow", "%s", allow);
    }
    return rs;
}

/* Only "does the process live" is answered while the parts of the context are not there, and without
 * looking at them. */
static enum cp_err pass(const struct api_context *ctx, const struct api_request *rq,
                        struct cp_error *err)
{
    if (strcmp(rq->path, "/healthz") == 0) {
        return CP_OK;
    }
    CP_TRY(api_gate_pass(ctx->gate, err));
    api_live_refresh(ctx);
    return CP_OK;
}

/* Addresses that are none are counted, too. */
static enum cp_err find(const struct api_context *ctx, const struct api_request *rq,
                        struct api_match *m, struct cp_error *err)
{
    enum api_traffic traffic = API_TRAFFIC_PLAIN;
    const struct api_route *routes;
    enum cp_err found;
    size_t count;

    routes = api_routes(&count);
    found = api_route_find(routes, count, rq->method, rq->path, m, err);
    if (found == CP_OK && m->route->handler == api_healthz) {
        return CP_OK;
    }
    if (found == CP_OK) {
        traffic = may_be_false(rq, m->route) ? API_TRAFFIC_FALSE : traffic_of(m->route);
    }
    CP_TRY(api_live_count_address(ctx, rq, traffic, err));
    return found;
}

/* Route, principal and call of a request; false: *ret_response refuses it. api_match_done(m) later. */
static bool prepare(const struct api_context *ctx, const struct api_request *rq,
                    struct api_match *m, struct api_principal *who, struct api_call *ret_call,
                    struct api_response *ret_response)
{
    struct cp_error err = {.code = CP_OK};

    err.code = pass(ctx, rq, &err);
    if (err.code != CP_OK) {
        *ret_response = api_problem(rq, &err);
        return false;
    }
    err.code = find(ctx, rq, m, &err);
    if (err.code != CP_OK) {
        *ret_response = refuse_route(rq, m, &err);
        return false;
    }
    err.code = admit(ctx, rq, m->route, who, &err);
    if (err.code != CP_OK) {
        api_audit_refusal(ctx, rq, m->route->operation, who, err.code);
        *ret_response = api_problem(rq, &err);
        return false;
    }
    *ret_call = (struct api_call){
        .rq = rq, .who = who, .operation = m->route->operation, .param_count = m->param_count};
    memcpy(ret_call->params, m->params, sizeof m->params);
    return api_query_takes(ret_call, m->route->query, ret_response);
}

static struct api_response respond(const struct api_context *ctx, const struct api_request *rq)
{
    struct api_match match = {.route = NULL};
    struct api_principal who = {.role = API_ROLE_NONE};
    struct api_response rs;
    struct api_call call;

    if (api_cors_preflight(ctx, rq, &rs)) {
        return rs;
    }
    if (prepare(ctx, rq, &match, &who, &call, &rs)) {
        if (match.route->handler != NULL) {
            rs = match.route->handler(ctx, &call);
            api_audit_refusal(ctx, rq, call.operation, &who, api_audit_code(rs.status));
        } else {
            rs = api_refuse_text(&call, CP_ERR_INTERNAL,
                                 "An upload reached the wrong entry of the API.");
        }
    }
    api_auth_answer(&who, &rs);
    api_match_done(&match);
    return rs;
}

struct api_response api_handle(const struct api_context *ctx, const struct api_request *rq)
{
    struct api_response rs = respond(ctx, rq);

    api_auth_challenge(ctx, &rs);
    api_cors_add(ctx, rq, &rs);
    api_response_seal(rq, &rs);
    return rs;
}

bool api_is_upload(const struct api_request *rq)
{
    struct api_match match = {.route = NULL};
    const struct api_route *routes;
    size_t count;
    bool is_upload;

    routes = api_routes(&count);
    is_upload = api_route_find(routes, count, rq->method, rq->path, &match, NULL) == CP_OK &&
                match.route->upload != NULL;
    api_match_done(&match);
    return is_upload;
}

bool api_upload_start(const struct api_context *ctx, const struct api_request *rq,
                      struct api_upload **ret_upload, struct api_response *ret_response)
{
    struct api_match match = {.route = NULL};
    struct api_principal who;
    struct api_call call;

    if (!api_is_upload(rq)) {
        return false;
    }
    *ret_upload = NULL;
    if (prepare(ctx, rq, &match, &who, &call, ret_response)) {
        *ret_upload = match.route->upload(ctx, &call, ret_response);
        if (*ret_upload == NULL) {
            api_audit_refusal(ctx, rq, call.operation, &who, api_audit_code(ret_response->status));
        }
    }
    api_match_done(&match);
    if (*ret_upload == NULL) {
        api_auth_challenge(ctx, ret_response);
        api_cors_add(ctx, rq, ret_response);
        api_response_seal(rq, ret_response);
    }
    return true;
}
