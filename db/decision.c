/* SPDX-License-Identifier: Apache-2.0
 * SQL of senders' decisions: a ring of rows. */
#include "db/decision.h"

#include "db/sql.h"

_Static_assert(DB_DECISIONS_KEPT == 64, "the statement below and the table count on it");

static const struct db_stmt add_stmt = {
    "decision_add",
    "INSERT INTO session_decisions (session_id, slot, number, time, what, reason, norm_node_id,"
    "   value_before, value_after, loss_ppm, rate_bps)"
    " SELECT $1, n % 64, n, $2, $3, $4, $5, $6, $7, $8, $9 FROM (SELECT coalesce(max(number), 0) + "
    "1"
    "   AS n FROM session_decisions WHERE session_id = $1) next"
    " ON CONFLICT (session_id, slot) DO UPDATE SET number = excluded.number, time = excluded.time,"
    "   what = excluded.what, reason = excluded.reason, norm_node_id = excluded.norm_node_id,"
    "   value_before = excluded.value_before, value_after = excluded.value_after,"
    "   loss_ppm = excluded.loss_ppm, rate_bps = excluded.rate_bps"};
static const struct db_stmt list_stmt = {
    "decision_list",
    "SELECT d.number, d.time, d.what, d.reason, d.norm_node_id, d.value_before, d.value_after,"
    " d.loss_ppm, d.rate_bps, r.id, r.client_name FROM session_decisions d"
    " LEFT JOIN receivers r ON r.session_id = d.session_id AND r.norm_node_id = d.norm_node_id"
    " WHERE d.session_id = $1 AND ($2 = 0 OR d.number < $2)"
    " AND ($4::text IS NULL OR d.what = $4) ORDER BY d.number DESC LIMIT $3"};

static const struct db_col cols[] = {
    DB_COL_INT(db_decision, number),       DB_COL_TIME(db_decision, time),
    DB_COL_TEXT(db_decision, what),        DB_COL_TEXT(db_decision, reason),
    DB_COL_INT(db_decision, norm_node_id), DB_COL_INT(db_decision, before),
    DB_COL_INT(db_decision, after),        DB_COL_INT(db_decision, loss_ppm),
    DB_COL_INT(db_decision, rate_bps),     DB_COL_TEXT(db_decision, receiver_id),
    DB_COL_TEXT(db_decision, client_name),
};

/* A number of the engine's that no column holds says "very large". */
static uint64_t bounded(uint64_t number)
{
    return number > INT64_MAX ? INT64_MAX : number;
}

enum cp_err db_decision_add(struct db_conn *conn, const char *session_id,
                            const struct db_decision *decision, struct cp_error *err)
{
    const struct db_decision *d = decision;
    struct db_param params[] = {
        db_p_id(session_id),         db_p_time(d->time),        db_p_text(d->what),
        db_p_text(d->reason),        db_p_u64(d->norm_node_id), db_p_u64(bounded(d->before)),
        db_p_u64(bounded(d->after)), db_p_u64(d->loss_ppm),     db_p_u64(bounded(d->rate_bps)),
    };

    return db_do(conn, DB_COMMAND(&add_stmt, params), NULL, err);
}

enum cp_err db_decision_list(struct db_conn *conn, const struct db_decision_list *list,
                             size_t limit, struct db_decision *ret_items, size_t *ret_count,
                             struct cp_error *err)
{
    struct db_param params[] = {db_p_id(list->session_id), db_p_u64(bounded(list->before)),
                                db_p_u64(limit), db_p_text(list->what)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&list_stmt, params, cols), rows, err);
}
