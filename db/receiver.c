/* SPDX-License-Identifier: Apache-2.0
 * SQL of receivers: joining, reading, the result. Progress in batches is in receiver_progress.c. */
#include "db/receiver.h"

#include <string.h>

#include "db/listener.h"
#include "db/names.h"
#include "db/receiver_row.h"

#define SELECT                                                                                     \
    "SELECT r.id, r.node_id, r.session_id, r.version_id, p.name, v.number, r.account_id,"          \
    " r.account_name, r.client_id, r.client_name, r.client_version, r.address, r.norm_node_id,"    \
    " r.state, r.reason, r.bytes_done, r.bytes_total, r.bytes_multicast, r.bytes_repair,"          \
    " r.bytes_https, r.rate_bps, r.loss_ppm, r.nacks, r.detail, r.duration_ms, r.correlation_id,"  \
    " r.joined_at, r.updated_at, r.result_at, r.expires_at, r.expires_at <= clock_timestamp(),"    \
    " coalesce(s.state, 'waiting'), s.end_code, s.end_detail, r.seen_at, r.seen_loss_ppm,"         \
    " r.seen_rate_bps, r.seen_asked, r.seen_slow, r.seen_outlier, r.seen_over_budget"              \
    " FROM receivers r JOIN versions v ON v.id = r.version_id"                                     \
    " JOIN packages p ON p.id = v.package_id LEFT JOIN sessions s ON s.id = r.session_id"

static const struct db_stmt get_stmt = {"receiver_get", SELECT " WHERE r.id = $1"};
static const struct db_stmt find_stmt = {"receiver_find", SELECT " WHERE r.token_hash = $1"};
static const struct db_stmt list_stmt = {
    "receiver_list", SELECT " WHERE r.session_id = $1 AND r.id > $2"
                            " AND ($4::text IS NULL OR r.state = $4) ORDER BY r.id LIMIT $3"};
#define NO_ID "00000000-0000-0000-0000-000000000000" /* before all that are made at random */
static const struct db_stmt node_id_stmt = {
    "receiver_node_id", "UPDATE sessions SET next_node_id = next_node_id + 1,"
                        " anonymous_joined = anonymous_joined OR $2 WHERE id = $1"
                        " RETURNING next_node_id - 1"};
static const struct db_stmt account_stmt = {"receiver_account",
                                            "SELECT name FROM accounts WHERE id = $1"};
/* Without a session there is no row to lock: joins of the same client take turns by this. */
static const struct db_stmt client_lock_stmt = {
    "receiver_client_lock",
    "SELECT pg_advisory_xact_lock(hashtextextended('castpoint client ' || $1, 0))"};
static const struct db_stmt same_stmt = {
    "receiver_same",
    "SELECT id FROM receivers WHERE version_id = $1 AND client_id = $2 AND account_name = $3"
    " AND session_id IS NOT DISTINCT FROM $4 AND node_id = $5 AND (session_id IS NOT NULL"
    "   OR result_at IS NULL) ORDER BY joined_at DESC LIMIT 1 FOR UPDATE"};
static const struct db_stmt insert_stmt = {
    "receiver_insert",
    "INSERT INTO receivers (node_id, session_id, version_id, account_id, account_name, client_id,"
    " client_name, client_version, address, norm_node_id, token_hash, expires_at, correlation_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
    " now() + $12 * interval '1 millisecond', $13) RETURNING id"};
static const struct db_stmt again_stmt = {
    "receiver_again",
    "UPDATE receivers SET client_name = $2, client_version = $3, address = $4, norm_node_id = $5,"
    " token_hash = $6, expires_at = now() + $7 * interval '1 millisecond', correlation_id = $8,"
    " account_id = $9, state = 'joined', reason = '', detail = '', result_at = NULL,"
    " joined_at = now(), updated_at = now(), seen_at = NULL, seen_loss_ppm = 0, seen_rate_bps = 0,"
    " seen_asked = 0, seen_slow = false, seen_outlier = false, seen_over_budget = false"
    " WHERE id = $1"};
