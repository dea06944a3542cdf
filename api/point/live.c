/* SPDX-License-Identifier: Apache-2.0
 * Settings at hand, and the counting of requests. Touches the database; thread-safe. */
#include "api/point/live.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/framework/limit.h"
#include "api/framework/respond.h"
#include "common/clock.h"
#include "db/settings.h"
#include "keys/credentials.h"

#define REFRESH_NS (2 * CP_SEC)

#define NAME_SIZE 96

struct api_live {
    struct api_limit *limit;
    pthread_mutex_t lock;
    cp_time read_at; /* 0: read them now */
    bool reading;
    uint32_t per_minute;
    char origins[DB_ORIGINS_SIZE];
};

enum cp_err api_live_new(struct api_live **ret_live)
{
    struct api_live *live = calloc(1, sizeof *live);

    if (live == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    if (api_limit_new(&live->limit) != CP_OK) {
        free(live);
        return CP_ERR_NO_MEMORY;
    }
    (void)pthread_mutex_init(&live->lock, NULL);
    *ret_live = live;
    return CP_OK;
}

void api_live_free(struct api_live *live)
{
    if (live == NULL) {
        return;
    }
    api_limit_free(live->limit);
    (void)pthread_mutex_destroy(&live->lock);
    free(live);
}

/* ---- the settings ---- */

struct read_tx {
    const char *node_id;
    struct db_settings settings;
};

static enum cp_err read_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct read_tx *t = arg;

    return db_settings_get(conn, t->node_id, &t->settings, err);
}

static bool claim_reading(struct api_live *live)
{
    cp_time now = cp_clock_now();
    bool mine;

    (void)pthread_mutex_lock(&live->lock);
    mine = !live->reading && (live->read_at == 0 || now - live->read_at >= REFRESH_NS);
    if (mine) {
        live->reading = true;
        live->read_at = now; /* a change meanwhile sets it to 0 again */
    }
    (void)pthread_mutex_unlock(&live->lock);
    return mine;
}

void api_live_refresh(const struct api_context *ctx)
{
    struct api_live *live = ctx->live;
    struct read_tx t = {.node_id = ctx->node_id};
    enum cp_err rc;

    if (live == NULL || !claim_reading(live)) {
        return;
    }
    rc = db_run_read(ctx->db, "live-settings", read_body, &t, NULL);
    (void)pthread_mutex_lock(&live->lock);
    if (rc == CP_OK) {
        live->per_minute = t.settings.requests_per_minute;
        (void)snprintf(live->origins, sizeof live->origins, "%s", t.settings.cors_origins);
    }
    live->reading = false;
    (void)pthread_mutex_unlock(&live->lock);
}

void api_live_changed(const struct api_context *ctx)
{
    if (ctx->live != NULL) {
        (void)pthread_mutex_lock(&ctx->live->lock);
        ctx->live->read_at = 0;
        (void)pthread_mutex_unlock(&ctx->live->lock);
    }
}

/* ---- pages of other sites ---- */

static bool listed(const char *origins, const char *origin)
{
    size_t size = strlen(origin);

    for (const char *at = origins; *at != '\0';) {
        size_t word = strcspn(at, " ");

        if (word == size && memcmp(at, origin, size) == 0) {
            return true;
        }
        at += word + strspn(at + word, " ");
    }
    return false;
}

bool api_live_origin(const struct api_context *ctx, const char *origin)
{
    bool found;

    if (ctx->live == NULL || origin[0] == '\0') {
        return false;
    }
    (void)pthread_mutex_lock(&ctx->live->lock);
    found = listed(ctx->live->origins, origin);
    (void)pthread_mutex_unlock(&ctx->live->lock);
    return found;
}

bool api_live_any_origin(const struct api_context *ctx)
{
    bool any;

    if (ctx->live == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&ctx->live->lock);
    any = ctx->live->origins[0] != '\0';
    (void)pthread_mutex_unlock(&ctx->live->lock);
    return any;
}

/* ---- counting ---- */

static const struct {
    const char *name;
    uint32_t min;
} traffics[] = {
    [API_TRAFFIC_PLAIN] = {"requests", 0},
    [API_TRAFFIC_JOIN] = {"joins", 600},
    [API_TRAFFIC_RECEIVER] = {"reports", 600},
    [API_TRAFFIC_CONTENT] = {"requests for content", 60000},
    [API_TRAFFIC_FALSE] = {"false receiver tokens", 600},
};

