/* SPDX-License-Identifier: Apache-2.0
 * Sessions: one multicast transmission of one version. Run joins and transitions with
 * db_run_tx_locking: they take the row locks that docs/protocol.md §8 asks for. */
#ifndef DB_SESSION_H
#define DB_SESSION_H

#include "db/db.h"
#include "db/settings.h"

enum db_session_state {
    DB_SESSION_WAITING,
    DB_SESSION_RUNNING,
    DB_SESSION_DRAINING, /* no more joins; receivers finish */
    DB_SESSION_FINISHED,
    DB_SESSION_FAILED,
    DB_SESSION_CANCELLED,
    DB_SESSION_INTERRUPTED, /* the process died */
    DB_SESSION_STATE_COUNT
};

/* "waiting", "running", … */
const char *db_session_state_name(enum db_session_state state);
bool db_session_state_parse(const char *text, enum db_session_state *ret_state);
/* finished, failed, cancelled or interrupted */
bool db_session_ended(enum db_session_state state);

/* What authenticates packets (multicast/session.h: enum mc_mac). */
enum db_mac { DB_MAC_HMAC_SHA256, DB_MAC_AES256_GMAC };

/* As in the ticket: "hmac-sha256-128", "aes-256-gmac". */
const char *db_mac_name(enum db_mac mac);

#define DB_WORD_SIZE 32 /* of a sender's words: "congestion" */

/* What the sender counted, absolute values, and how it stands. Rates: bits of UDP payload. */
struct db_session_stats {
    uint64_t bytes_sent; /* UDP payload, all packets */
    uint64_t packets_sent;
    uint64_t bytes_repair;   /* of bytes_sent: repair */
    uint64_t nacks;          /* received */
    uint64_t rate_bps;       /* at present */
    uint64_t bytes_position; /* object bytes sent for the first time */
    uint64_t forged;         /* packets dropped by authentication */
    uint64_t rate_ceiling_bps;
    char rate_reason[DB_WORD_SIZE]; /* why the rate is what it is; "" not known */
    uint32_t pace_setter;           /* norm_node_id of the receiver that decides the rate, 0 none */
    uint32_t auto_parity;           /* proactive parity symbols of a block */
    uint32_t over_budget;           /* receivers that are not served any more */
};

struct db_session {
    char id[DB_ID_SIZE];
    char node_id[DB_ID_SIZE];
    char version_id[DB_ID_SIZE];
    char package[DB_NAME_SIZE];
    uint32_t version; /* number */
    enum db_session_state state;
    char group[DB_ADDRESS_SIZE];
    uint16_t port;
    uint64_t starts_at; /* when a waiting one starts */
    uint64_t started_at, ended_at;
    uint8_t secret_sealed[DB_SEALED_SIZE];
    size_t secret_sealed_size;
    uint16_t instance_id;  /* NORM sender instance */
    uint32_t next_node_id; /* node id that the next join gets */
    uint16_t object_id;
    uint8_t fec_id;
    uint32_t segment_size, max_block_len, num_parity;
    uint64_t content_size, object_size;
    bool encrypt;
    enum db_mac mac;
    enum db_rate_control rate_control; /* these three: as the settings were at its start */
    uint32_t rate_start_percent;
    uint32_t slow_share_percent;
    struct db_session_stats stats;
    char pace_setter_id[DB_ID_SIZE]; /* the receiver behind stats.pace_setter, "" none */
    char pace_setter_name[DB_NAME_SIZE];
    char end_code[DB_CODE_SIZE]; /* "" or a code of the error catalogue */
    char end_detail[DB_TEXT_SIZE];
    uint32_t receivers, receivers_active, receivers_done, receivers_failed, receivers_moved,
        receivers_lost;
    uint64_t created_at;
};

/* A session to make if there is none to enter. The caller brings id and sealed secret so that the
 * seal can be bound to the id (db_uuid makes one). */
struct db_session_new {
    const char *id;
    const char *node_id;
    const char *version_id;
    const uint8_t *secret_sealed;
    size_t secret_sealed_size;
    uint16_t instance_id;
    uint16_t object_id;
    uint8_t fec_id;
    uint32_t segment_size, max_block_len, num_parity;
    uint64_t content_size, object_size;
    bool encrypt;
    enum db_mac mac;
    uint32_t gathering_delay_ms; /* starts_at = now + this */
};

