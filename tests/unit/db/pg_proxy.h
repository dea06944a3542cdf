/* SPDX-License-Identifier: Apache-2.0
 * A proxy before the throw-away cluster that breaks connections at COMMIT, on a thread of its own:
 * one connection at a time. */
#ifndef TESTS_UNIT_DB_PG_PROXY_H
#define TESTS_UNIT_DB_PG_PROXY_H

enum pg_proxy_cut {
    PG_PROXY_NONE,
    PG_PROXY_LOSE,   /* COMMIT does not reach the server */
    PG_PROXY_SWALLOW /* it does, and the answer does not come back */
};

struct pg_proxy;

/* conninfo: of the cluster. */
struct pg_proxy *pg_proxy_start(const char *conninfo);
void pg_proxy_stop(struct pg_proxy *p);

/* Conninfo of the cluster through the proxy; valid until stop. */
const char *pg_proxy_conninfo(const struct pg_proxy *p);

/* What happens to the next COMMIT, once. */
void pg_proxy_arm(struct pg_proxy *p, enum pg_proxy_cut cut);

/* COMMITs that were cut. */
int pg_proxy_cuts(const struct pg_proxy *p);

#endif