/* Content came by multicast, as first sent or by repairs, and no feedback to the database. */
#define UNSEEN "(seen_at IS NULL AND session_id IS NOT NULL AND $6::bigint + $7::bigint > 0)"

/* The result may be sent again when its answer was lost; soon the token has done its work. Of a
 * receiver that was done before anybody looked at its feedback, its own figures are known. */
static const struct db_stmt result_stmt = {
    "receiver_result",
    "UPDATE receivers SET state = $2, reason = $3, detail = $4, bytes_total = $5,"
    " bytes_done = CASE WHEN $2 = 'done' THEN $5 ELSE bytes_done END, bytes_multicast = $6,"
    " bytes_repair = $7, bytes_https = $8, duration_ms = $9, rate_bps = $10, loss_ppm = $11,"
    " nacks = greatest(nacks, $12), expires_at = least(expires_at, now() + interval '10 minutes'),"
    " seen_at = CASE WHEN " UNSEEN " THEN now() ELSE seen_at END,"
    " seen_rate_bps = CASE WHEN " UNSEEN " THEN $10 ELSE seen_rate_bps END,"
    " seen_loss_ppm = CASE WHEN " UNSEEN " THEN $11::bigint ELSE seen_loss_ppm END,"
    " result_at = now(), updated_at = now() WHERE id = $1 AND result_at IS NULL"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_receiver, id),
    DB_COL_TEXT(db_receiver, node_id),
    DB_COL_TEXT(db_receiver, session_id),
    DB_COL_TEXT(db_receiver, version_id),
    DB_COL_TEXT(db_receiver, package),
    DB_COL_INT(db_receiver, version),
    DB_COL_TEXT(db_receiver, account_id),
    DB_COL_TEXT(db_receiver, account),
    DB_COL_TEXT(db_receiver, client_id),
    DB_COL_TEXT(db_receiver, client_name),
    DB_COL_TEXT(db_receiver, client_version),
    DB_COL_TEXT(db_receiver, address),
    DB_COL_INT(db_receiver, norm_node_id),
    DB_COL_ENUM(db_receiver, progress.state, &db_receiver_state_names),
    DB_COL_TEXT(db_receiver, progress.reason),
    DB_COL_INT(db_receiver, progress.bytes_done),
    DB_COL_INT(db_receiver, progress.bytes_total),
    DB_COL_INT(db_receiver, progress.bytes_multicast),
    DB_COL_INT(db_receiver, progress.bytes_repair),
    DB_COL_INT(db_receiver, progress.bytes_https),
    DB_COL_INT(db_receiver, progress.rate_bps),
    DB_COL_INT(db_receiver, progress.loss_ppm),
    DB_COL_INT(db_receiver, progress.nacks),
    DB_COL_TEXT(db_receiver, detail),
    DB_COL_INT(db_receiver, duration_ms),
    DB_COL_TEXT(db_receiver, correlation_id),
    DB_COL_TIME(db_receiver, joined_at),
    DB_COL_TIME(db_receiver, updated_at),
    DB_COL_TIME(db_receiver, result_at),
    DB_COL_TIME(db_receiver, expires_at),
    DB_COL_BOOL(db_receiver, expired),
    DB_COL_ENUM(db_receiver, session_state, &db_session_state_names),
    DB_COL_TEXT(db_receiver, session_end_code),
    DB_COL_TEXT(db_receiver, session_end_detail),
    DB_COL_TIME(db_receiver, seen.at),
    DB_COL_INT(db_receiver, seen.loss_ppm),
    DB_COL_INT(db_receiver, seen.rate_bps),
    DB_COL_INT(db_receiver, seen.asked),
    DB_COL_BOOL(db_receiver, seen.slow),
    DB_COL_BOOL(db_receiver, seen.outlier),
    DB_COL_BOOL(db_receiver, seen.over_budget),
};

