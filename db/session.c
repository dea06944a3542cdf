/* SPDX-License-Identifier: Apache-2.0
 * SQL of sessions: making, reading, listing. The transitions are in session_state.c. */
#include "db/session.h"

#include <string.h>

#include "db/listener.h"
#include "db/names.h"
#include "db/session_row.h"
#include "db/version.h"

static const struct db_stmt get_stmt = {"session_get", DB_SESSION_SELECT " WHERE s.id = $1"};
static const struct db_stmt list_stmt = {
    "session_list", DB_SESSION_SELECT
    " WHERE ($1::uuid IS NULL OR s.node_id = $1) AND ($2::text IS NULL OR p.name = $2)"
    " AND ($3::text IS NULL OR s.state = $3) AND (NOT $4 OR s.ended_at IS NULL)"
    " AND ($5::uuid IS NULL OR (s.created_at, s.id) <"
    "   (SELECT x.created_at, x.id FROM sessions x WHERE x.id = $5))"
    " ORDER BY s.created_at DESC, s.id DESC LIMIT $6"};
#define PAGE(name, place, order)                                                                   \
    {                                                                                              \
        "session_page_" name, DB_SESSION_SELECT                                                    \
            " WHERE ($1::uuid IS NULL OR s.node_id = $1) AND ($2::text IS NULL OR p.name = $2)"    \
            " AND ($3::text IS NULL OR s.state = $3) AND (NOT $4 OR s.ended_at IS NULL)"           \
            " AND (s.created_at, s.id) " place " ($5::timestamptz, $6::uuid) ORDER BY " order      \
            " LIMIT $7"                                                                            \
    }
static const struct db_stmt page_stmts[2] = {
    PAGE("down", "<", "s.created_at DESC, s.id DESC"),
    PAGE("up", ">", "s.created_at, s.id"),
};
static const struct db_stmt lock_version_stmt = {
    "session_lock_version", "SELECT state FROM versions WHERE id = $1 FOR NO KEY UPDATE"};
static const struct db_stmt open_stmt = {
    "session_open", "SELECT id FROM sessions WHERE node_id = $1 AND version_id = $2"
                    " AND state IN ('waiting', 'running') FOR NO KEY UPDATE"};
/* Sessions of different versions must not pick the same address at the same time. */
static const struct db_stmt address_lock_stmt = {
    "session_address_lock",
    "SELECT pg_advisory_xact_lock(hashtextextended('castpoint session addresses', 0))"};
/* Candidates go through all addresses with the first port, then with the second one, because
 * switches tell groups apart by address. With n live sessions one of the first n + 1 is free. */
static const struct db_stmt create_stmt = {
    "session_create",
    "WITH ranges AS (SELECT address_first, address_last - address_first + 1 AS addresses,"
    "   port_first, port_last - port_first + 1 AS ports FROM settings WHERE node_id = $2),"
    " candidates AS (SELECT n, address_first + n % addresses AS address,"
    "   port_first + (n / addresses)::integer AS port FROM ranges, generate_series(0,"
    "   least(addresses * ports, (SELECT count(*) + 1 FROM sessions WHERE ended_at IS NULL)) - 1)"
    "   AS n)"
    " INSERT INTO sessions (id, node_id, version_id, group_address, port, starts_at, secret_sealed,"
    "   instance_id, object_id, fec_id, segment_size, max_block_len, num_parity, content_size,"
    "   object_size, encrypt, mac)"
    " SELECT $1, $2, $3, address, port, now() + $4 * interval '1 millisecond', $5, $6, $7, $8, $9,"
    "   $10, $11, $12, $13, $14, $15"
    " FROM candidates c WHERE NOT EXISTS (SELECT 1 FROM sessions x WHERE x.ended_at IS NULL"
    "   AND x.group_address = c.address AND x.port = c.port) ORDER BY n LIMIT 1"};
static const struct db_stmt due_stmt = {"session_due", DB_SESSION_SELECT
                                        " WHERE s.node_id = $1 AND s.state = 'waiting'"
                                        " AND s.starts_at <= clock_timestamp()"
                                        " ORDER BY s.starts_at, s.id LIMIT $2"};
static const struct db_stmt wait_stmt = {
    "session_wait",
    "SELECT ceil(extract(epoch FROM min(starts_at) - clock_timestamp()) * 1000)::bigint"
    " FROM sessions WHERE node_id = $1 AND state = 'waiting' AND starts_at > clock_timestamp()"
    " HAVING count(*) > 0"};

