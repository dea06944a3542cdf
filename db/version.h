/* SPDX-License-Identifier: Apache-2.0
 * Versions of a package: draft → sealed → retired. What a sealed version says about its content
 * is protected by triggers. */
#ifndef DB_VERSION_H
#define DB_VERSION_H

#include "db/db.h"
#include "db/package.h"

enum db_version_state { DB_VERSION_DRAFT, DB_VERSION_SEALED, DB_VERSION_RETIRED };

/* "draft", "sealed", "retired". */
const char *db_version_state_name(enum db_version_state state);

#define DB_SIGNATURE_SIZE 512 /* a detached JWS */

struct db_version {
    char id[DB_ID_SIZE];
    char package_id[DB_ID_SIZE];
    char package[DB_NAME_SIZE];
    enum db_policy policy; /* the package's, for the decision at join */
    bool encrypt;
    enum db_access access;
    uint32_t number;
    enum db_version_state state;
    uint32_t file_count;
    uint64_t file_bytes; /* sum of the files' sizes */
    /* the rest is set from sealing on */
    uint64_t manifest_size;
    char manifest_sha256[DB_DIGEST_SIZE];
    char manifest_signature[DB_SIGNATURE_SIZE];
    char manifest_key[DB_DIGEST_SIZE]; /* fingerprint of the key that made the signature */
    uint64_t stream_size;
    uint64_t content_size; /* the object's size before padding: stream without zero chunks */
    uint64_t sealed_at, retired_at;
    int64_t revision; /* every change of the version or its files counts it up */
    uint64_t created_at;
    char description[DB_TEXT_SIZE];
    char labels[DB_LABELS_SIZE]; /* JSON object */
    bool damaged;                /* validation found content of it missing or damaged */
    int64_t files_revision;      /* every change of its files counts it up, and nothing else */
};

/* A new draft of in->package with the next number; uses description and labels ("" means {}). Takes
 * the package's row lock. CP_ERR_PACKAGE_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_version_create(struct db_conn *conn, const struct db_version *in,
                                            struct db_version *ret_version, struct cp_error *err);

/* number 0: the current one (the pinned, else the newest sealed). CP_ERR_PACKAGE_NOT_FOUND, CP_ERR_VERSION_NOT_FOUND,
 * and for number 0 CP_ERR_VERSION_NOT_SEALED when no version is sealed. Drafts and retired ones
 * are found by their number: look at state. */
CP_MUST_CHECK enum cp_err db_version_get(struct db_conn *conn, const char *package, uint32_t number,
                                         struct db_version *ret_version, struct cp_error *err);

/* Which versions of a package, in which order, from where. */
struct db_version_list {
    const char *package;
    const char *state; /* word; NULL: all */
    bool ascending;    /* by number; else the newest first */
    uint32_t after;    /* number of the last row before; 0: from the start */
};

/* At most limit. CP_ERR_PACKAGE_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_version_list(struct db_conn *conn, const struct db_version_list *list,
                                          size_t limit, struct db_version *ret_items,
                                          size_t *ret_count, struct cp_error *err);

/* Stores description and labels of the version in->id, in whatever state it is, when in->revision
 * is the present one (or DB_REVISION_ANY). CP_ERR_VERSION_NOT_FOUND, CP_ERR_PRECONDITION_FAILED. */
CP_MUST_CHECK enum cp_err db_version_update(struct db_conn *conn, const struct db_version *in,
                                            struct db_version *ret_version, struct cp_error *err);

/* What sealing stores. */
struct db_seal {
    const char *manifest;
    size_t manifest_size;
    const char *manifest_sha256;    /* hex */
    const char *manifest_signature; /* detached JWS */
    const char *manifest_key;       /* fingerprint */
    uint64_t stream_size;
    uint64_t content_size;
};

/* draft → sealed, under the version's row lock. files_revision: that of the version as its
 * files were read for the manifest (or DB_REVISION_ANY), so that no file can have changed since
 * (CP_ERR_PRECONDITION_FAILED); what else changed does not matter. CP_ERR_VERSION_SEALED: it is no
 * draft. CP_ERR_CONTENT_EMPTY: it has no file, or an empty one (err names it). */
CP_MUST_CHECK enum cp_err db_version_seal(struct db_conn *conn, const char *version_id,
                                          int64_t files_revision, const struct db_seal *seal,
                                          struct db_version *ret_version, struct cp_error *err);

/* sealed → retired (again: no change). CP_ERR_CONFLICT for a draft and for the version that is
 * pinned as current, CP_ERR_PRECONDITION_FAILED.
 * Running sessions go on to their end. */
CP_MUST_CHECK enum cp_err db_version_retire(struct db_conn *conn, const char *version_id,
                                            int64_t expected_revision,
                                            struct db_version *ret_version, struct cp_error *err);

/* Deletes a draft or retired version with its files and ended sessions. CP_ERR_CONFLICT: it is
 * sealed (retire it first), or sessions of it have not ended (named in err). */
CP_MUST_CHECK enum cp_err db_version_delete(struct db_conn *conn, const char *version_id,
                                            int64_t expected_revision, struct cp_error *err);

/* Replaces the manifest's signature by one of another key. */
CP_MUST_CHECK enum cp_err db_version_set_signature(struct db_conn *conn, const char *version_id,
                                                   const char *signature, const char *key,
                                                   struct cp_error *err);

/* The manifest's exact bytes, malloced, NUL behind them; caller frees. CP_ERR_VERSION_NOT_SEALED
 * for a draft, CP_ERR_VERSION_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_version_manifest(struct db_conn *conn, const char *version_id,
                                              char **ret_manifest, size_t *ret_size,
                                              struct cp_error *err);

#endif
