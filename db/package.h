/* SPDX-License-Identifier: Apache-2.0
 * Packages: named content and its policies, and which version is current. */
#ifndef DB_PACKAGE_H
#define DB_PACKAGE_H

#include "db/db.h"
#include "db/settings.h"

enum db_policy { DB_POLICY_OFF, DB_POLICY_PREFER, DB_POLICY_REQUIRE };

/* "off", "prefer", "require". */
const char *db_policy_name(enum db_policy policy);
bool db_policy_parse(const char *text, enum db_policy *ret_policy);

/* JSON object of labels as text: 32 of them with keys of 63 bytes and values of 255 bytes, of which
 * each may need a backslash, and what stands between them. */
#define DB_LABELS_SIZE (32 * (63 + 2 * 255 + 8) + 3)

struct db_package {
    char id[DB_ID_SIZE];
    char name[DB_NAME_SIZE]; /* [a-z0-9][a-z0-9._-]{0,62} */
    char description[DB_TEXT_SIZE];
    enum db_policy policy;
    bool encrypt;
    enum db_access access;    /* INHERIT: the distribution point's setting */
    uint32_t current_version; /* the pinned, else the newest sealed one; 0 none */
    uint32_t pinned_version;  /* 0: none is */
    uint32_t version_count;
    int64_t revision; /* changes of the package, and of what it shows of its versions */
    uint64_t created_at, updated_at;
    char labels[DB_LABELS_SIZE]; /* JSON object; last, so that a long list touches few pages */
};

/* Uses name, description, policy, encrypt, access, labels ("" means {}). CP_ERR_CONFLICT: the name
 * is taken ("packages_name_key"). CP_ERR_INVALID: the name's form. */
CP_MUST_CHECK enum cp_err db_package_create(struct db_conn *conn, const struct db_package *in,
                                            struct db_package *ret_package, struct cp_error *err);

/* CP_ERR_PACKAGE_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_package_get(struct db_conn *conn, const char *name,
                                         struct db_package *ret_package, struct cp_error *err);

enum db_package_sort { DB_PACKAGE_BY_NAME, DB_PACKAGE_BY_CREATED, DB_PACKAGE_BY_UPDATED };

/* Which packages, in which order, from where. Zeroed: all by name. */
struct db_package_list {
    const char *name_prefix; /* NULL: all */
    const char *label;       /* JSON object with one label that it must have; NULL: all */
    const char *policy;      /* word; NULL: all */
    const char *access;      /* word; NULL: all */
    enum db_package_sort sort;
    bool descending;
    const char *after;   /* name of the last row before; NULL or "": from the start */
    uint64_t after_time; /* with an order by time: its time */
};

/* At most limit. */
CP_MUST_CHECK enum cp_err db_package_list(struct db_conn *conn, const struct db_package_list *list,
                                          size_t limit, struct db_package *ret_items,
                                          size_t *ret_count, struct cp_error *err);

/* Stores description, policy, encrypt, access, labels of the package in->id when in->revision is
 * the present one (or DB_REVISION_ANY). The name never changes. CP_ERR_PACKAGE_NOT_FOUND,
 * CP_ERR_PRECONDITION_FAILED. */
CP_MUST_CHECK enum cp_err db_package_update(struct db_conn *conn, const struct db_package *in,
                                            struct db_package *ret_package, struct cp_error *err);

/* ---- many at once: each in one statement, whatever their number, which is at least one ---- */

/* Which of the names there are, in the order of names. */
CP_MUST_CHECK enum cp_err db_package_named(struct db_conn *conn, const char *const *names,
                                           size_t count, struct db_package *ret_items,
                                           size_t *ret_count, struct cp_error *err);

/* Locks them: nobody else changes or deletes them before the transaction has ended. Joins and
 * sessions of them go on. */
CP_MUST_CHECK enum cp_err db_package_hold(struct db_conn *conn, const char *const *names,
                                          size_t count, struct cp_error *err);

/* As db_package_create and db_package_update; the latter of packages that are held. CP_ERR_CONFLICT:
 * one of the names is taken. */
CP_MUST_CHECK enum cp_err db_package_create_many(struct db_conn *conn,
                                                 const struct db_package *const *items,
                                                 size_t count, struct cp_error *err);
