/* SPDX-License-Identifier: Apache-2.0
 * SQL of receivers' progress, many reports in one statement, and of the sweep for lost ones. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "db/receiver_row.h"

#define BATCH_MAX     1000
#define COLUMN_COUNT  11
#define NUMBER_LENGTH 21 /* 20 digits and a comma */

/* Channel and payload are those of db/listener.h. A receiver that moved to HTTPS goes on reporting
 * figures but never makes its session wait again; the first reason stays: one that the service left
 * behind may have seen the session's end before it was told. */
#define NOTIFY                                                                                     \
    " SELECT pg_notify('castpoint_receivers', node_id || ' ' || session_id) FROM"                  \
    " (SELECT DISTINCT node_id, session_id FROM changed WHERE session_id IS NOT NULL"              \
    " AND left_now) gone"

static const struct db_stmt progress_stmt = {
    "receiver_progress",
    "WITH report AS (SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[],"
    "   $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],"
    "   $11::bigint[]) AS t (id, state, reason, bytes_done, bytes_total, bytes_multicast,"
    "   bytes_repair, bytes_https, rate_bps, loss_ppm, nacks)),"
    " old AS (SELECT r.id, r.state FROM receivers r JOIN report USING (id)"
    "   WHERE r.result_at IS NULL ORDER BY r.id FOR UPDATE OF r),"
    " changed AS (UPDATE receivers r SET"
    "   state = CASE WHEN old.state = 'moved' AND report.state IN " DB_ACTIVE_RECEIVER
    "     THEN 'moved' ELSE report.state END,"
    "   reason = CASE WHEN old.state = 'moved' AND (report.state = 'moved' OR report.state "
    "IN " DB_ACTIVE_RECEIVER ") THEN r.reason ELSE report.reason END,"
    "   bytes_done = report.bytes_done, bytes_total = report.bytes_total,"
    "   bytes_multicast = report.bytes_multicast, bytes_repair = report.bytes_repair,"
    "   bytes_https = report.bytes_https, rate_bps = report.rate_bps, loss_ppm = report.loss_ppm,"
    "   nacks = report.nacks, updated_at = clock_timestamp()"
    "   FROM report JOIN old ON old.id = report.id WHERE r.id = report.id"
    "   RETURNING r.node_id, r.session_id, old.state IN " DB_ACTIVE_RECEIVER
    "     AND r.state NOT IN " DB_ACTIVE_RECEIVER " AS left_now)" NOTIFY};

/* Each asks for its own session: a join would be planned over all of them when ten thousand
 * receivers are at work. */
static const struct db_stmt sweep_stmt = {
    "receiver_sweep",
    "WITH silent AS (SELECT r.id FROM receivers r"
    "   WHERE r.node_id = $1 AND r.state IN " DB_ACTIVE_RECEIVER
    "   AND r.updated_at < clock_timestamp() - $2 * interval '1 millisecond'"
    "   AND NOT coalesce((SELECT s.state = 'waiting'"
    "     AND s.starts_at > clock_timestamp() - $2 * interval '1 millisecond'"
    "     FROM sessions s WHERE s.id = r.session_id), false)"
    "   ORDER BY r.id FOR UPDATE OF r),"
    " changed AS (UPDATE receivers r SET state = 'lost', reason = $3, rate_bps = 0 FROM silent"
    "   WHERE r.id = silent.id RETURNING r.node_id, r.session_id, true AS left_now),"
    " told AS MATERIALIZED (" NOTIFY ")"
    " SELECT (SELECT count(*) FROM changed), (SELECT count(*) FROM told)"};

struct sweep_row {
    uint64_t lost;
    uint64_t sessions;
};

/* Text of eleven arrays, one after the other in one block. */
struct arrays {
    char *text[COLUMN_COUNT];
    size_t at[COLUMN_COUNT];
};

static size_t array_size(size_t column, size_t count)
{
    size_t each = NUMBER_LENGTH;

    if (column == 0) {
        each = DB_ID_SIZE + 2; /* two quotes and a comma for the NUL */
    } else if (column == 1) {
        each = DB_NAME_SIZE;
    } else if (column == 2) {
        each = 2 * DB_CODE_SIZE + 3; /* every character may need a backslash */
    }
    return count * each + 3;
}

static char *arrays_init(struct arrays *a, size_t count)
{
    size_t total = 0;
    char *block;

    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        total += array_size(i, count);
    }
    block = malloc(total);
    if (block == NULL) {
        return NULL;
    }
    total = 0;
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        a->text[i] = block + total;
        a->text[i][0] = '{';
        a->at[i] = 1;
        total += array_size(i, count);
    }
    return block;
}

/* Reports come from clients: an element is always quoted. */
static void add_text(struct arrays *a, size_t column, const char *text)
{
    char *out = a->text[column];
    size_t at = a->at[column];

    out[at++] = '"';
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            out[at++] = '\\';
        }
        out[at++] = *c;
    }
    out[at++] = '"';
    out[at++] = ',';
    a->at[column] = at;
}

static void add_number(struct arrays *a, size_t column, uint64_t number)
{
    uint64_t bounded = number > INT64_MAX ? INT64_MAX : number;

    a->at[column] += (size_t)snprintf(a->text[column] + a->at[column], NUMBER_LENGTH + 1,
                                      "%" PRIu64 ",", bounded);
}

static void add_report(struct arrays *a, const struct db_receiver_report *report)
{
    const struct db_progress *p = &report->progress;

    add_text(a, 1, db_receiver_state_name(p->state));
    add_text(a, 2, p->reason);
    add_number(a, 3, p->bytes_done);
    add_number(a, 4, p->bytes_total);
    add_number(a, 5, p->bytes_multicast);
    add_number(a, 6, p->bytes_repair);
    add_number(a, 7, p->bytes_https);
    add_number(a, 8, p->rate_bps);
    add_number(a, 9, p->loss_ppm > 1000000 ? 1000000 : p->loss_ppm);
    add_number(a, 10, p->nacks);
}

enum cp_err db_receiver_progress(struct db_conn *conn, const struct db_receiver_report *reports,
                                 size_t count, struct cp_error *err)
{
    struct db_param params[COLUMN_COUNT];
    struct arrays arrays;
    enum cp_err rc;
    char *block;

    CP_ASSERT(count <= BATCH_MAX);
    if (count == 0) {
        return CP_OK;
    }
    block = arrays_init(&arrays, count);
    if (block == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "storing progress");
    }
    for (size_t i = 0; i < count; i++) {
        CP_ASSERT(db_is_uuid(reports[i].id));
        add_text(&arrays, 0, reports[i].id);
        add_report(&arrays, &reports[i]);
    }
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        /* The last comma becomes the closing brace. */
        arrays.text[i][arrays.at[i] - 1] = '}';
        arrays.text[i][arrays.at[i]] = '\0';
        params[i] = db_p_text(arrays.text[i]);
    }
    rc = db_do(conn, DB_COMMAND(&progress_stmt, params), NULL, err);
    free(block);
    return rc;
}

enum cp_err db_receiver_sweep(struct db_conn *conn, const char *node_id, uint64_t silence_ms,
                              const char *code, uint64_t *ret_count, struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_INT(sweep_row, lost),
                                         DB_COL_INT(sweep_row, sessions)};
    struct db_param params[] = {db_p_id(node_id), db_p_u64(silence_ms), db_p_text(code)};
    struct sweep_row row;

    CP_TRY(db_one(conn, DB_QUERY(&sweep_stmt, params, cols), &row, err));
    *ret_count = row.lost;
    return CP_OK;
}
