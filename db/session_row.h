/* SPDX-License-Identifier: Apache-2.0
 * Inside db/ only: the row of a session, shared by session.c and session_state.c. */
#ifndef DB_SESSION_ROW_H
#define DB_SESSION_ROW_H

#include "db/session.h"
#include "db/sql.h"

#define DB_ACTIVE_RECEIVER "('joined', 'receiving', 'repairing', 'verifying')"

#define DB_SESSION_SELECT                                                                          \
    "SELECT s.id, s.node_id, s.version_id, p.name, v.number, s.state, host(s.group_address),"      \
    " s.port, s.starts_at, s.started_at, s.ended_at, s.secret_sealed, s.instance_id,"              \
    " s.next_node_id, s.object_id, s.fec_id, s.segment_size, s.max_block_len, s.num_parity,"       \
    " s.content_size, s.object_size, s.encrypt, s.bytes_sent, s.packets_sent, s.bytes_repair,"     \
    " s.nacks, s.rate_bps, s.bytes_position, s.forged, s.end_code, s.end_detail,"                  \
    " r.joined, r.active, r.done, r.failed, r.moved, r.lost, s.created_at, s.mac,"                 \
    " s.rate_control, s.rate_start_percent, s.slow_share_percent, s.rate_ceiling_bps,"             \
    " s.rate_reason, s.pace_setter, s.auto_parity, s.over_budget, ps.id, ps.client_name"           \
    " FROM sessions s JOIN versions v ON v.id = s.version_id"                                      \
    " JOIN packages p ON p.id = v.package_id LEFT JOIN receivers ps ON ps.session_id = s.id"       \
    " AND ps.norm_node_id = s.pace_setter, LATERAL (SELECT count(*) AS joined,"                    \
    " count(*) FILTER (WHERE state IN " DB_ACTIVE_RECEIVER ") AS active,"                          \
    " count(*) FILTER (WHERE state = 'done') AS done,"                                             \
    " count(*) FILTER (WHERE state = 'failed') AS failed,"                                         \
    " count(*) FILTER (WHERE state = 'moved') AS moved,"                                           \
    " count(*) FILTER (WHERE state = 'lost') AS lost"                                              \
    " FROM receivers WHERE session_id = s.id) r"

#define DB_SESSION_COLS 49
extern const struct db_col db_session_cols[DB_SESSION_COLS];

/* NOTIFY DB_CHANNEL_SESSIONS of this session. */
CP_MUST_CHECK enum cp_err db_session_notify(struct db_conn *conn, const char *node_id,
                                            const char *session_id, struct cp_error *err);

#endif
