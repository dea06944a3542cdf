/* SPDX-License-Identifier: Apache-2.0
 * Blobs: content by its SHA-256, shared by the files that have the same bytes. Triggers on files
 * count the references; a blob without any is collected after a while (content/blob_care.h). */
#ifndef DB_BLOB_H
#define DB_BLOB_H

#include "db/db.h"
#include "db/version.h"

/* What the last reading found; in the order of content/blob_care.h: enum blob_condition. */
enum db_blob_state {
    DB_BLOB_GOOD,
    DB_BLOB_MISSING,
    DB_BLOB_DAMAGED,
    DB_BLOB_SIZE_DIFFERS,
    DB_BLOB_STATE_COUNT
};

/* "good", "missing", "damaged", "size-differs". */
const char *db_blob_state_name(enum db_blob_state state);
bool db_blob_state_parse(const char *text, enum db_blob_state *ret_state);

struct db_blob {
    char sha256[DB_DIGEST_SIZE];
    uint64_t size;
    uint64_t references; /* files that have these bytes */
    enum db_blob_state state;
    uint64_t unused_since; /* 0 while a file has it */
    uint64_t checked_at;   /* 0: not read since it was stored */
    char checked_by[DB_ID_SIZE];
    uint64_t created_at; /* stored, or stored again */
};

/* CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_blob_get(struct db_conn *conn, const char *sha256,
                                      struct db_blob *ret_blob, struct cp_error *err);

/* CP_ERR_CONTENT_DAMAGED when these bytes cannot be had until they are uploaded again; what: names
 * them for people ("File 'a.wim'"). A blob without a row is the caller's business: CP_OK. */
CP_MUST_CHECK enum cp_err db_blob_usable(struct db_conn *conn, const char *sha256, const char *what,
                                         struct cp_error *err);

/* The bytes were just stored: makes the row, or makes it good again; one that was not is told by the
 * event content-healed. CP_ERR_STORAGE: it is known with another size. */
CP_MUST_CHECK enum cp_err db_blob_put(struct db_conn *conn, const char *sha256, uint64_t size,
                                      struct cp_error *err);

struct db_blob_filter {
    const enum db_blob_state *state; /* NULL: all */
    bool only_unused;
};

/* By digest, those after `after` ("" from the start), at most limit. */
CP_MUST_CHECK enum cp_err db_blob_list(struct db_conn *conn, const struct db_blob_filter *filter,
                                       const char *after, size_t limit, struct db_blob *ret_items,
                                       size_t *ret_count, struct cp_error *err);

/* One version that holds a blob, for the decision who may fetch it; it stands for all that have its
 * state, policy and access. */
struct db_blob_user {
    char version_id[DB_ID_SIZE];
    char package[DB_NAME_SIZE];
    uint32_t number;
    enum db_version_state state;
    enum db_policy policy;
    enum db_access access; /* the package's */
};

/* Three states, three policies and three accesses; and the joined version by itself. */
#define DB_BLOB_USERS_MAX 28

/* Versions with a file of these bytes, the newest one of each kind, and joined_id ("" none) when it
 * is one of them; sealed ones first, newest first. */
CP_MUST_CHECK enum cp_err db_blob_users(struct db_conn *conn, const char *sha256,
                                        const char *joined_id,
                                        struct db_blob_user ret_items[DB_BLOB_USERS_MAX],
                                        size_t *ret_count, struct cp_error *err);

/* ---- collecting ---- */

/* Blobs that no file has had for age_s seconds, by digest, after `after`. */
CP_MUST_CHECK enum cp_err db_blob_unused(struct db_conn *conn, uint64_t age_s, const char *after,
                                         size_t limit, struct db_blob *ret_items, size_t *ret_count,
                                         struct cp_error *err);

/* Deletes the row if still no file has had it for so long; *ret_deleted says whether its bytes may
 * go after the commit. Files are looked at too, not only the count. */
CP_MUST_CHECK enum cp_err db_blob_delete(struct db_conn *conn, const char *sha256, uint64_t age_s,
                                         bool *ret_deleted, struct cp_error *err);

/* A digest by itself. */
struct db_blob_name {
    char sha256[DB_DIGEST_SIZE];
};
#define DB_BLOB_NAMES_MAX 256 /* asked about at once */

/* Those of names that have no row and are not what an upload is about to finish with; only_bad: those that have no row that says they are not good.
 * ret_items has room for count. */
CP_MUST_CHECK enum cp_err db_blob_unknown(struct db_conn *conn, const struct db_blob_name *names,
                                          size_t count, bool only_bad,
                                          struct db_blob_name *ret_items, size_t *ret_count,
                                          struct cp_error *err);

/* ---- validating ---- */