const struct db_col db_session_cols[DB_SESSION_COLS] = {
    DB_COL_TEXT(db_session, id),
    DB_COL_TEXT(db_session, node_id),
    DB_COL_TEXT(db_session, version_id),
    DB_COL_TEXT(db_session, package),
    DB_COL_INT(db_session, version),
    DB_COL_ENUM(db_session, state, &db_session_state_names),
    DB_COL_TEXT(db_session, group),
    DB_COL_INT(db_session, port),
    DB_COL_TIME(db_session, starts_at),
    DB_COL_TIME(db_session, started_at),
    DB_COL_TIME(db_session, ended_at),
    DB_COL_BYTES(db_session, secret_sealed, secret_sealed_size),
    DB_COL_INT(db_session, instance_id),
    DB_COL_INT(db_session, next_node_id),
    DB_COL_INT(db_session, object_id),
    DB_COL_INT(db_session, fec_id),
    DB_COL_INT(db_session, segment_size),
    DB_COL_INT(db_session, max_block_len),
    DB_COL_INT(db_session, num_parity),
    DB_COL_INT(db_session, content_size),
    DB_COL_INT(db_session, object_size),
    DB_COL_BOOL(db_session, encrypt),
    DB_COL_INT(db_session, stats.bytes_sent),
    DB_COL_INT(db_session, stats.packets_sent),
    DB_COL_INT(db_session, stats.bytes_repair),
    DB_COL_INT(db_session, stats.nacks),
    DB_COL_INT(db_session, stats.rate_bps),
    DB_COL_INT(db_session, stats.bytes_position),
    DB_COL_INT(db_session, stats.forged),
    DB_COL_TEXT(db_session, end_code),
    DB_COL_TEXT(db_session, end_detail),
    DB_COL_INT(db_session, receivers),
    DB_COL_INT(db_session, receivers_active),
    DB_COL_INT(db_session, receivers_done),
    DB_COL_INT(db_session, receivers_failed),
    DB_COL_INT(db_session, receivers_moved),
    DB_COL_INT(db_session, receivers_lost),
    DB_COL_TIME(db_session, created_at),
    DB_COL_ENUM(db_session, mac, &db_mac_names),
    DB_COL_ENUM(db_session, rate_control, &db_rate_control_names),
    DB_COL_INT(db_session, rate_start_percent),
    DB_COL_INT(db_session, slow_share_percent),
    DB_COL_INT(db_session, stats.rate_ceiling_bps),
    DB_COL_TEXT(db_session, stats.rate_reason),
    DB_COL_INT(db_session, stats.pace_setter),
    DB_COL_INT(db_session, stats.auto_parity),
    DB_COL_INT(db_session, stats.over_budget),
    DB_COL_TEXT(db_session, pace_setter_id),
    DB_COL_TEXT(db_session, pace_setter_name),
};

struct state_row {
    enum db_version_state state;
};

enum cp_err db_session_get(struct db_conn *conn, const char *id, struct db_session *ret_session,
                           struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    enum cp_err rc = db_one(conn, DB_QUERY(&get_stmt, params, db_session_cols), ret_session, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no session '%s'", id);
    }
    return rc;
}

enum cp_err db_session_list(struct db_conn *conn, const struct db_session_filter *filter,
                            const char *after, size_t limit, struct db_session *ret_items,
                            size_t *ret_count, struct cp_error *err)
{
    static const struct db_session_filter all = {.node_id = NULL};
    const struct db_session_filter *f = filter != NULL ? filter : &all;
    struct db_param params[] = {
        db_p_some(f->node_id),
        db_p_some(f->package),
        db_p_text(f->by_state ? db_session_state_name(f->state) : NULL),
        db_p_bool(f->only_live),
        db_p_id(after),
        db_p_u64(limit),
    };
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY_FRESH(&list_stmt, params, db_session_cols), rows, err);
}

/* Before the first row and behind the last one. */
#define TIME_FIRST 1000                                    /* 1970 */
#define TIME_LAST  ((uint64_t)8 * 1000000000 * 1000000000) /* 2223 */
#define NO_ID      "00000000-0000-0000-0000-000000000000"

