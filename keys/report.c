/* SPDX-License-Identifier: Apache-2.0
 * Sentences about keys. */
#include "keys/report.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "keys/care.h"
#include "keys/check.h"

#define OVERDUE (86400 * CP_SEC)

const char *keys_health_name(enum keys_health health)
{
    static const char *const names[KEYS_HEALTH_COUNT] = {"ok", "attention", "broken"};

    CP_ASSERT((size_t)health < KEYS_HEALTH_COUNT);
    return names[health];
}

/* Day and minute are enough for people. */
static void day(uint64_t wall_ns, char ret_text[CP_RFC3339_SIZE])
{
    cp_clock_rfc3339(wall_ns, ret_text);
    ret_text[16] = '\0';
    ret_text[10] = ' ';
}

static bool is_bad(const struct db_key *key)
{
    return key->state == DB_KEY_DAMAGED ||
           (key->check_result[0] != '\0' && strcmp(key->check_result, "ok") != 0);
}

static void say_broken(const struct db_key *key, const struct db_settings *settings,
                       struct keys_report *r)
{
    const char *what = key->check_result[0] != '\0' ? key->check_result : key->retired_reason;

    r->health = KEYS_HEALTH_BROKEN;
    (void)snprintf(r->summary, sizeof r->summary, "Cannot be used: %s. %s", what,
                   strcmp(what, KEYS_MASTER_MISSING) == 0
                       ? "Nothing is replaced: it can be used again when that is back."
                   : settings->key_repair
                       ? "It is replaced at its next use, or by the next check."
                       : "key_repair is off: joins are refused until somebody rotates it.");
}

static void say_active(const struct db_key *key, const struct db_settings *settings,
                       uint64_t now_ns, struct keys_report *r)
{
    char when[CP_RFC3339_SIZE];

    if (is_bad(key)) {
        say_broken(key, settings, r);
        return;
    }
    r->next_rotation_at = keys_rotation_due(key, settings->key_rotation_days);
    if (r->next_rotation_at == 0) {
        (void)snprintf(r->summary, sizeof r->summary,
                       "In use. It is rotated when somebody asks for it (key_rotation_days is 0).");
        return;
    }
    day(r->next_rotation_at, when);
    if (now_ns > r->next_rotation_at + OVERDUE) {
        r->health = KEYS_HEALTH_ATTENTION;
        (void)snprintf(r->summary, sizeof r->summary,
                       "In use. It should have been rotated on %s: is castpointd of its "
                       "distribution point running?",
                       when);
    } else {
        (void)snprintf(r->summary, sizeof r->summary, "In use. It is rotated by itself on %s.",
                       when);
    }
}

static void say_overlap(const struct db_key *key, struct keys_report *r)
{
    char when[CP_RFC3339_SIZE];

    day(key->overlap_until, when);
    (void)snprintf(r->summary, sizeof r->summary,
                   key->kind == DB_KEY_IDENTITY
                       ? "Superseded. Until %s it certifies for clients that know only it: give "
                         "them the present identity's fingerprint by then."
                       : "Superseded: it signs nothing new. Until %s what it signed still holds.",
                   when);
}

static void say_gone(const struct db_key *key, struct keys_report *r)
{
    char when[CP_RFC3339_SIZE];
    const char *after = "";

    day(key->retired_at, when);
    if (key->state == DB_KEY_REVOKED) {
        after = key->kind == DB_KEY_IDENTITY
                    ? " A client that knows only this identity refuses the distribution point "
                      "(signature-invalid) until it is given the present one's fingerprint."
                    : " Its manifests are signed anew; a client that holds a ticket by it should "
                      "join again.";
    }
    (void)snprintf(r->summary, sizeof r->summary, "%s on %s: %.255s.%s",
                   key->state == DB_KEY_REVOKED   ? "Revoked"
                   : key->state == DB_KEY_DAMAGED ? "Damaged and replaced"
                                                  : "Retired",
                   when, key->retired_reason, after);
}

void keys_report_key(const struct db_key *key, const struct db_settings *settings, uint64_t now_ns,
                     struct keys_report *ret_report)
{
    struct keys_report r = {.health = KEYS_HEALTH_OK};

    if (key->retired_at != 0) {
        say_gone(key, &r);
    } else if (key->state == DB_KEY_OVERLAP) {
        say_overlap(key, &r);
    } else if (key->state == DB_KEY_PENDING) {
        (void)snprintf(r.summary, sizeof r.summary,
                       "Prepared. It takes the place of the active %s key at the next rotation.",
                       db_key_kind_name(key->kind));
    } else {
        say_active(key, settings, now_ns, &r);
    }
    *ret_report = r;
}

void keys_report_kind(enum db_key_kind kind, const struct db_key *key,
                      const struct db_settings *settings, uint64_t now_ns,
                      struct keys_report *ret_report)
{
    struct keys_report r = {.health = KEYS_HEALTH_ATTENTION};

    if (key != NULL) {
        keys_report_key(key, settings, now_ns, ret_report);
        return;
    }
    if (!settings->key_repair) {
        r.health = KEYS_HEALTH_BROKEN;
    }
    (void)snprintf(r.summary, sizeof r.summary, "There is no %s key. %s", db_key_kind_name(kind),
                   settings->key_repair
                       ? "It is made when it is needed, or by the next check."
                       : "key_repair is off: if there was one before, joins are refused until "
                         "somebody rotates it.");
    *ret_report = r;
}
