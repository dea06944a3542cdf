/* SPDX-License-Identifier: Apache-2.0
 * Running sessions and their shares. */
#include "server/runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "common/clock.h"
#include "common/log.h"
#include "db/settings.h"
#include "server/array.h"
#include "server/http_throttle.h"
#include "server/link.h"
#include "server/run.h"
#include "server/share.h"

#define SHARE_EVERY CP_SEC

void srv_runs_init(struct srv_runs *rs, const struct api_context *api, int wake_fd)
{
    *rs = (struct srv_runs){.api = api, .wake_fd = wake_fd};
}

void srv_runs_done(struct srv_runs *rs)
{
    for (size_t i = 0; i < rs->count; i++) {
        srv_run_free(rs->items[i]);
    }
    free(rs->items);
    free(rs->wants);
    free(rs->shares);
}

/* ---- shares ---- */

/* Divides among those that are there and `more` that want all; shares[count] is a newcomer's. Who
 * gets less is told first, so that the sum never passes the ceiling. */
static void divide(struct srv_runs *rs, size_t more)
{
    for (size_t i = 0; i < rs->count; i++) {
        rs->wants[i] = srv_run_use(rs->items[i])->want_bps;
    }
    for (size_t i = 0; i < more; i++) {
        rs->wants[rs->count + i] = SRV_SHARE_ALL;
    }
    srv_share_divide(rs->ceiling_bps, rs->wants, rs->count + more, rs->shares);
    for (int grow = 0; grow < 2; grow++) {
        for (size_t i = 0; i < rs->count; i++) {
            uint64_t old = srv_run_use(rs->items[i])->share_bps;

            if (grow ? rs->shares[i] > old : rs->shares[i] < old) {
                srv_run_grant(rs->items[i], rs->shares[i]);
            }
        }
    }
}

void srv_runs_share(struct srv_runs *rs, cp_time now)
{
    if (now < rs->share_at || rs->count == 0) {
        return;
    }
    rs->share_at = now + SHARE_EVERY;
    for (size_t i = 0; i < rs->count; i++) {
        srv_run_sample(rs->items[i], now);
    }
    divide(rs, 0);
}

/* ---- the ceiling ---- */

struct settings_arg {
    const char *node_id;
    struct db_settings settings;
};

static enum cp_err settings_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct settings_arg *a = arg;

    return db_settings_get(conn, a->node_id, &a->settings, err);
}

static uint64_t ceiling_of(const struct db_settings *s)
{
    char interface[SRV_INTERFACE_SIZE] = "";

    (void)snprintf(interface, sizeof interface, "%s", s->interface);
    if (interface[0] == '\0' && srv_link_by_route(s->address_first, interface) != CP_OK) {
        interface[0] = '\0';
    }
    return srv_link_ceiling(s->rate_ceiling_bps, srv_link_speed(interface));
}

static void set_https_ceiling(struct srv_runs *rs, uint64_t bps)
{
    if (bps != rs->https_ceiling_bps) {
        srv_throttle_set(rs->throttle, bps);
        cp_log(CP_LOG_INFO, "https-rate-ceiling", "bps", cp_log_u64(bps), "before",
               cp_log_u64(rs->https_ceiling_bps), NULL);
        rs->https_ceiling_bps = bps;
    }
}

enum cp_err srv_runs_read_ceiling(struct srv_runs *rs, struct cp_error *err)
{
    struct settings_arg a = {.node_id = rs->api->node_id};
    uint64_t ceiling;

    CP_TRY(db_run_read(rs->api->db, "read-ceiling", settings_body, &a, err));
    set_https_ceiling(rs, a.settings.https_rate_ceiling_bps);
    ceiling = ceiling_of(&a.settings);
    if (ceiling == rs->ceiling_bps) {
        return CP_OK;
    }
    cp_log(CP_LOG_INFO, "rate-ceiling", "bps", cp_log_u64(ceiling), "before",
           cp_log_u64(rs->ceiling_bps), "sessions", cp_log_u64(rs->count), NULL);
    rs->ceiling_bps = ceiling;
    divide(rs, 0);
    return CP_OK;
}

/* ---- the list ---- */

static enum cp_err make_room(struct srv_runs *rs)
{
    size_t room = rs->room == 0 ? 16 : 2 * rs->room;

    if (rs->count + 1 <= rs->room) {
        return CP_OK;
    }
    if (!srv_array_resize(&rs->items, room, sizeof(struct srv_run *)) ||
        !srv_array_resize(&rs->wants, room, sizeof *rs->wants) ||
        !srv_array_resize(&rs->shares, room, sizeof *rs->shares)) {
        return CP_ERR_NO_MEMORY;
    }
    rs->room = room;
    return CP_OK;
}

enum cp_err srv_runs_add(struct srv_runs *rs, const struct db_session *session,
                         struct cp_error *err)
{
    enum cp_err rc;

    if (make_room(rs) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "the list of sessions");
    }
    divide(rs, 1);
    rc = srv_run_new(rs->api, session, rs->wake_fd, rs->shares[rs->count], &rs->items[rs->count]);
    if (rc != CP_OK) {
        divide(rs, 0);
        return cp_error_set(err, rc, "session %s: no thread for its engine", session->id);
    }
    rs->count++;
    return CP_OK;
}

void srv_runs_remove(struct srv_runs *rs, size_t index)
{
    srv_run_free(rs->items[index]);
    rs->items[index] = rs->items[--rs->count];
    divide(rs, 0);
}

struct srv_run *srv_runs_find(const struct srv_runs *rs, const char *session_id)
{
    for (size_t i = 0; i < rs->count; i++) {
        if (strcmp(srv_run_session_id(rs->items[i]), session_id) == 0) {
            return rs->items[i];
        }
    }
    return NULL;
}

void srv_runs_touch_all(struct srv_runs *rs)
{
    for (size_t i = 0; i < rs->count; i++) {
        srv_run_touch(rs->items[i]);
    }
}

cp_time srv_runs_next_time(const struct srv_runs *rs)
{
    cp_time next = rs->count > 0 ? rs->share_at : CP_TIME_NEVER;

    for (size_t i = 0; i < rs->count; i++) {
        next = cp_time_min(next, srv_run_next_round(rs->items[i]));
    }
    return next;
}
