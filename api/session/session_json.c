/* SPDX-License-Identifier: Apache-2.0
 * JSON of sessions and receivers. */
#include "api/session/session_json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/framework/resource.h"
#include "db/event_json.h"

static json_t *end_json(const struct db_session *s)
{
    if (s->end_code[0] == '\0') {
        return json_null();
    }
    return json_pack("{s:s, s:s}", "code", s->end_code, "detail", s->end_detail);
}

static json_t *counts_json(const struct db_session *s)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "total", (json_int_t)s->receivers, "active",
                     (json_int_t)s->receivers_active, "done", (json_int_t)s->receivers_done,
                     "failed", (json_int_t)s->receivers_failed, "moved",
                     (json_int_t)s->receivers_moved, "lost", (json_int_t)s->receivers_lost);
}

static json_t *stats_json(const struct db_session_stats *s)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "bytes_sent", (json_int_t)s->bytes_sent,
                     "packets_sent", (json_int_t)s->packets_sent, "bytes_repair",
                     (json_int_t)s->bytes_repair, "nacks", (json_int_t)s->nacks, "rate_bps",
                     (json_int_t)s->rate_bps, "bytes_position", (json_int_t)s->bytes_position,
                     "forged", (json_int_t)s->forged);
}

/* How fast it goes and why. Rates are bits of UDP payload per second. */
static json_t *pace_json(const struct db_session *s)
{
    json_t *setter = json_null();

    if (s->pace_setter_id[0] != '\0') {
        setter = json_pack("{s:s, s:s, s:I}", "receiver", s->pace_setter_id, "client_name",
                           s->pace_setter_name, "node_id", (json_int_t)s->stats.pace_setter);
    }
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:I}", "control",
        db_rate_control_name(s->rate_control), "start_percent", (json_int_t)s->rate_start_percent,
        "slow_share_percent", (json_int_t)s->slow_share_percent, "rate_bps",
        (json_int_t)s->stats.rate_bps, "ceiling_bps", (json_int_t)s->stats.rate_ceiling_bps,
        "reason", api_json_text(s->stats.rate_reason), "set_by", setter, "auto_parity",
        (json_int_t)s->stats.auto_parity, "over_budget", (json_int_t)s->stats.over_budget);
}

json_t *api_session_json(const struct db_session *s)
{
    return json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:s, s:i, s:b, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
        " s:o}",
        "id", s->id, "distribution_point", s->node_id, "package", s->package, "version",
        (json_int_t)s->version, "state", db_session_state_name(s->state), "group", s->group, "port",
        (int)s->port, "encrypt", (int)s->encrypt, "mac", db_mac_name(s->mac), "content_size",
        (json_int_t)s->content_size, "object_size", (json_int_t)s->object_size, "receivers",
        counts_json(s), "stats", stats_json(&s->stats), "pace", pace_json(s), "end", end_json(s),
        "created_at", api_json_time(s->created_at), "starts_at", api_json_time(s->starts_at),
        "started_at", api_json_time(s->started_at), "ended_at", api_json_time(s->ended_at));
}

static json_t *progress_json(const struct db_progress *p)
{
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "state",
                     db_receiver_state_name(p->state), "reason", api_json_text(p->reason),
                     "bytes_done", (json_int_t)p->bytes_done, "bytes_total",
                     (json_int_t)p->bytes_total, "bytes_multicast", (json_int_t)p->bytes_multicast,
                     "bytes_repair", (json_int_t)p->bytes_repair, "bytes_https",
                     (json_int_t)p->bytes_https, "rate_bps", (json_int_t)p->rate_bps, "loss_ppm",
                     (json_int_t)p->loss_ppm, "nacks", (json_int_t)p->nacks);
}

/* What the sender knows of it; null while it has not been heard. */
static json_t *seen_json(const struct db_seen *s)
{
    if (s->at == 0) {
        return json_null();
    }
    return json_pack("{s:o, s:I, s:I, s:I, s:b, s:b, s:b}", "at", api_json_time(s->at), "loss_ppm",
                     (json_int_t)s->loss_ppm, "rate_bps", (json_int_t)s->rate_bps, "asked_symbols",
                     (json_int_t)s->asked, "slow", s->slow, "outlier", s->outlier, "over_budget",
                     s->over_budget);
}