/* The waiting or running session of this node and version, locked; else a new waiting one on a free
 * address and port of the node's configured ranges (with NOTIFY DB_CHANNEL_SESSIONS). Takes the
 * version's row lock first, so that concurrent joins make one session. *ret_created says which.
 * CP_ERR_ADDRESS_IN_USE: the ranges are used up. CP_ERR_VERSION_NOT_FOUND,
 * CP_ERR_VERSION_NOT_SEALED, CP_ERR_VERSION_RETIRED by the version's state under the lock. */
CP_MUST_CHECK enum cp_err db_session_find_or_create(struct db_conn *conn,
                                                    const struct db_session_new *in,
                                                    struct db_session *ret_session,
                                                    bool *ret_created, struct cp_error *err);

/* CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_session_get(struct db_conn *conn, const char *id,
                                         struct db_session *ret_session, struct cp_error *err);

struct db_session_filter {
    const char *node_id; /* NULL: all */
    const char *package; /* NULL: all */
    bool by_state;       /* only state `state` */
    enum db_session_state state;
    bool only_live; /* not ended */
};

/* Newest first; after: id of the last one seen, "" from the start. filter may be NULL. */
CP_MUST_CHECK enum cp_err db_session_list(struct db_conn *conn,
                                          const struct db_session_filter *filter, const char *after,
                                          size_t limit, struct db_session *ret_items,
                                          size_t *ret_count, struct cp_error *err);

/* Where a page of sessions begins; zeroed: at the newest. */
struct db_session_place {
    bool ascending;      /* by created_at; else the newest first */
    const char *after;   /* id of the last one seen; NULL or "": from the start */
    uint64_t after_time; /* and its created_at */
};
CP_MUST_CHECK enum cp_err db_session_page(struct db_conn *conn,
                                          const struct db_session_filter *filter,
                                          const struct db_session_place *place, size_t limit,
                                          struct db_session *ret_items, size_t *ret_count,
                                          struct cp_error *err);

/* Waiting sessions of the node whose starts_at has come, oldest first. *ret_wait_ms: until the next
 * waiting one is due, UINT64_MAX when there is none. */
CP_MUST_CHECK enum cp_err db_session_due(struct db_conn *conn, const char *node_id, size_t limit,
                                         struct db_session *ret_items, size_t *ret_count,
                                         uint64_t *ret_wait_ms, struct cp_error *err);

/* waiting → running with the control settings of this moment, and with a fresh instance_id if the caller wants another (0: keep).
 * CP_ERR_CONFLICT when it is not waiting any more (cancelled meanwhile). */
CP_MUST_CHECK enum cp_err db_session_start(struct db_conn *conn, const char *id,
                                           uint16_t instance_id, struct db_session *ret_session,
                                           struct cp_error *err);

/* A session that a former process of this node left running gets the next instance_id, so that
 * receivers see a new sender and no packet sequence number is used twice. CP_ERR_CONFLICT: it is
 * not running. */
CP_MUST_CHECK enum cp_err db_session_resume(struct db_conn *conn, const char *id,
                                            struct db_session *ret_session, struct cp_error *err);

/* running → draining: it takes no more joins. CP_ERR_CONFLICT when it is not running. */
CP_MUST_CHECK enum cp_err db_session_drain(struct db_conn *conn, const char *id,
                                           struct cp_error *err);

/* running or draining → finished, under the session's row lock, only when no receiver of it is
 * active; *ret_finished false: one is (it joined meanwhile), nothing changed. CP_ERR_CONFLICT: the
 * session is in another state. stats may be NULL. */
CP_MUST_CHECK enum cp_err db_session_finish(struct db_conn *conn, const char *id,
                                            const struct db_session_stats *stats,
                                            bool *ret_finished, struct cp_error *err);

/* Any state that has not ended → failed, cancelled or interrupted, with a code and a sentence.
 * *ret_changed false: it had ended before. NOTIFY DB_CHANNEL_SESSIONS. Its active receivers stay
 * as they are: their next progress report tells them to leave. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_session_end(struct db_conn *conn, const char *id,
                                         enum db_session_state state, const char *code,
                                         const char *detail, bool *ret_changed,
                                         struct cp_error *err);

/* Flushes the sender's counters of a session that has not ended. */
CP_MUST_CHECK enum cp_err db_session_set_stats(struct db_conn *conn, const char *id,
                                               const struct db_session_stats *stats,
                                               struct cp_error *err);

#endif
