/* SPDX-License-Identifier: Apache-2.0
 * One connection: opening it with our time-outs, and what its errors mean. Opens sockets. */
#include "db/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "db/wait.h"

#define STATE_SIZE 5u /* of an SQLSTATE */
/* What took longer to fail was a time-out, most likely: not worth the same wait once more. */
#define ANSWERED_WITHIN (4 * CP_SEC)
#define OPTIONS_MAX     48 /* keywords of libpq that a conninfo may set, and ours; it has about 40 */

/* Used where the conninfo says nothing. Seconds, but tcp_user_timeout: milliseconds. A listener only
 * waits: after so long with nothing, and then three questions without an answer, the server is gone.
 * With the kernel's own interval of 75 s it took 105 s to notice. */
static const struct {
    const char *keyword;
    const char *value;
} defaults[] = {
    {"connect_timeout", "5"},    {"tcp_user_timeout", "10000"},
    {"keepalives_idle", "30"},   {"keepalives_interval", "5"},
    {"keepalives_count", "3"},   {"fallback_application_name", "castpointd"},
    {"client_encoding", "UTF8"},
};

/* For what is asked while connecting. */
static const struct db_patience soon = {.limit = 5 * CP_SEC};

/* PostgreSQL itself ends a statement after its statement_timeout. So much later it hangs. */
#define SILENCE (5 * CP_SEC)

/* A statement of ours takes milliseconds; these only bound what a stuck server or lock costs. */
static const struct {
    const char *setting;
    const char *sql;
} timeouts[] = {
    {"statement_timeout", "SET statement_timeout = '30s'"},
    {"lock_timeout", "SET lock_timeout = '10s'"},
    {"idle_in_transaction_session_timeout", "SET idle_in_transaction_session_timeout = '60s'"},
};

/* For whoever sent the value: PostgreSQL's words tell of tables and constraints. */
#define TAKEN    "Something else has such a value already, and only one may have it."
#define RELATED  "What this refers to is not there any more, or something refers to it still."
#define UNSUITED "The database does not take such a value."
#define OURS     "" /* what our trigger says */

/* SQLSTATE, or its class in two characters, and what it means to us. First match wins. */
static const struct meaning {
    const char *state;
    enum cp_err code;
    enum db_fault fault;
    const char *sentence; /* NULL: PostgreSQL's words, after the statement's name */
} meanings[] = {
    {"40001", CP_ERR_DB_RETRY, DB_FAULT_RETRY, NULL},      /* serialization failure */
    {"40P01", CP_ERR_DB_RETRY, DB_FAULT_RETRY, NULL},      /* deadlock */
    {"55P03", CP_ERR_DB_RETRY, DB_FAULT_NONE, NULL},       /* lock_timeout: a long wait already */
    {"23505", CP_ERR_CONFLICT, DB_FAULT_NONE, TAKEN},      /* unique */
    {"23503", CP_ERR_CONFLICT, DB_FAULT_NONE, RELATED},    /* foreign key */
    {"23", CP_ERR_INVALID, DB_FAULT_NONE, UNSUITED},       /* check, not null */
    {"22", CP_ERR_INVALID, DB_FAULT_NONE, UNSUITED},       /* value out of range or malformed */
    {"CP001", CP_ERR_VERSION_SEALED, DB_FAULT_NONE, OURS}, /* our triggers */
    {"CP002", CP_ERR_CONFLICT, DB_FAULT_NONE, OURS},
    {"57014", CP_ERR_DATABASE, DB_FAULT_NONE, NULL}, /* statement_timeout */
    {"57", CP_ERR_DATABASE, DB_FAULT_LOST, NULL},    /* shutting down, starting, killed */
    {"08P01", CP_ERR_INTERNAL, DB_FAULT_NONE, NULL}, /* our bug: another number of parameters */
    {"08", CP_ERR_DATABASE, DB_FAULT_LOST, NULL},
    {"25006", CP_ERR_DATABASE, DB_FAULT_STANDBY, NULL}, /* read only */
    {"0A000", CP_ERR_DATABASE, DB_FAULT_LOST, NULL}, /* SERIALIZABLE on a standby; a stale plan */
    {"53", CP_ERR_DATABASE, DB_FAULT_NONE, NULL},    /* disk full, too many connections */
    {"58", CP_ERR_DATABASE, DB_FAULT_NONE, NULL},    /* its disk failed */
};
static const struct meaning unforeseen = {"", CP_ERR_INTERNAL, DB_FAULT_NONE, NULL};
/* No state: it is libpq's own failure. */
static const struct meaning lost = {"", CP_ERR_DATABASE, DB_FAULT_LOST, NULL};