enum cp_err db_session_page(struct db_conn *conn, const struct db_session_filter *f,
                            const struct db_session_place *place, size_t limit,
                            struct db_session *ret_items, size_t *ret_count, struct cp_error *err)
{
    bool from_start = place->after == NULL || place->after[0] == '\0';
    uint64_t edge = place->ascending ? TIME_FIRST : TIME_LAST;
    struct db_param params[] = {
        db_p_some(f->node_id),
        db_p_some(f->package),
        db_p_text(f->by_state ? db_session_state_name(f->state) : NULL),
        db_p_bool(f->only_live),
        db_p_time(from_start ? edge : place->after_time),
        db_p_id(from_start ? NO_ID : place->after),
        db_p_u64(limit),
    };
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY_FRESH(&page_stmts[place->ascending], params, db_session_cols),
                   rows, err);
}

/* Joins of one version queue up here. */
static enum cp_err lock_version(struct db_conn *conn, const char *version_id, struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_ENUM(state_row, state, &db_version_state_names)};
    struct db_param params[] = {db_p_id(version_id)};
    struct state_row row;
    enum cp_err rc = db_one(conn, DB_QUERY(&lock_version_stmt, params, cols), &row, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_FOUND, "the version was deleted");
    }
    CP_TRY(rc);
    switch (row.state) {
    case DB_VERSION_DRAFT:
        return cp_error_set(err, CP_ERR_VERSION_NOT_SEALED, "the version is a draft");
    case DB_VERSION_RETIRED:
        return cp_error_set(err, CP_ERR_VERSION_RETIRED, "the version is retired");
    case DB_VERSION_SEALED:
        break;
    }
    return CP_OK;
}

static enum cp_err create(struct db_conn *conn, const struct db_session_new *in,
                          struct cp_error *err)
{
    struct db_param params[] = {
        db_p_id(in->id),
        db_p_id(in->node_id),
        db_p_id(in->version_id),
        db_p_u64(in->gathering_delay_ms),
        db_p_bytes(in->secret_sealed, in->secret_sealed_size),
        db_p_u64(in->instance_id),
        db_p_u64(in->object_id),
        db_p_u64(in->fec_id),
        db_p_u64(in->segment_size),
        db_p_u64(in->max_block_len),
        db_p_u64(in->num_parity),
        db_p_u64(in->content_size),
        db_p_u64(in->object_size),
        db_p_bool(in->encrypt),
        db_p_text(db_mac_name(in->mac)),
    };
    uint64_t inserted;

    CP_TRY(db_do(conn, (struct db_query){.stmt = &address_lock_stmt}, NULL, err));
    CP_TRY(db_do(conn, DB_COMMAND(&create_stmt, params), &inserted, err));
    if (inserted == 0) {
        return cp_error_set(err, CP_ERR_ADDRESS_IN_USE,
                            "every address and port of the configured ranges is in use");
    }
    return db_session_notify(conn, in->node_id, in->id, err);
}

enum cp_err db_session_find_or_create(struct db_conn *conn, const struct db_session_new *in,
                                      struct db_session *ret_session, bool *ret_created,
                                      struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_TEXT(db_session, id)};
    struct db_param params[] = {db_p_id(in->node_id), db_p_id(in->version_id)};
    struct db_session open;
    enum cp_err rc;
    bool created;

    CP_TRY(lock_version(conn, in->version_id, err));
    rc = db_one(conn, DB_QUERY(&open_stmt, params, cols), &open, err);
    created = rc == CP_ERR_NOT_FOUND;
    if (created) {
        CP_TRY(create(conn, in, err));
    } else {
        CP_TRY(rc);
    }
    CP_TRY(db_session_get(conn, created ? in->id : open.id, ret_session, err));
    *ret_created = created;
    return CP_OK;
}

struct wait_row {
    uint64_t wait_ms;
};

enum cp_err db_session_due(struct db_conn *conn, const char *node_id, size_t limit,
                           struct db_session *ret_items, size_t *ret_count, uint64_t *ret_wait_ms,
                           struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_INT(wait_row, wait_ms)};
    struct db_param params[] = {db_p_id(node_id), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};
    struct wait_row row = {.wait_ms = UINT64_MAX};
    enum cp_err rc;

    rc = db_one(
        conn,
        (struct db_query){
            .stmt = &wait_stmt, .params = params, .param_count = 1, .cols = cols, .col_count = 1},
        &row, err);
    if (rc != CP_OK && rc != CP_ERR_NOT_FOUND) {
        return rc;
    }
    CP_TRY(db_many(conn, DB_QUERY(&due_stmt, params, db_session_cols), rows, err));
    *ret_wait_ms = row.wait_ms;
    return CP_OK;
}
