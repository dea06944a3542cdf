/* SPDX-License-Identifier: Apache-2.0
 * Receivers: one row per join, in a session or (HTTPS only) in none. */
#ifndef DB_RECEIVER_H
#define DB_RECEIVER_H

#include "db/db.h"
#include "db/session.h"
#include "db/version.h"

enum db_receiver_state {
    DB_RECEIVER_JOINED,
    DB_RECEIVER_RECEIVING,
    DB_RECEIVER_REPAIRING,
    DB_RECEIVER_VERIFYING,
    DB_RECEIVER_DONE,
    DB_RECEIVER_MOVED, /* left multicast for HTTPS; the session does not wait for it */
    DB_RECEIVER_FAILED,
    DB_RECEIVER_LOST, /* no sign of life */
    DB_RECEIVER_STATE_COUNT
};

const char *db_receiver_state_name(enum db_receiver_state state);
bool db_receiver_state_parse(const char *text, enum db_receiver_state *ret_state);
/* joined, receiving, repairing or verifying: the session waits for it */
bool db_receiver_active(enum db_receiver_state state);

struct db_progress {
    enum db_receiver_state state;
    char reason[DB_CODE_SIZE]; /* code, for moved, failed, lost; else "" */
    uint64_t bytes_done, bytes_total, bytes_multicast, bytes_repair, bytes_https;
    uint64_t rate_bps;
    uint32_t loss_ppm;
    uint64_t nacks;
};

/* What the sender of its session knows of a receiver, from its feedback. */
struct db_seen {
    uint64_t at; /* when it last changed, 0: not heard yet; not an input */
    uint32_t loss_ppm;
    uint64_t rate_bps; /* received */
    uint64_t asked;    /* repair symbols */
    bool slow;         /* its own buffers fill */
    bool outlier;      /* left out of the choice of the pace */
    bool over_budget;  /* not served any more */
};

struct db_receiver {
    char id[DB_ID_SIZE]; /* the join's id */
    char node_id[DB_ID_SIZE];
    char session_id[DB_ID_SIZE]; /* "": HTTPS only */
    char version_id[DB_ID_SIZE];
    char package[DB_NAME_SIZE];
    uint32_t version;
    char account_id[DB_ID_SIZE]; /* "": anonymous */
    char account[DB_NAME_SIZE];
    char client_id[65];
    char client_name[DB_NAME_SIZE];
    char client_version[32];
    char address[DB_ADDRESS_SIZE];
    uint32_t norm_node_id; /* 0 without session */
    struct db_progress progress;
    struct db_seen seen;
    char detail[DB_TEXT_SIZE]; /* a sentence with a failed result, or why it was left behind */
    uint64_t duration_ms;      /* from the result */
    char correlation_id[DB_NAME_SIZE];
    uint64_t joined_at, updated_at, result_at;
    uint64_t expires_at; /* of its token */
    bool expired;
    /* state of its session, to tell it to leave; only with session_id */
    enum db_session_state session_state;
    char session_end_code[DB_CODE_SIZE];
    char session_end_detail[DB_TEXT_SIZE];
};

struct db_receiver_new {
    const char *node_id;
    const char *session_id; /* NULL: HTTPS only */
    const char *version_id;
    const char *account_id; /* NULL or "": anonymous */
    const char *client_id;
    const char *client_name;
    const char *client_version;
    const char *address;
    const char *correlation_id;
    const uint8_t *token_hash; /* DB_HASH_SIZE bytes */
    uint64_t lifetime_ms;      /* expires_at = now + this */
};

/* Inserts a join, or gives the client (same client_id, version, account and session) its place back:
 * same id, state joined, progress kept, new token. With a session: a node id never given out before
 * in it (the session's row must be locked, as db_session_find_or_create leaves it); NOTIFY
 * DB_CHANNEL_RECEIVERS. *ret_rejoined: the place was given back. */
CP_MUST_CHECK enum cp_err db_receiver_join(struct db_conn *conn, const struct db_receiver_new *in,
                                           struct db_receiver *ret_receiver, bool *ret_rejoined,
                                           struct cp_error *err);

/* CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_receiver_get(struct db_conn *conn, const char *id,
                                          struct db_receiver *ret_receiver, struct cp_error *err);

/* By the hash of its token; look at `expired`. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_receiver_find(struct db_conn *conn, const uint8_t hash[DB_HASH_SIZE],
                                           struct db_receiver *ret_receiver, struct cp_error *err);

/* Of a session, by id, those after `after` ("" from the start), at most limit. */
CP_MUST_CHECK enum cp_err db_receiver_list(struct db_conn *conn, const char *session_id,
                                           const char *after, size_t limit,
                                           struct db_receiver *ret_items, size_t *ret_count,
                                           struct cp_error *err);

/* The same, of those in one state (word; NULL: all). */
struct db_receiver_filter {
    const char *session_id;
    const char *state;
    const char *after;
};
CP_MUST_CHECK enum cp_err db_receiver_page(struct db_conn *conn,
                                           const struct db_receiver_filter *filter, size_t limit,
                                           struct db_receiver *ret_items, size_t *ret_count,
                                           struct cp_error *err);

/* A report of one receiver, for the batch. */
struct db_receiver_report {
    char id[DB_ID_SIZE];
    struct db_progress progress;
};

/* Stores up to 1000 reports in one statement; receivers that have a result keep it. A receiver that
 * was lost comes back by reporting an active state. NOTIFY DB_CHANNEL_RECEIVERS for each session in
 * which a receiver stopped being active. */
CP_MUST_CHECK enum cp_err db_receiver_progress(struct db_conn *conn,
                                               const struct db_receiver_report *reports,
                                               size_t count, struct cp_error *err);

/* What the sender knows of a receiver, for the batch. */
struct db_seen_report {
    uint32_t norm_node_id;
    struct db_seen seen;
};

/* Stores up to 1000 of them in one statement; unknown node ids are passed over. */
CP_MUST_CHECK enum cp_err db_receiver_seen(struct db_conn *conn, const char *session_id,
                                           const struct db_seen_report *reports, size_t count,
                                           struct cp_error *err);

struct db_receiver_dropped {
    const char *session_id;
    uint32_t norm_node_id;
    const char *code; /* of the catalogue */
    const char *detail;
};

/* An active receiver → moved, with code and sentence: its next progress report tells it to leave
 * multicast. NOTIFY DB_CHANNEL_RECEIVERS. *ret_changed false: it is not active any more, or there is
 * no such receiver; *ret_receiver is untouched then. */
CP_MUST_CHECK enum cp_err db_receiver_drop(struct db_conn *conn,
                                           const struct db_receiver_dropped *in,
                                           struct db_receiver *ret_receiver, bool *ret_changed,
                                           struct cp_error *err);

struct db_receiver_result {
    bool done;          /* false: failed */
    const char *code;   /* failed: of the catalogue; else NULL */
    const char *detail; /* or NULL */
    uint64_t bytes_total, bytes_multicast, bytes_repair, bytes_https;
    uint64_t duration_ms, rate_bps;
    uint32_t loss_ppm;
    uint64_t nacks; /* never fewer than were reported */
};

/* The first result counts; later ones change nothing (*ret_changed false). CP_ERR_NOT_FOUND. A
 * receiver that got something by multicast counts as seen from then on, with its own figures where
 * the sender's have not come. NOTIFY DB_CHANNEL_RECEIVERS. */
CP_MUST_CHECK enum cp_err db_receiver_result(struct db_conn *conn, const char *id,
                                             const struct db_receiver_result *result,
                                             bool *ret_changed, struct cp_error *err);

/* Active receivers of the node's live sessions without a report for silence_ms → lost, code
 * `code`. A waiting session's receivers are silent by nature until it starts: they count from
 * starts_at. NOTIFY as above. */
CP_MUST_CHECK enum cp_err db_receiver_sweep(struct db_conn *conn, const char *node_id,
                                            uint64_t silence_ms, const char *code,
                                            uint64_t *ret_count, struct cp_error *err);

#endif
