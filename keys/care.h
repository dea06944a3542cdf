/* SPDX-License-Identifier: Apache-2.0
 * The keys' own upkeep: self-check, repair, rotation when it is time, overlaps that have ended,
 * secrets of sessions. At the start of the service, every hour, and when somebody asks. */
#ifndef KEYS_CARE_H
#define KEYS_CARE_H

#include <stdbool.h>

#include "keys/keyring.h"

/* What was found and done. */
struct keys_care {
    uint32_t checked; /* keys */
    uint32_t damaged; /* of these: cannot be used, and stay so */
    uint32_t repaired, rotated, prepared, retired;
    uint32_t secrets; /* of sessions that have not ended */
    uint32_t secrets_unusable;
    uint32_t cancelled; /* waiting sessions whose secret nobody can open */
};

/* Checks every key and secret of the node, notes the results, and does what the settings key_repair,
 * key_rotation_days and key_overlap_hours say. While the master key is missing it only notes that;
 * another one in its place is then taken. In a body of db_run_tx_locking. Finding damage is no
 * failure. */
CP_MUST_CHECK enum cp_err keys_ring_care(struct keys_ring *k, struct db_conn *conn,
                                         const struct keys_caller *caller,
                                         struct keys_care *ret_care, struct cp_error *err);

/* The same at the start of the service, which first compares the master key with the one that the
 * database was sealed under. Another one is told by the event "master-key-foreign"; with key_repair,
 * or when all keys are in order, it is the master key from now on. One that is missing is told by
 * "master-key-lost". */
CP_MUST_CHECK enum cp_err keys_ring_start(struct keys_ring *k, struct db_conn *conn,
                                          struct keys_care *ret_care, struct cp_error *err);

/* When a key is to be rotated by the calendar: nanoseconds since 1970, 0 never. Pure. */
uint64_t keys_rotation_due(const struct db_key *key, uint32_t rotation_days);

/* Signs manifests anew that a multicast key signed which is not in use any more, at most `limit` of
 * them; *ret_count: how many. 0: all are done. */
CP_MUST_CHECK enum cp_err keys_ring_sign_manifests(struct keys_ring *k, struct db_conn *conn,
                                                   const struct keys_caller *caller, size_t limit,
                                                   size_t *ret_count, struct cp_error *err);

#endif
