/* SPDX-License-Identifier: Apache-2.0
 * SQL of what a session's sender knows of its receivers, and of those that it leaves behind. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "db/names.h"
#include "db/receiver_row.h"

#define BATCH_MAX 1000
/* {"n":4294967295,"l":1000000,"r":<19>,"a":<19>,"s":false,"o":false,"b":false}, */
#define ITEM_SIZE 128

static const struct db_stmt seen_stmt = {
    "receiver_seen",
    "WITH seen AS (SELECT r.id, t.* FROM json_to_recordset($2::json) AS t (n bigint, l integer,"
    "   r bigint, a bigint, s boolean, o boolean, b boolean) JOIN receivers r"
    "   ON r.session_id = $1 AND r.norm_node_id = t.n ORDER BY r.id FOR UPDATE OF r)"
    " UPDATE receivers r SET seen_at = clock_timestamp(), seen_loss_ppm = seen.l,"
    "   seen_rate_bps = seen.r, seen_asked = seen.a, seen_slow = seen.s, seen_outlier = seen.o,"
    "   seen_over_budget = seen.b FROM seen WHERE r.id = seen.id"};
static const struct db_stmt drop_stmt = {
    "receiver_drop", "UPDATE receivers SET state = 'moved', reason = $3, detail = $4"
                     " WHERE session_id = $1 AND norm_node_id = $2 AND result_at IS NULL"
                     " AND state IN " DB_ACTIVE_RECEIVER " RETURNING id"};

struct id_row {
    char id[DB_ID_SIZE];
};

static uint64_t bounded(uint64_t number)
{
    return number > INT64_MAX ? INT64_MAX : number;
}

static const char *boolean(bool value)
{
    return value ? "true" : "false";
}

/* Numbers only: nothing in it needs quoting. */
static char *to_json(const struct db_seen_report *reports, size_t count)
{
    size_t size = count * ITEM_SIZE + 3;
    char *text = malloc(size);
    size_t at = 1;

    if (text == NULL) {
        return NULL;
    }
    text[0] = '[';
    for (size_t i = 0; i < count; i++) {
        const struct db_seen *s = &reports[i].seen;

        at += (size_t)snprintf(text + at, size - at,
                               "{\"n\":%" PRIu32 ",\"l\":%" PRIu32 ",\"r\":%" PRIu64
                               ",\"a\":%" PRIu64 ",\"s\":%s,\"o\":%s,\"b\":%s}%s",
                               reports[i].norm_node_id, s->loss_ppm, bounded(s->rate_bps),
                               bounded(s->asked), boolean(s->slow), boolean(s->outlier),
                               boolean(s->over_budget), i + 1 < count ? "," : "");
        CP_ASSERT(at < size - 1);
    }
    text[at++] = ']';
    text[at] = '\0';
    return text;
}

enum cp_err db_receiver_seen(struct db_conn *conn, const char *session_id,
                             const struct db_seen_report *reports, size_t count,
                             struct cp_error *err)
{
    enum cp_err rc;
    char *text;

    CP_ASSERT(count <= BATCH_MAX);
    if (count == 0) {
        return CP_OK;
    }
    text = to_json(reports, count);
    if (text == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "storing what the sender knows");
    }
    {
        struct db_param params[] = {db_p_id(session_id), db_p_text(text)};

        rc = db_do(conn, DB_COMMAND(&seen_stmt, params), NULL, err);
    }
    free(text);
    return rc;
}

enum cp_err db_receiver_drop(struct db_conn *conn, const struct db_receiver_dropped *in,
                             struct db_receiver *ret_receiver, bool *ret_changed,
                             struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_TEXT(id_row, id)};
    struct db_param params[] = {db_p_id(in->session_id), db_p_u64(in->norm_node_id),
                                db_p_text(in->code), db_p_text(in->detail)};
    struct db_receiver receiver;
    struct id_row row;
    enum cp_err rc = db_one(conn, DB_QUERY(&drop_stmt, params, cols), &row, err);

    if (rc == CP_ERR_NOT_FOUND) {
        *ret_changed = false;
        return CP_OK;
    }
    CP_TRY(rc);
    CP_TRY(db_receiver_get(conn, row.id, &receiver, err));
    CP_TRY(db_receiver_notify(conn, &receiver, err));
    *ret_receiver = receiver;
    *ret_changed = true;
    return CP_OK;
}