/* Why a server lets nobody in: SQLSTATE or its class. */
static const struct {
    const char *state;
    enum cp_err code;
} refusals[] = {
    {"28", CP_ERR_DATABASE_LOGIN},      /* no such role, wrong password, pg_hba.conf */
    {"42501", CP_ERR_DATABASE_LOGIN},   /* no right to CONNECT */
    {"3D000", CP_ERR_DATABASE_MISSING}, /* no such database */
};

/* libpq's messages end in a line feed and may have several lines: the first one is the point. */
static void set_error(struct cp_error *err, enum cp_err code, const char *what, const char *text)
{
    size_t length = strcspn(text, "\n");

    (void)cp_error_set(err, code, "%s: %.*s", what, (int)length, text);
}

static size_t gather_options(const PQconninfoOption *given, const char *keywords[],
                             const char *values[])
{
    size_t count = 0;

    for (const PQconninfoOption *o = given; o->keyword != NULL; o++) {
        if (o->val != NULL && count < OPTIONS_MAX - DB_COUNT(defaults)) {
            keywords[count] = o->keyword;
            values[count++] = o->val;
        }
    }
    for (size_t i = 0; i < DB_COUNT(defaults); i++) {
        bool set = false;

        for (size_t j = 0; j < count; j++) {
            set = set || strcmp(keywords[j], defaults[i].keyword) == 0;
        }
        if (!set) {
            keywords[count] = defaults[i].keyword;
            values[count++] = defaults[i].value;
        }
    }
    return count;
}

