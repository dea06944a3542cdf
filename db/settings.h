/* SPDX-License-Identifier: Apache-2.0
 * Configured settings of a distribution point, one row per node. */
#ifndef DB_SETTINGS_H
#define DB_SETTINGS_H

#include "db/db.h"

enum db_access { DB_ACCESS_INHERIT, DB_ACCESS_ANONYMOUS, DB_ACCESS_AUTHENTICATED };

/* "inherit", "anonymous", "authenticated". */
const char *db_access_name(enum db_access access);
bool db_access_parse(const char *text, enum db_access *ret_access);

struct db_settings {
    char node_id[DB_ID_SIZE];
    bool multicast_enabled;
    char address_first[DB_ADDRESS_SIZE]; /* IPv4 multicast range, both ends included */
    char address_last[DB_ADDRESS_SIZE];
    uint16_t port_first, port_last;
    char interface[16];            /* "": by the routing table */
    uint32_t ttl;                  /* 1 … 255 */
    uint64_t rate_ceiling_bps;     /* bits per second; 0: from the link's speed */
    uint32_t gathering_delay_ms;   /* 0 … 600000 */
    enum db_access content_access; /* never INHERIT */
    int64_t revision;
    uint64_t updated_at;
};

CP_MUST_CHECK enum cp_err db_settings_get(struct db_conn *conn, const char *node_id,
                                          struct db_settings *ret_settings, struct cp_error *err);

/* Stores all values of *s. s->revision is the expected one (DB_REVISION_ANY: no check):
 * CP_ERR_PRECONDITION_FAILED when it is not the present one. CP_ERR_INVALID: a value that the
 * table's constraints refuse (db_constraint names it: "settings_ports_check", …). */
CP_MUST_CHECK enum cp_err db_settings_update(struct db_conn *conn, const struct db_settings *s,
                                             struct db_settings *ret_settings,
                                             struct cp_error *err);

#endif