/* What is to be read; zeroed but for `since`: all of the library. */
struct db_blob_scope {
    const char *package; /* NULL: all */
    uint32_t number;     /* version of it, 0: all */
    uint64_t since;      /* wall-clock nanoseconds: what was read or stored since is not of it */
    /* the last one seen */
    uint64_t after_time; /* when it was read, or else stored; 0: from the start */
    char after[DB_DIGEST_SIZE];
};

/* What of the scope comes after the last one seen: what was not read for the longest time first, at
 * most limit. */
CP_MUST_CHECK enum cp_err db_blob_unchecked(struct db_conn *conn, const struct db_blob_scope *scope,
                                            size_t limit, struct db_blob *ret_items,
                                            size_t *ret_count, struct cp_error *err);
/* How many bytes the scope has in all. */
CP_MUST_CHECK enum cp_err db_blob_unchecked_bytes(struct db_conn *conn,
                                                  const struct db_blob_scope *scope,
                                                  uint64_t *ret_bytes, struct cp_error *err);

/* Takes the row's lock and gives it as it is. CP_ERR_NOT_FOUND: collected meanwhile. */
CP_MUST_CHECK enum cp_err db_blob_lock(struct db_conn *conn, const char *sha256,
                                       struct db_blob *ret_blob, struct cp_error *err);

/* Versions that have these bytes look different now: counts their revisions up. Before db_blob_lock,
 * since whoever changes files locks their version first. */
CP_MUST_CHECK enum cp_err db_blob_touch_versions(struct db_conn *conn, const char *sha256,
                                                 struct cp_error *err);

/* Stores what a node's reading found. */
CP_MUST_CHECK enum cp_err db_blob_checked(struct db_conn *conn, const char *sha256,
                                          const char *node_id, enum db_blob_state state,
                                          struct cp_error *err);

struct db_blob_session {
    char id[DB_ID_SIZE];
};

/* Sessions of a node that have not ended and send these bytes, at most limit. */
CP_MUST_CHECK enum cp_err db_blob_sessions(struct db_conn *conn, const char *sha256,
                                           const char *node_id, size_t limit,
                                           struct db_blob_session *ret_items, size_t *ret_count,
                                           struct cp_error *err);

/* Where these bytes are, for people: the newest file that has them, sealed ones first, and in how
 * many versions they are. CP_ERR_NOT_FOUND: no file has them. */
struct db_blob_place {
    char package[DB_NAME_SIZE];
    uint32_t number;
    char path[DB_PATH_SIZE];
    uint64_t versions;
};
CP_MUST_CHECK enum cp_err db_blob_place(struct db_conn *conn, const char *sha256,
                                        struct db_blob_place *ret_place, struct cp_error *err);

/* A version's first file that cannot be had. CP_ERR_NOT_FOUND: all are whole. */
CP_MUST_CHECK enum cp_err db_blob_damaged_file(struct db_conn *conn, const char *version_id,
                                               struct db_blob_place *ret_place,
                                               struct cp_error *err);

/* ---- counting ---- */

/* Counts the references of the blobs after `after` anew, at most limit of them, and corrects what is
 * wrong. */
#define DB_BLOB_DRIFTS_MAX 100
struct db_blob_recount {
    uint64_t looked_at;
    char last[DB_DIGEST_SIZE]; /* go on after it */
    uint64_t wrong;
    size_t drift_count; /* of the wrong ones the first */
    struct db_blob_drift {
        char sha256[DB_DIGEST_SIZE];
        uint64_t stored, counted;
    } drifts[DB_BLOB_DRIFTS_MAX];
};
CP_MUST_CHECK enum cp_err db_blob_recount(struct db_conn *conn, const char *after, size_t limit,
                                          struct db_blob_recount *ret_recount,
                                          struct cp_error *err);

/* Adds up the sizes of the blobs whose digest begins with that digit anew; *ret_right: the kept total
 * was right, else it is corrected. In a body of db_run_tx_locking. */
struct db_blob_total {
    bool right;
    uint64_t stored, counted;
};
CP_MUST_CHECK enum cp_err db_blob_total(struct db_conn *conn, char digit,
                                        struct db_blob_total *ret_total, struct cp_error *err);

struct db_blob_sum {
    uint64_t blobs, bytes;
};

struct db_blob_figures {
    struct db_blob_sum referenced, unused; /* whole ones */
    struct db_blob_sum bad;                /* damaged, missing, of another size */
    uint64_t logical_bytes;                /* sum of all files' sizes */
};
CP_MUST_CHECK enum cp_err db_blob_figures(struct db_conn *conn, struct db_blob_figures *ret_figures,
                                          struct cp_error *err);

#endif