static uint32_t allowed(const struct api_context *ctx, enum api_traffic traffic)
{
    uint32_t per_minute;

    (void)pthread_mutex_lock(&ctx->live->lock);
    per_minute = ctx->live->per_minute;
    (void)pthread_mutex_unlock(&ctx->live->lock);
    return per_minute > 0 && per_minute < traffics[traffic].min ? traffics[traffic].min
                                                                : per_minute;
}

static void name_of(enum api_traffic traffic, const char *whose, const char *who,
                    char ret_name[NAME_SIZE])
{
    (void)snprintf(ret_name, NAME_SIZE, "%d %s %s", (int)traffic, whose, who);
}

static enum cp_err count(const struct api_context *ctx, enum api_traffic traffic, const char *whose,
                         const char *who, struct cp_error *err)
{
    uint32_t per_minute = allowed(ctx, traffic);
    uint32_t wait_s = 0;
    char name[NAME_SIZE];

    name_of(traffic, whose, who, name);
    if (api_limit_take(ctx->live->limit, name, per_minute, cp_clock_now(), &wait_s)) {
        return CP_OK;
    }
    (void)cp_error_set(err, CP_ERR_TOO_MANY_REQUESTS,
                       "More than %u %s a minute came from this %s: send them more slowly, or "
                       "raise 'requests_per_minute' in the distribution point's settings.",
                       (unsigned)per_minute, traffics[traffic].name, whose);
    err->retry_after_s = wait_s;
    return CP_ERR_TOO_MANY_REQUESTS;
}

/* One customer has a /64 of IPv6, and could take another address of it for each request. */
static void address_of(const struct api_request *rq, char ret_text[NAME_SIZE])
{
    size_t size = 0;
    int colons = 0;

    (void)snprintf(ret_text, NAME_SIZE, "%s", rq->remote != NULL ? rq->remote : "");
    if (strchr(ret_text, ':') == NULL) {
        return;
    }
    while (ret_text[size] != '\0' && colons < 4) {
        colons += ret_text[size] == ':';
        /* "::" stands for zeros up to the end of the prefix, or beyond */
        if (ret_text[size] == ':' && ret_text[size + 1] == ':') {
            break;
        }
        size++;
    }
    ret_text[size > 0 && ret_text[size - 1] == ':' ? size - 1 : size] = '\0';
}

bool api_live_has_receiver_token(const struct api_request *rq)
{
    static const char scheme[] = "Bearer ";
    const char *header = api_request_header(rq, "Authorization");

    if (header == NULL || strncasecmp(header, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    header += sizeof scheme - 1;
    header += strspn(header, " ");
    return strncmp(header, KEYS_TOKEN_RECEIVER, sizeof KEYS_TOKEN_RECEIVER - 1) == 0;
}

enum cp_err api_live_count_address(const struct api_context *ctx, const struct api_request *rq,
                                   enum api_traffic traffic, struct cp_error *err)
{
    char address[NAME_SIZE];

    if (ctx->live == NULL) {
        return CP_OK;
    }
    address_of(rq, address);
    return count(ctx, traffic, "address", address, err);
}

void api_live_not_false(const struct api_context *ctx, const struct api_request *rq)
{
    char address[NAME_SIZE];
    char name[NAME_SIZE];

    if (ctx->live != NULL) {
        address_of(rq, address);
        name_of(API_TRAFFIC_FALSE, "address", address, name);
        api_limit_give(ctx->live->limit, name, allowed(ctx, API_TRAFFIC_FALSE), cp_clock_now());
    }
}

enum cp_err api_live_count_who(const struct api_context *ctx, const struct api_principal *who,
                               enum api_traffic traffic, struct cp_error *err)
{
    if (ctx->live == NULL) {
        return CP_OK;
    }
    if (who->receiver_id[0] != '\0') {
        return count(ctx, traffic, "join", who->receiver_id, err);
    }
    return who->account_id[0] != '\0' ? count(ctx, traffic, "account", who->account_id, err)
                                      : CP_OK;
}
