/* SPDX-License-Identifier: Apache-2.0
 * Packages: named content and its policies. */
#ifndef DB_PACKAGE_H
#define DB_PACKAGE_H

#include "db/db.h"
#include "db/settings.h"

enum db_policy { DB_POLICY_OFF, DB_POLICY_PREFER, DB_POLICY_REQUIRE };

/* "off", "prefer", "require". */
const char *db_policy_name(enum db_policy policy);
bool db_policy_parse(const char *text, enum db_policy *ret_policy);

struct db_package {
    char id[DB_ID_SIZE];
    char name[DB_NAME_SIZE]; /* [a-z0-9][a-z0-9._-]{0,62} */
    char description[DB_TEXT_SIZE];
    enum db_policy policy;
    bool encrypt;
    enum db_access access;    /* INHERIT: the distribution point's setting */
    uint32_t current_version; /* newest sealed one, 0 none */
    uint32_t version_count;
    int64_t revision;
    uint64_t created_at, updated_at;
};

/* Uses name, description, policy, encrypt, access. CP_ERR_CONFLICT: the name is taken
 * ("packages_name_key"). CP_ERR_INVALID: the name's form. */
CP_MUST_CHECK enum cp_err db_package_create(struct db_conn *conn, const struct db_package *in,
                                            struct db_package *ret_package, struct cp_error *err);

/* CP_ERR_PACKAGE_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_package_get(struct db_conn *conn, const char *name,
                                         struct db_package *ret_package, struct cp_error *err);

/* By name, those after `after` ("" from the start), at most limit. */
CP_MUST_CHECK enum cp_err db_package_list(struct db_conn *conn, const char *after, size_t limit,
                                          struct db_package *ret_items, size_t *ret_count,
                                          struct cp_error *err);

/* Stores description, policy, encrypt, access of the package in->id when in->revision is the
 * present one (or DB_REVISION_ANY). The name never changes. CP_ERR_PACKAGE_NOT_FOUND,
 * CP_ERR_PRECONDITION_FAILED. */
CP_MUST_CHECK enum cp_err db_package_update(struct db_conn *conn, const struct db_package *in,
                                            struct db_package *ret_package, struct cp_error *err);

/* Deletes the package, its versions, files, ended sessions and their receivers. CP_ERR_CONFLICT
 * while sessions of it have not ended: err names them (in db_run_tx_locking always in our words; in
 * db_run_tx a join at the same moment may leave it to the database's). Blobs stay until collected. */
CP_MUST_CHECK enum cp_err db_package_delete(struct db_conn *conn, const char *name,
                                            int64_t expected_revision, struct cp_error *err);

#endif
