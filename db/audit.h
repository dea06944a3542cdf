/* SPDX-License-Identifier: Apache-2.0
 * The audit log: who changed what, or tried to and was refused. Only added to; the database refuses
 * everything else. */
#ifndef DB_AUDIT_H
#define DB_AUDIT_H

#include "db/db.h"

#define DB_WORD16_SIZE 16

enum db_audit_outcome {
    DB_AUDIT_DONE,
    DB_AUDIT_ACCEPTED, /* a task was asked for */
    DB_AUDIT_REFUSED
};
const char *db_audit_outcome_name(enum db_audit_outcome outcome);
bool db_audit_outcome_parse(const char *text, enum db_audit_outcome *ret_outcome);

struct db_audit {
    uint64_t id; /* ascending */
    uint64_t time;
    char node_id[DB_ID_SIZE];
    char account[DB_NAME_SIZE];
    char role[DB_WORD16_SIZE];
    char authentication[DB_WORD16_SIZE];
    char address[DB_NAME_SIZE];
    char operation[DB_NAME_SIZE]; /* "" no operation has that address */
    char method[8];
    char path[DB_PATH_SIZE];
    char request_id[DB_NAME_SIZE];
    enum db_audit_outcome outcome;
    char code[DB_CODE_SIZE]; /* with refused */
    char subject[DB_TEXT_SIZE];
    char *before, *after; /* JSON; NULL none. Borrowed when written, malloced when read */
    size_t before_size, after_size;
    uint64_t left_out; /* refusals before this one that were not written */
};

/* Uses all but id, time and the sizes. */
CP_MUST_CHECK enum cp_err db_audit_add(struct db_conn *conn, const struct db_audit *entry,
                                       struct cp_error *err);

/* At least one, numbered in their order, by one statement. */
CP_MUST_CHECK enum cp_err db_audit_add_many(struct db_conn *conn, const struct db_audit *entries,
                                            size_t count, struct cp_error *err);

/* Does the database itself keep this connection's role from changing what was written? Not when it is
 * a superuser or the schema's owner, nor when it was granted too much: then only a trigger does, which
 * such a role can switch off. */
CP_MUST_CHECK enum cp_err db_audit_guarded(struct db_conn *conn, bool *ret_guarded,
                                           struct cp_error *err);

/* What a list shows; zeroed: everything. */
struct db_audit_filter {
    const char *account, *subject, *operation, *address, *request_id; /* NULL: any */
    const enum db_audit_outcome *outcome;                             /* NULL: any */
    uint64_t since, until;                                            /* 0: open */
};

/* Newest first: those with an id below `before` (0: from the newest), at most limit. The caller
 * frees before and after of each. */
CP_MUST_CHECK enum cp_err db_audit_list(struct db_conn *conn, const struct db_audit_filter *filter,
                                        uint64_t before, size_t limit, struct db_audit *ret_items,
                                        size_t *ret_count, struct cp_error *err);

#endif