struct join_row {
    char id[DB_ID_SIZE];
    char account[DB_NAME_SIZE];
    uint32_t norm_node_id;
};
static const struct db_col join_id_cols[] = {DB_COL_TEXT(join_row, id)};

enum cp_err db_receiver_notify(struct db_conn *conn, const struct db_receiver *r,
                               struct cp_error *err)
{
    char payload[2 * DB_ID_SIZE];

    if (r->session_id[0] == '\0') {
        return CP_OK;
    }
    (void)snprintf(payload, sizeof payload, "%s %s", r->node_id, r->session_id);
    return db_notify(conn, DB_CHANNEL_RECEIVERS, payload, err);
}

static enum cp_err account_name(struct db_conn *conn, const char *account_id, struct join_row *join,
                                struct cp_error *err)
{
    static const struct db_col name_cols[] = {DB_COL_TEXT(join_row, account)};
    struct db_param params[] = {db_p_id(account_id)};
    enum cp_err rc;

    join->account[0] = '\0';
    if (account_id == NULL || account_id[0] == '\0') {
        return CP_OK;
    }
    rc = db_one(conn, DB_QUERY(&account_stmt, params, name_cols), join, err);
    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_AUTH_FAILED, "the account was deleted");
    }
    return rc;
}

/* A node id is never given out twice in a session: see docs/protocol.md §6. Notes also who is about
 * to learn the session's secret. */
static enum cp_err next_node_id(struct db_conn *conn, const char *session_id, struct join_row *join,
                                struct cp_error *err)
{
    static const struct db_col node_cols[] = {DB_COL_INT(join_row, norm_node_id)};
    struct db_param params[] = {db_p_id(session_id), db_p_bool(join->account[0] == '\0')};
    enum cp_err rc = db_one(conn, DB_QUERY(&node_id_stmt, params, node_cols), join, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, rc, "no session '%s'", session_id);
    }
    return rc;
}

static enum cp_err insert(struct db_conn *conn, const struct db_receiver_new *in,
                          struct join_row *join, struct cp_error *err)
{
    struct db_param params[] = {
        db_p_id(in->node_id),
        db_p_some(in->session_id),
        db_p_id(in->version_id),
        db_p_some(in->account_id),
        db_p_text(join->account),
        db_p_text(in->client_id),
        db_p_text(in->client_name),
        db_p_text(in->client_version),
        db_p_text(in->address),
        in->session_id != NULL ? db_p_u64(join->norm_node_id) : db_p_text(NULL),
        db_p_bytes(in->token_hash, DB_HASH_SIZE),
        db_p_u64(in->lifetime_ms),
        db_p_text(in->correlation_id),
    };

    return db_one(conn, DB_QUERY(&insert_stmt, params, join_id_cols), join, err);
}

static enum cp_err join_again(struct db_conn *conn, const struct db_receiver_new *in,
                              const struct join_row *join, struct cp_error *err)
{
    struct db_param params[] = {
        db_p_id(join->id),
        db_p_text(in->client_name),
        db_p_text(in->client_version),
        db_p_text(in->address),
        in->session_id != NULL ? db_p_u64(join->norm_node_id) : db_p_text(NULL),
        db_p_bytes(in->token_hash, DB_HASH_SIZE),
        db_p_u64(in->lifetime_ms),
        db_p_text(in->correlation_id),
        db_p_some(in->account_id),
    };

    return db_do(conn, DB_COMMAND(&again_stmt, params), NULL, err);
}

enum cp_err db_receiver_join(struct db_conn *conn, const struct db_receiver_new *in,
                             struct db_receiver *ret_receiver, bool *ret_rejoined,
                             struct cp_error *err)
{
    struct db_param client[] = {db_p_text(in->client_id)};
    struct join_row join = {.norm_node_id = 0};
    struct db_receiver receiver;
    enum cp_err rc;

