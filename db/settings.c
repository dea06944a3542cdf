/* SPDX-License-Identifier: Apache-2.0
 * SQL of a distribution point's settings. */
#include "db/settings.h"

#include <stdio.h>

#include "db/listener.h"
#include "db/names.h"

#define COLUMNS                                                                                    \
    "node_id, multicast_enabled, host(address_first), host(address_last), port_first, port_last,"  \
    " interface, ttl, rate_ceiling_bps, gathering_delay_ms, content_access,"                       \
    " rate_control, rate_start_percent, slow_share_percent, jumbo_frames,"                         \
    " https_rate_ceiling_bps, login_failures, login_lockout_s,"                                    \
    " library_grace_hours, library_validate_days, library_validate_rate_bps, history_days,"        \
    " library_quota_bytes, library_reserve_bytes, upload_expiry_hours, key_rotation_days,"         \
    " key_overlap_hours, key_repair, requests_per_minute, cors_origins, revision, updated_at"

static const struct db_stmt get_stmt = {"settings_get",
                                        "SELECT " COLUMNS " FROM settings WHERE node_id = $1"};
static const struct db_stmt lock_stmt = {
    "settings_lock", "SELECT " COLUMNS " FROM settings WHERE node_id = $1 FOR UPDATE"};
static const struct db_stmt update_stmt = {
    "settings_update",
    "UPDATE settings SET multicast_enabled = $2, address_first = $3, address_last = $4,"
    " port_first = $5, port_last = $6, interface = $7, ttl = $8, rate_ceiling_bps = "
    "nullif($9::bigint, 0),"
    " gathering_delay_ms = $10, content_access = $11, rate_control = $12, rate_start_percent = $13,"
    " slow_share_percent = $14, jumbo_frames = $15, https_rate_ceiling_bps = nullif($16::bigint, "
    "0), "
    "login_failures = $17, login_lockout_s = $18, "
    "library_grace_hours = $19, "
    "library_validate_days = $20, library_validate_rate_bps = nullif($21::bigint, 0), "
    "history_days = $22, library_quota_bytes = nullif($23::bigint, 0), library_reserve_bytes = "
    "$24, "
    "upload_expiry_hours = $25, key_rotation_days = $26, key_overlap_hours = $27, key_repair = $28,"
    " requests_per_minute = $29, cors_origins = $30,"
    " revision = revision + 1, updated_at = now()"
    " WHERE node_id = $1 RETURNING " COLUMNS};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_settings, node_id),
    DB_COL_BOOL(db_settings, multicast_enabled),
    DB_COL_TEXT(db_settings, address_first),
    DB_COL_TEXT(db_settings, address_last),
    DB_COL_INT(db_settings, port_first),
    DB_COL_INT(db_settings, port_last),
    DB_COL_TEXT(db_settings, interface),
    DB_COL_INT(db_settings, ttl),
    DB_COL_INT(db_settings, rate_ceiling_bps),
    DB_COL_INT(db_settings, gathering_delay_ms),
    DB_COL_ENUM(db_settings, content_access, &db_access_names),
    DB_COL_ENUM(db_settings, rate_control, &db_rate_control_names),
    DB_COL_INT(db_settings, rate_start_percent),
    DB_COL_INT(db_settings, slow_share_percent),
    DB_COL_BOOL(db_settings, jumbo_frames),
    DB_COL_INT(db_settings, https_rate_ceiling_bps),
    DB_COL_INT(db_settings, login_failures),
    DB_COL_INT(db_settings, login_lockout_s),
    DB_COL_INT(db_settings, library_grace_hours),
    DB_COL_INT(db_settings, library_validate_days),
    DB_COL_INT(db_settings, library_validate_rate_bps),
    DB_COL_INT(db_settings, history_days),
    DB_COL_INT(db_settings, library_quota_bytes),
    DB_COL_INT(db_settings, library_reserve_bytes),
    DB_COL_INT(db_settings, upload_expiry_hours),
    DB_COL_INT(db_settings, key_rotation_days),
    DB_COL_INT(db_settings, key_overlap_hours),
    DB_COL_BOOL(db_settings, key_repair),
    DB_COL_INT(db_settings, requests_per_minute),
    DB_COL_TEXT(db_settings, cors_origins),
    DB_COL_INT(db_settings, revision),
    DB_COL_TIME(db_settings, updated_at),
};

static enum cp_err select_one(struct db_conn *conn, const struct db_stmt *stmt, const char *node_id,
                              struct db_settings *ret_settings, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id)};
    enum cp_err rc = db_one(conn, DB_QUERY(stmt, params, cols), ret_settings, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no distribution point '%s'", node_id);
    }
    return rc;
}

enum cp_err db_settings_get(struct db_conn *conn, const char *node_id,
                            struct db_settings *ret_settings, struct cp_error *err)
{
    return select_one(conn, &get_stmt, node_id, ret_settings, err);
}

enum cp_err db_configuration_hold(struct db_conn *conn, struct cp_error *err)
{
    static const struct db_stmt hold_stmt = {
        "configuration_hold",
        "LOCK TABLE settings, packages, accounts, webhooks IN SHARE ROW EXCLUSIVE MODE"};

    return db_do(conn, (struct db_query){.stmt = &hold_stmt}, NULL, err);
}

enum cp_err db_settings_update(struct db_conn *conn, const struct db_settings *s,
                               struct db_settings *ret_settings, struct cp_error *err)
{
    struct db_param params[] = {
        db_p_id(s->node_id),
        db_p_bool(s->multicast_enabled),
        db_p_text(s->address_first),
        db_p_text(s->address_last),
        db_p_u64(s->port_first),
        db_p_u64(s->port_last),
        db_p_text(s->interface),
        db_p_u64(s->ttl),
        db_p_u64(s->rate_ceiling_bps),
        db_p_u64(s->gathering_delay_ms),
        db_p_text(db_access_name(s->content_access)),
        db_p_text(db_rate_control_name(s->rate_control)),
        db_p_u64(s->rate_start_percent),
        db_p_u64(s->slow_share_percent),
        db_p_bool(s->jumbo_frames),
        db_p_u64(s->https_rate_ceiling_bps),
        db_p_u64(s->login_failures),
        db_p_u64(s->login_lockout_s),
        db_p_u64(s->library_grace_hours),
        db_p_u64(s->library_validate_days),
        db_p_u64(s->library_validate_rate_bps),
        db_p_u64(s->history_days),
        db_p_u64(s->library_quota_bytes),
        db_p_u64(s->library_reserve_bytes),
        db_p_u64(s->upload_expiry_hours),
        db_p_u64(s->key_rotation_days),
        db_p_u64(s->key_overlap_hours),
        db_p_bool(s->key_repair),
        db_p_u64(s->requests_per_minute),
        db_p_text(s->cors_origins),
    };
    struct db_settings present;
    char payload[2 * DB_ID_SIZE];

    CP_TRY(select_one(conn, &lock_stmt, s->node_id, &present, err));
    CP_TRY(db_revision_check(s->revision, present.revision, "settings", err));
    (void)snprintf(payload, sizeof payload, "%s settings", s->node_id);
    CP_TRY(db_notify(conn, DB_CHANNEL_SETTINGS, payload, err));
    return db_one(conn, DB_QUERY(&update_stmt, params, cols), ret_settings, err);
}