/* The conninfo's own "options" may bring their own time-outs: those stay. */
static bool set_timeouts(PGconn *pg, const PQconninfoOption *given)
{
    const char *options = "";
    bool silent;

    for (const PQconninfoOption *o = given; o->keyword != NULL; o++) {
        if (strcmp(o->keyword, "options") == 0 && o->val != NULL) {
            options = o->val;
        }
    }
    for (size_t i = 0; i < DB_COUNT(timeouts); i++) {
        PGresult *result;
        bool ok;

        if (strstr(options, timeouts[i].setting) != NULL) {
            continue;
        }
        result = db_wait(pg, PQsendQuery(pg, timeouts[i].sql), &soon, &silent);
        ok = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* The program relies on the server's notices going nowhere: they are no errors of ours. */
static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

/* libpq keeps the SQLSTATE of a refused connection to itself, and its text is in the server's
 * language. So a server that answered is asked once more, by a connection whose text is the state. */
static enum cp_err why_refused(const PGconn *refused, const char *const *keywords,
                               const char *const *values, cp_time took)
{
    PGconn *pg;
    const char *text;
    size_t size;
    enum cp_err code = CP_ERR_DATABASE;

    if (PQconnectionNeedsPassword(refused) != 0) {
        return CP_ERR_DATABASE_LOGIN;
    }
    if (PQstatus(refused) != CONNECTION_BAD || PQsocket(refused) < 0 || took > ANSWERED_WITHIN) {
        return CP_ERR_DATABASE;
    }
    pg = PQconnectStartParams(keywords, values, 0);
    if (pg == NULL) {
        return CP_ERR_DATABASE;
    }
    (void)PQsetErrorVerbosity(pg, PQERRORS_SQLSTATE);
    db_wait_connected(pg, soon.limit);
    text = PQerrorMessage(pg); /* "…: FATAL:  28000\n" */
    size = strcspn(text, "\n");
    for (size_t i = 0; size > STATE_SIZE && i < DB_COUNT(refusals); i++) {
        if (text[size - STATE_SIZE - 1] == ' ' &&
            strncmp(text + size - STATE_SIZE, refusals[i].state, strlen(refusals[i].state)) == 0) {
            code = refusals[i].code;
        }
    }
    PQfinish(pg);
    return code;
}

enum cp_err db_connect(const char *conninfo, PGconn **ret_pg, struct cp_error *err)
{
    const char *keywords[OPTIONS_MAX + 1] = {NULL};
    const char *values[OPTIONS_MAX + 1] = {NULL};
    char *complaint = NULL;
    PQconninfoOption *given = PQconninfoParse(conninfo, &complaint);
    cp_time began = cp_clock_now();
    enum cp_err rc;
    PGconn *pg;

    if (given == NULL) {
        /* libpq's complaint quotes a word of it, which may be of a password with a blank in it. */
        bool is_wrong = complaint != NULL;

        PQfreemem(complaint);
        return is_wrong
                   ? cp_error_set(err, CP_ERR_USAGE,
                                  "The database's address cannot be read: give keyword=value pairs "
                                  "that libpq knows, values with blanks in single quotes, or a "
                                  "postgresql:// URI.")
                   : cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the database's address.");
    }
    (void)gather_options(given, keywords, values);
    pg = PQconnectdbParams(keywords, values, 0);
    if (pg == NULL || PQstatus(pg) != CONNECTION_OK || PQsetnonblocking(pg, 1) != 0 ||
        !set_timeouts(pg, given)) {
        rc = pg == NULL ? CP_ERR_DATABASE
                        : why_refused(pg, keywords, values, cp_clock_now() - began);
        set_error(err, rc, "connecting to the database",
                  pg != NULL ? PQerrorMessage(pg) : "out of memory");
        PQfinish(pg);
        PQconninfoFree(given);
        return rc;
    }
    PQconninfoFree(given);
    (void)PQsetNoticeReceiver(pg, ignore_notice, NULL);
    *ret_pg = pg;
    return CP_OK;
}

enum cp_err db_conn_open(struct db_conn *c, const char *conninfo, struct cp_error *err)
{
    static const char sql[] =
        "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'";
    PGresult *result;
    enum cp_err rc = CP_OK;

    db_conn_close(c);
    CP_TRY(db_connect(conninfo, &c->pg, err));
    c->limit = soon.limit;
    result = db_conn_answer(c, PQsendQuery(c->pg, sql));
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1) {
        cp_time ms = strtoull(PQgetvalue(result, 0, 0), NULL, 10);

        c->limit = ms == 0 ? 0 : ms * CP_MSEC + SILENCE;
    } else {
        rc = db_conn_failed(c, result, "connecting to the database", err);
        db_conn_close(c);
    }
    PQclear(result);
    return rc;
}

void db_conn_close(struct db_conn *c)
{
    int64_t slot = c->slot;
    int64_t mark = c->mark;
    const atomic_bool *hurry = c->hurry;

    PQfinish(c->pg);
    memset(c, 0, sizeof *c);
    c->slot = slot;
    c->mark = mark;
    c->hurry = hurry;
}

bool db_conn_usable(const struct db_conn *c)
{
    return c->pg != NULL && PQstatus(c->pg) == CONNECTION_OK;
}

/* After a failure in writing libpq may still call a connection good that the server has closed. */
static const struct meaning *meaning_of(const struct db_conn *c, const char *state)
{
    if (state == NULL || !db_conn_usable(c)) {
        return &lost;
    }
    for (size_t i = 0; i < DB_COUNT(meanings); i++) {
        if (strncmp(state, meanings[i].state, strlen(meanings[i].state)) == 0) {
            return &meanings[i];
        }
    }
    return &unforeseen;
}

enum cp_err db_conn_failed(struct db_conn *c, const PGresult *result, const char *what,
                           struct cp_error *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    const struct meaning *meaning = meaning_of(c, state);

    if (c->silent) {
        c->fault = DB_FAULT_SILENT;
        return cp_error_set(err, CP_ERR_DATABASE, "%s: the database does not answer", what);
    }
    c->fault = meaning->fault;
    (void)snprintf(c->constraint, sizeof c->constraint, "%s", constraint != NULL ? constraint : "");
    if (meaning->sentence != NULL && meaning->sentence[0] == '\0') {
        return cp_error_set(err, meaning->code, "%s", message);
    }
    if (meaning->sentence != NULL) {
        /* A conflict is often what the caller expects. */
        cp_log(meaning->code == CP_ERR_CONFLICT ? CP_LOG_INFO : CP_LOG_WARN, "value-refused",
               "statement", what, "detail", message, NULL);
        return cp_error_set(err, meaning->code, "%s", meaning->sentence);
    }
    set_error(err, meaning->code, what, message != NULL ? message : PQerrorMessage(c->pg));
    return meaning->code;
}

PGresult *db_conn_answer(struct db_conn *c, int sent)
{
    struct db_patience patience = {.limit = c->limit, .hurry = c->hurry};
    bool silent = false;
    PGresult *result = db_wait(c->pg, sent, &patience, &silent);

    if (silent) {
        db_conn_close(c);
        c->silent = true;
    }
    return result;
}

enum cp_err db_conn_text(struct db_conn *c, const char *sql, struct cp_error *err)
{
    PGresult *result = db_conn_answer(c, PQsendQuery(c->pg, sql));
    ExecStatusType status = PQresultStatus(result);
    enum cp_err rc = CP_OK;

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        rc = db_conn_failed(c, result, "database", err);
    }
    PQclear(result);
    return rc;
}

const char *db_constraint(const struct db_conn *conn)
{
    return conn->constraint;
}
