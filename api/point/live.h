/* SPDX-License-Identifier: Apache-2.0
 * The node's settings that every request asks for, without a query for each: read again every few
 * seconds, and at once after a change through this process. Counts requests by them. Touches the
 * database; thread-safe. */
#ifndef API_POINT_LIVE_H
#define API_POINT_LIVE_H

#include "api/api.h"

struct api_live;

CP_MUST_CHECK enum cp_err api_live_new(struct api_live **ret_live);
void api_live_free(struct api_live *live);

/* Reads the settings again when they are old. One request does it, the others go on with the old
 * ones; so it does when the database does not answer. All functions do nothing without ctx->live. */
void api_live_refresh(const struct api_context *ctx);

/* They were changed: the next request reads them. */
void api_live_changed(const struct api_context *ctx);

/* Whether pages of that origin ("https://console.example") may use the API. */
bool api_live_origin(const struct api_context *ctx, const char *origin);
/* Whether pages of any other site may: answers depend on Origin then. */
bool api_live_any_origin(const struct api_context *ctx);

/* What is counted by itself, and never held to less than so many a minute however low the setting
 * is: a room that starts at once joins at once, each receiver reports every second, and content is
 * fetched in pieces and held back by https_rate_ceiling_bps. */
enum api_traffic {
    API_TRAFFIC_PLAIN,
    API_TRAFFIC_JOIN,     /* 600 */
    API_TRAFFIC_RECEIVER, /* 600: progress and result */
    API_TRAFFIC_CONTENT,  /* 60,000 */
    API_TRAFFIC_FALSE     /* 600: receiver tokens, until they turn out to be right */
};

/* Whether it says that it has a receiver token: forty machines behind one address have one each. */
bool api_live_has_receiver_token(const struct api_request *rq);

/* Counts a request before it is known who asks: by its address, an IPv6 one by its /64.
 * CP_ERR_TOO_MANY_REQUESTS with err->retry_after_s. */
CP_MUST_CHECK enum cp_err api_live_count_address(const struct api_context *ctx,
                                                 const struct api_request *rq,
                                                 enum api_traffic traffic, struct cp_error *err);

/* Counts it by who asks: account, or join. */
CP_MUST_CHECK enum cp_err api_live_count_who(const struct api_context *ctx,
                                             const struct api_principal *who,
                                             enum api_traffic traffic, struct cp_error *err);

/* The receiver token, which was counted as API_TRAFFIC_FALSE, is right: that does not count. */
void api_live_not_false(const struct api_context *ctx, const struct api_request *rq);

#endif
