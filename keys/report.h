/* SPDX-License-Identifier: Apache-2.0
 * What is to be said of a key to people: is it well, what is wrong, what will happen. Pure. */
#ifndef KEYS_REPORT_H
#define KEYS_REPORT_H

#include "db/key.h"
#include "db/settings.h"

enum keys_health {
    KEYS_HEALTH_OK,
    KEYS_HEALTH_ATTENTION, /* look at it when there is time */
    KEYS_HEALTH_BROKEN,    /* it does not do its work */
    KEYS_HEALTH_COUNT
};
/* "ok", "attention", "broken". */
const char *keys_health_name(enum keys_health health);

#define KEYS_SUMMARY_SIZE 512
struct keys_report {
    enum keys_health health;
    uint64_t next_rotation_at; /* 0: none is planned */
    char summary[KEYS_SUMMARY_SIZE];
};

/* now_ns: by the same clock as the row's times. settings: of the key's node. */
void keys_report_key(const struct db_key *key, const struct db_settings *settings, uint64_t now_ns,
                     struct keys_report *ret_report);

/* Of a kind as a whole: `key` is the one in use, NULL when there is none. */
void keys_report_kind(enum db_key_kind kind, const struct db_key *key,
                      const struct db_settings *settings, uint64_t now_ns,
                      struct keys_report *ret_report);

#endif