CP_MUST_CHECK enum cp_err db_package_update_many(struct db_conn *conn,
                                                 const struct db_package *const *items,
                                                 size_t count, struct cp_error *err);

/* Locks them to be deleted, as db_package_delete does; and deletes them, which are locked so.
 * CP_ERR_CONFLICT while sessions of one have not ended: err names it and them. */
CP_MUST_CHECK enum cp_err db_package_doom(struct db_conn *conn, const char *const *names,
                                          size_t count, struct cp_error *err);
CP_MUST_CHECK enum cp_err db_package_delete_many(struct db_conn *conn, const char *const *names,
                                                 size_t count, struct cp_error *err);

/* A package and one of its versions. */
struct db_package_version {
    char package[DB_NAME_SIZE];
    uint32_t number;
};
/* Which of the versions are sealed, in the order of packages. */
CP_MUST_CHECK enum cp_err db_package_sealed(struct db_conn *conn,
                                            const struct db_package_version *items, size_t count,
                                            struct db_package_version *ret_items, size_t *ret_count,
                                            struct cp_error *err);

/* Deletes the package, its versions, files, ended sessions and their receivers. CP_ERR_CONFLICT
 * while sessions of it have not ended: err names them (in db_run_tx_locking always in our words; in
 * db_run_tx a join at the same moment may leave it to the database's). Blobs stay until collected. */
CP_MUST_CHECK enum cp_err db_package_delete(struct db_conn *conn, const char *name,
                                            int64_t expected_revision, struct cp_error *err);

/* What a deletion takes along: of a package, or of one version (the other is NULL). */
struct db_package_extent {
    uint64_t versions, files, bytes;
    uint64_t sessions; /* ended ones */
};
CP_MUST_CHECK enum cp_err db_package_measure(struct db_conn *conn, const char *package_id,
                                             const char *version_id,
                                             struct db_package_extent *ret_extent,
                                             struct cp_error *err);

/* ---- the current version ---- */

enum db_promotion_kind { DB_PROMOTION_PROMOTE, DB_PROMOTION_ROLLBACK, DB_PROMOTION_UNPIN };
const char *db_promotion_kind_name(enum db_promotion_kind kind);

struct db_promotion {
    uint64_t id; /* ascending */
    enum db_promotion_kind kind;
    uint32_t version, previous; /* pinned (0 with unpin); current before (0: none was) */
    char actor[DB_NAME_SIZE];
    uint64_t created_at;
};

/* Pins a sealed version. Again: no change (*ret_changed). CP_ERR_PACKAGE_NOT_FOUND,
 * CP_ERR_VERSION_NOT_FOUND, CP_ERR_PRECONDITION_FAILED, CP_ERR_CONFLICT: it is not sealed. */
CP_MUST_CHECK enum cp_err db_package_promote(struct db_conn *conn, const char *name,
                                             uint32_t version, int64_t expected_revision,
                                             const char *actor, bool *ret_changed,
                                             struct cp_error *err);

/* Pins the version that was current before the promotion that holds now; without one, the newest
 * sealed one below the current. CP_ERR_CONFLICT: there is none, or it is not sealed any more. */
CP_MUST_CHECK enum cp_err db_package_rollback(struct db_conn *conn, const char *name,
                                              int64_t expected_revision, const char *actor,
                                              struct cp_error *err);

/* The newest sealed version is current again. Without a pin: no change (*ret_changed). */
CP_MUST_CHECK enum cp_err db_package_unpin(struct db_conn *conn, const char *name,
                                           int64_t expected_revision, const char *actor,
                                           bool *ret_changed, struct cp_error *err);

/* Which promotions. */
struct db_promotion_list {
    const char *package; /* its name */
    const char *kind;    /* "promote", "rollback", "unpin"; NULL: any */
    uint64_t before;     /* those with an id below; 0: from the newest */
};

/* Newest first, at most limit. CP_ERR_PACKAGE_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_promotion_list(struct db_conn *conn,
                                            const struct db_promotion_list *list, size_t limit,
                                            struct db_promotion *ret_items, size_t *ret_count,
                                            struct cp_error *err);

#endif