    CP_TRY(account_name(conn, in->account_id, &join, err));
    if (in->session_id != NULL) {
        CP_TRY(next_node_id(conn, in->session_id, &join, err));
    } else {
        CP_TRY(db_do(conn, DB_COMMAND(&client_lock_stmt, client), NULL, err));
    }
    {
        struct db_param params[] = {db_p_id(in->version_id), db_p_text(in->client_id),
                                    db_p_text(join.account), db_p_some(in->session_id),
                                    db_p_id(in->node_id)};

        rc = db_one(conn, DB_QUERY(&same_stmt, params, join_id_cols), &join, err);
    }
    if (rc == CP_ERR_NOT_FOUND) {
        CP_TRY(insert(conn, in, &join, err));
    } else {
        CP_TRY(rc);
        CP_TRY(join_again(conn, in, &join, err));
    }
    CP_TRY(db_receiver_get(conn, join.id, &receiver, err));
    CP_TRY(db_receiver_notify(conn, &receiver, err));
    *ret_receiver = receiver;
    *ret_rejoined = rc == CP_OK;
    return CP_OK;
}

enum cp_err db_receiver_get(struct db_conn *conn, const char *id, struct db_receiver *ret_receiver,
                            struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    enum cp_err rc = db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_receiver, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no join '%s'", id);
    }
    return rc;
}

enum cp_err db_receiver_find(struct db_conn *conn, const uint8_t hash[DB_HASH_SIZE],
                             struct db_receiver *ret_receiver, struct cp_error *err)
{
    struct db_param params[] = {db_p_bytes(hash, DB_HASH_SIZE)};
    enum cp_err rc = db_one(conn, DB_QUERY(&find_stmt, params, cols), ret_receiver, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "unknown receiver token");
    }
    return rc;
}

enum cp_err db_receiver_list(struct db_conn *conn, const char *session_id, const char *after,
                             size_t limit, struct db_receiver *ret_items, size_t *ret_count,
                             struct cp_error *err)
{
    const struct db_receiver_filter filter = {.session_id = session_id, .after = after};

    return db_receiver_page(conn, &filter, limit, ret_items, ret_count, err);
}

enum cp_err db_receiver_page(struct db_conn *conn, const struct db_receiver_filter *filter,
                             size_t limit, struct db_receiver *ret_items, size_t *ret_count,
                             struct cp_error *err)
{
    bool from_start = filter->after == NULL || filter->after[0] == '\0';
    struct db_param params[] = {db_p_id(filter->session_id),
                                db_p_id(from_start ? NO_ID : filter->after), db_p_u64(limit),
                                db_p_text(filter->state)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&list_stmt, params, cols), rows, err);
}

enum cp_err db_receiver_result(struct db_conn *conn, const char *id,
                               const struct db_receiver_result *result, bool *ret_changed,
                               struct cp_error *err)
{
    struct db_param params[] = {
        db_p_id(id),
        db_p_text(result->done ? "done" : "failed"),
        db_p_text(result->code != NULL ? result->code : ""),
        db_p_text(result->detail != NULL ? result->detail : ""),
        db_p_u64(result->bytes_total),
        db_p_u64(result->bytes_multicast),
        db_p_u64(result->bytes_repair),
        db_p_u64(result->bytes_https),
        db_p_u64(result->duration_ms),
        db_p_u64(result->rate_bps),
        db_p_u64(result->loss_ppm),
        db_p_u64(result->nacks),
    };
    struct db_receiver receiver;
    uint64_t changed;

    CP_TRY(db_do(conn, DB_COMMAND(&result_stmt, params), &changed, err));
    CP_TRY(db_receiver_get(conn, id, &receiver, err));
    if (changed > 0) {
        CP_TRY(db_receiver_notify(conn, &receiver, err));
    }
    *ret_changed = changed > 0;
    return CP_OK;
}
