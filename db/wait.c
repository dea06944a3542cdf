/* SPDX-License-Identifier: Apache-2.0
 * Waits on the socket, with a time limit that libpq's own waiting does not have. */
#include "db/wait.h"

#include <poll.h>
#include <stddef.h>

#include "common/clock.h"

/* How soon a wait notices that it has to hurry. */
#define LOOK_EVERY (250 * CP_MSEC)

const cp_time db_hurry_limit = 5 * CP_SEC;

struct wait {
    const struct db_patience *patience;
    cp_time end;
    bool hurried;
};

static void hurry_up(struct wait *w, cp_time now)
{
    if (!w->hurried && w->patience->hurry != NULL && atomic_load(w->patience->hurry)) {
        w->hurried = true;
        w->end = w->end < now + db_hurry_limit ? w->end : now + db_hurry_limit;
    }
}

/* Until PQgetResult() does not wait. False: in vain. */
static bool await_result(PGconn *pg, struct wait *w)
{
    for (;;) {
        cp_time now = cp_clock_now();
        int unsent = PQflush(pg);
        struct pollfd p = {.fd = PQsocket(pg),
                           .events = (short)(unsent > 0 ? POLLIN | POLLOUT : POLLIN)};

        /* PQgetResult() tells what is wrong with a broken one. */
        if (p.fd < 0 || unsent < 0 || PQstatus(pg) != CONNECTION_OK ||
            (unsent == 0 && PQisBusy(pg) == 0)) {
            return true;
        }
        hurry_up(w, now);
        if (now >= w->end) {
            return false;
        }
        now = w->end - now < LOOK_EVERY ? w->end - now : LOOK_EVERY;
        if (poll(&p, 1, (int)(now / CP_MSEC) + 1) > 0 && (p.revents & ~POLLOUT) != 0 &&
            PQconsumeInput(pg) == 0) {
            return true;
        }
    }
}

static bool failed(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK;
}

PGresult *db_wait(PGconn *pg, int sent, const struct db_patience *patience, bool *ret_silent)
{
    struct wait w = {.patience = patience,
                     .end =
                         patience->limit == 0 ? CP_TIME_NEVER : cp_clock_now() + patience->limit};
    PGresult *kept = NULL;

    while (sent != 0) {
        PGresult *result;

        if (!await_result(pg, &w)) {
            PQclear(kept);
            *ret_silent = true;
            return NULL;
        }
        result = PQgetResult(pg);
        if (result == NULL) {
            break;
        }
        if (kept != NULL && failed(kept)) {
            PQclear(result);
        } else {
            PQclear(kept);
            kept = result;
        }
    }
    return kept;
}

void db_wait_connected(PGconn *pg, cp_time limit)
{
    cp_time end = cp_clock_now() + limit;
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;

    while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
        struct pollfd fd = {.fd = PQsocket(pg),
                            .events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        cp_time now = cp_clock_now();

        if (now >= end || poll(&fd, 1, (int)((end - now) / CP_MSEC) + 1) <= 0) {
            return;
        }
        next = PQconnectPoll(pg);
    }
}
