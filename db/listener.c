/* SPDX-License-Identifier: Apache-2.0
 * LISTEN on a connection of its own. Opens a socket; one owner, no threads. */
#include "db/listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/conn.h"
#include "db/wait.h"

#define CHANNELS_MAX 8

struct db_listener {
    PGconn *pg;
    char *conninfo;
    size_t channel_count;
    char channels[CHANNELS_MAX][DB_NAME_SIZE];
    char claim[DB_ID_SIZE]; /* node id, "" none */
};

static enum cp_err lost(struct db_listener *l, struct cp_error *err)
{
    const char *text = l->pg != NULL ? PQerrorMessage(l->pg) : "not connected";

    (void)cp_error_set(err, CP_ERR_DATABASE, "listening to the database: %s",
                       text[0] != '\0' ? text : "it does not answer");
    PQfinish(l->pg);
    l->pg = NULL;
    return CP_ERR_DATABASE;
}

/* NULL: none in time, or none was sent. */
static PGresult *answer(struct db_listener *l, int sent)
{
    static const struct db_patience patience = {.limit = 10 * CP_SEC};
    bool silent;

    return db_wait(l->pg, sent, &patience, &silent);
}

static enum cp_err listen_all(struct db_listener *l, struct cp_error *err)
{
    for (size_t i = 0; i < l->channel_count; i++) {
        char *quoted = PQescapeIdentifier(l->pg, l->channels[i], strlen(l->channels[i]));
        char sql[2 * DB_NAME_SIZE + 16];
        PGresult *result;
        bool ok;

        if (quoted == NULL) {
            return lost(l, err);
        }
        (void)snprintf(sql, sizeof sql, "LISTEN %s", quoted);
        PQfreemem(quoted);
        result = answer(l, PQsendQuery(l->pg, sql));
        ok = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
        if (!ok) {
            return lost(l, err);
        }
    }
    return CP_OK;
}

static enum cp_err take_claim(struct db_listener *l, struct cp_error *err)
{
    const char *params[] = {l->claim};
    PGresult *result = answer(
        l, PQsendQueryParams(
               l->pg, "SELECT pg_try_advisory_lock(hashtextextended('castpoint node ' || $1, 0))",
               1, NULL, params, NULL, NULL, 0));
    bool ok = PQresultStatus(result) == PGRES_TUPLES_OK;
    bool taken = ok && strcmp(PQgetvalue(result, 0, 0), "t") == 0;

    PQclear(result);
    if (!ok) {
        return lost(l, err);
    }
    return taken ? CP_OK
                 : cp_error_set(err, CP_ERR_CONFLICT, "another process works for this node");
}

enum cp_err db_listener_reconnect(struct db_listener *l, struct cp_error *err)
{
    PQfinish(l->pg);
    l->pg = NULL;
    CP_TRY(db_connect(l->conninfo, &l->pg, err));
    CP_TRY(listen_all(l, err));
    return l->claim[0] == '\0' ? CP_OK : take_claim(l, err);
}

enum cp_err db_listener_claim(struct db_listener *l, const char *node_id, struct cp_error *err)
{
    enum cp_err rc;

    CP_ASSERT(strlen(node_id) < sizeof l->claim);
    if (l->pg == NULL) {
        return lost(l, err);
    }
    (void)snprintf(l->claim, sizeof l->claim, "%s", node_id);
    rc = take_claim(l, err);
    if (rc != CP_OK) {
        l->claim[0] = '\0';
    }
    return rc;
}

enum cp_err db_listener_open(const char *conninfo, const char *const *channels, size_t count,
                             struct db_listener **ret_listener, struct cp_error *err)
{
    struct db_listener *l = calloc(1, sizeof *l);
    enum cp_err rc;

    CP_ASSERT(count <= CHANNELS_MAX);
    if (l == NULL || (l->conninfo = strdup(conninfo)) == NULL) {
        free(l);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "listening to the database");
    }
    for (size_t i = 0; i < count; i++) {
        CP_ASSERT(strlen(channels[i]) < DB_NAME_SIZE);
        (void)snprintf(l->channels[i], DB_NAME_SIZE, "%s", channels[i]);
    }
    l->channel_count = count;
    rc = db_listener_reconnect(l, err);
    if (rc != CP_OK) {
        db_listener_close(l);
        return rc;
    }
    *ret_listener = l;
    return CP_OK;
}

void db_listener_close(struct db_listener *l)
{
    if (l == NULL) {
        return;
    }
    PQfinish(l->pg);
    free(l->conninfo);
    free(l);
}

int db_listener_fd(const struct db_listener *l)
{
    return l->pg != NULL ? PQsocket(l->pg) : -1;
}

enum cp_err db_listener_next(struct db_listener *l, bool *ret_any,
                             struct db_notification *ret_notification, struct cp_error *err)
{
    PGnotify *notify;

    if (l->pg == NULL) {
        return lost(l, err);
    }
    notify = PQnotifies(l->pg);
    if (notify == NULL) {
        if (PQconsumeInput(l->pg) == 0) {
            return lost(l, err);
        }
        notify = PQnotifies(l->pg);
    }
    *ret_any = notify != NULL;
    if (notify != NULL) {
        (void)snprintf(ret_notification->channel, sizeof ret_notification->channel, "%s",
                       notify->relname);
        (void)snprintf(ret_notification->payload, sizeof ret_notification->payload, "%s",
                       notify->extra);
        PQfreemem(notify);
    }
    return CP_OK;
}
