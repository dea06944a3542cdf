/* SPDX-License-Identifier: Apache-2.0
 * Inside db/ only: the words that stand for enums in the tables, in the order of the enums. */
#ifndef DB_NAMES_H
#define DB_NAMES_H

#include "db/sql.h"

extern const struct db_names db_access_names;
extern const struct db_names db_policy_names;
extern const struct db_names db_promotion_kind_names;
extern const struct db_names db_version_state_names;
extern const struct db_names db_key_kind_names;
extern const struct db_names db_key_state_names;
extern const struct db_names db_role_names;
extern const struct db_names db_session_state_names;
extern const struct db_names db_receiver_state_names;
extern const struct db_names db_rate_control_names;
extern const struct db_names db_mac_names;
extern const struct db_names db_blob_state_names;
extern const struct db_names db_task_state_names;
extern const struct db_names db_task_unit_names;
extern const struct db_names db_task_level_names;

#endif