json_t *api_receiver_json(const struct db_receiver *r)
{
    json_t *progress = progress_json(&r->progress);
    json_t *value = json_pack(
        "{s:s, s:o, s:s, s:I, s:s, s:s, s:s, s:s, s:o, s:I, s:o, s:o, s:I, s:s, s:o, s:o, s:o, "
        "s:o}",
        "id", r->id, "session", api_json_text(r->session_id), "package", r->package, "version",
        (json_int_t)r->version, "client_id", r->client_id, "client_name", r->client_name,
        "client_version", r->client_version, "address", r->address, "account",
        api_json_text(r->account), "node_id", (json_int_t)r->norm_node_id, "seen",
        seen_json(&r->seen), "detail", api_json_text(r->detail), "duration_ms",
        (json_int_t)r->duration_ms, "correlation_id", r->correlation_id, "joined_at",
        api_json_time(r->joined_at), "updated_at", api_json_time(r->updated_at), "result_at",
        api_json_time(r->result_at), "expires_at", api_json_time(r->expires_at));

    if (value != NULL && (progress == NULL || json_object_update(value, progress) != 0)) {
        json_decref(value);
        value = NULL;
    }
    json_decref(progress);
    return value;
}

/* Takes the detail over; NULL: memory was out. */
static enum cp_err write_event(struct db_conn *conn, const struct db_session *s, const char *kind,
                               json_t *detail, struct cp_error *err)
{
    struct db_event *event = calloc(1, sizeof *event);
    enum cp_err rc;

    if (event == NULL) {
        json_decref(detail);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the event '%s'.", kind);
    }
    (void)snprintf(event->node_id, sizeof event->node_id, "%s", s->node_id);
    (void)snprintf(event->kind, sizeof event->kind, "%s", kind);
    (void)snprintf(event->subject, sizeof event->subject, "session %s", s->id);
    rc = db_event_set_detail(event, detail)
             ? db_event_add(conn, event, err)
             : cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the event '%s'.", kind);
    free(event);
    return rc;
}

enum cp_err api_session_event(struct db_conn *conn, const struct db_session *s, const char *kind,
                              enum cp_err code, const char *text, struct cp_error *err)
{
    json_t *detail = json_pack("{s:s, s:I, s:s, s:i}", "package", s->package, "version",
                               (json_int_t)s->version, "group", s->group, "port", (int)s->port);

    if (detail != NULL && code != CP_OK) {
        (void)json_object_set_new(detail, "code", json_string(cp_err_info(code)->code));
        (void)json_object_set_new(detail, "text", json_string(text == NULL ? "" : text));
    }
    return write_event(conn, s, kind, detail, err);
}

enum cp_err api_slow_receiver_event(struct db_conn *conn, const struct db_session *s,
                                    const struct db_receiver *r, struct cp_error *err)
{
    json_t *detail = json_pack(
        "{s:s, s:I, s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I}", "package", s->package, "version",
        (json_int_t)s->version, "receiver", r->id, "client_name", r->client_name, "node_id",
        (json_int_t)r->norm_node_id, "text", r->detail, "asked_symbols", (json_int_t)r->seen.asked,
        "loss_ppm", (json_int_t)r->seen.loss_ppm, "rate_bps", (json_int_t)r->seen.rate_bps,
        "session_rate_bps", (json_int_t)s->stats.rate_bps);

    return write_event(conn, s, cp_err_info(CP_ERR_RECEIVER_TOO_SLOW)->code, detail, err);
}

json_t *api_decision_json(const struct db_decision *d)
{
    return json_pack("{s:I, s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:I}", "number",
                     (json_int_t)d->number, "time", api_json_time(d->time), "what", d->what,
                     "reason", api_json_text(d->reason), "before", (json_int_t)d->before, "after",
                     (json_int_t)d->after, "loss_ppm", (json_int_t)d->loss_ppm, "rate_bps",
                     (json_int_t)d->rate_bps, "receiver", api_json_text(d->receiver_id),
                     "client_name", api_json_text(d->client_name), "node_id",
                     (json_int_t)d->norm_node_id);
}
