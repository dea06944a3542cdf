/* SPDX-License-Identifier: Apache-2.0
 * Configured settings of a distribution point, one row per node. */
#ifndef DB_SETTINGS_H
#define DB_SETTINGS_H

#include "db/db.h"

enum db_access { DB_ACCESS_INHERIT, DB_ACCESS_ANONYMOUS, DB_ACCESS_AUTHENTICATED };

/* "inherit", "anonymous", "authenticated". */
const char *db_access_name(enum db_access access);
bool db_access_parse(const char *text, enum db_access *ret_access);

/* How a session finds its pace (multicast/session.h: enum mc_rate_mode). */
enum db_rate_control { DB_RATE_LAN, DB_RATE_TFMCC, DB_RATE_FIXED };

/* "lan", "tfmcc", "fixed". */
const char *db_rate_control_name(enum db_rate_control control);
bool db_rate_control_parse(const char *text, enum db_rate_control *ret_control);

/* 16 origins of 128 bytes and the spaces between them. */
#define DB_ORIGINS_SIZE (16 * 129 + 16)

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
    enum db_rate_control rate_control;
    uint32_t rate_start_percent;        /* of a session's share of the ceiling, 1 … 100 */
    uint32_t slow_share_percent;        /* of the receivers, 0 … 50 */
    bool jumbo_frames;                  /* use an MTU of 9000 where there is one */
    uint64_t https_rate_ceiling_bps;    /* of all content over HTTPS together; 0: none */
    uint32_t login_failures;            /* wrong passwords that lock, 0 … 1000; 0: none do */
    uint32_t login_lockout_s;           /* 1 … 86400 */
    uint32_t library_grace_hours;       /* before content that nobody refers to is removed */
    uint32_t library_validate_days;     /* between validations of the library, 0: never */
    uint64_t library_validate_rate_bps; /* at most read then, 0: as fast as it goes */
    uint32_t history_days;              /* before what has ended is forgotten, 0: never */
    uint64_t library_quota_bytes;       /* most that is stored, 0: no limit */
    uint64_t library_reserve_bytes;     /* of the file system, left free by uploads */
    uint32_t upload_expiry_hours;       /* that a resumable upload waits for more, 1 … 8760 */
    uint32_t key_rotation_days;         /* 0 … 3650; 0: never */
    uint32_t key_overlap_hours;         /* 0 … 8760 */
    bool key_repair;                    /* damaged keys are replaced by themselves */
    uint32_t requests_per_minute;       /* of one address, and of one account; 0: no limit */
    char cors_origins[DB_ORIGINS_SIZE]; /* whose pages may use the API, a space between them */
    int64_t revision;
    uint64_t updated_at;
};

CP_MUST_CHECK enum cp_err db_settings_get(struct db_conn *conn, const char *node_id,
                                          struct db_settings *ret_settings, struct cp_error *err);

/* Until the transaction ends nobody else changes settings, packages, accounts or webhooks. They are
 * read, and packages are joined, as ever. */
CP_MUST_CHECK enum cp_err db_configuration_hold(struct db_conn *conn, struct cp_error *err);

/* Stores all values of *s, with NOTIFY DB_CHANNEL_SETTINGS. s->revision is the expected one (DB_REVISION_ANY: no check):
 * CP_ERR_PRECONDITION_FAILED when it is not the present one. CP_ERR_INVALID: a value that the
 * table's constraints refuse (db_constraint names it: "settings_ports_check", …). */
CP_MUST_CHECK enum cp_err db_settings_update(struct db_conn *conn, const struct db_settings *s,
                                             struct db_settings *ret_settings,
                                             struct cp_error *err);

#endif
