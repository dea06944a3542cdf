/* SPDX-License-Identifier: Apache-2.0
 * Enums of the tables as words, and back. Pure. */
#include "db/names.h"

#include "db/account.h"
#include "db/blob.h"
#include "db/key.h"
#include "db/package.h"
#include "db/receiver.h"
#include "db/session.h"
#include "db/settings.h"
#include "db/task.h"
#include "db/version.h"

static const char *const access_words[] = {"inherit", "anonymous", "authenticated"};
static const char *const policy_words[] = {"off", "prefer", "require"};
static const char *const promotion_words[] = {"promote", "rollback", "unpin"};
static const char *const version_words[] = {"draft", "sealed", "retired"};
static const char *const kind_words[] = {"identity", "multicast"};
static const char *const key_state_words[] = {"pending", "active",  "overlap",
                                              "retired", "revoked", "damaged"};
static const char *const role_words[] = {"none", "content", "viewer", "operator", "admin"};
static const char *const session_words[] = {"waiting", "running",   "draining",   "finished",
                                            "failed",  "cancelled", "interrupted"};
static const char *const rate_control_words[] = {"lan", "tfmcc", "fixed"};
static const char *const mac_words[] = {"hmac-sha256-128", "aes-256-gmac"};
static const char *const receiver_words[] = {"joined", "receiving", "repairing", "verifying",
                                             "done",   "moved",     "failed",    "lost"};

static const char *const blob_state_words[] = {"good", "missing", "damaged", "size-differs"};
static const char *const task_state_words[] = {"waiting", "running", "done", "failed", "cancelled"};
static const char *const task_unit_words[] = {"items", "bytes"};
static const char *const task_level_words[] = {"info", "warning", "error"};

_Static_assert(DB_COUNT(key_state_words) == DB_KEY_STATE_COUNT, "a word for each state");
_Static_assert(DB_COUNT(blob_state_words) == DB_BLOB_STATE_COUNT, "a word for each state");
_Static_assert(DB_COUNT(task_state_words) == DB_TASK_STATE_COUNT, "a word for each state");
_Static_assert(DB_COUNT(session_words) == DB_SESSION_STATE_COUNT, "a word for each state");
_Static_assert(DB_COUNT(receiver_words) == DB_RECEIVER_STATE_COUNT, "a word for each state");

const struct db_names db_access_names = {access_words, DB_COUNT(access_words)};
const struct db_names db_policy_names = {policy_words, DB_COUNT(policy_words)};
const struct db_names db_promotion_kind_names = {promotion_words, DB_COUNT(promotion_words)};
const struct db_names db_version_state_names = {version_words, DB_COUNT(version_words)};
const struct db_names db_key_kind_names = {kind_words, DB_COUNT(kind_words)};
const struct db_names db_key_state_names = {key_state_words, DB_COUNT(key_state_words)};
const struct db_names db_role_names = {role_words, DB_COUNT(role_words)};
const struct db_names db_session_state_names = {session_words, DB_COUNT(session_words)};
const struct db_names db_rate_control_names = {rate_control_words, DB_COUNT(rate_control_words)};
const struct db_names db_mac_names = {mac_words, DB_COUNT(mac_words)};
const struct db_names db_receiver_state_names = {receiver_words, DB_COUNT(receiver_words)};
const struct db_names db_blob_state_names = {blob_state_words, DB_COUNT(blob_state_words)};
const struct db_names db_task_state_names = {task_state_words, DB_COUNT(task_state_words)};
const struct db_names db_task_unit_names = {task_unit_words, DB_COUNT(task_unit_words)};
const struct db_names db_task_level_names = {task_level_words, DB_COUNT(task_level_words)};

static const char *word(const struct db_names *names, size_t index)
{
    CP_ASSERT(index < names->count);
    return names->names[index];
}

const char *db_access_name(enum db_access access)
{
    return word(&db_access_names, access);
}

bool db_access_parse(const char *text, enum db_access *ret_access)
{
    size_t index;

    if (!db_names_find(&db_access_names, text, &index)) {
        return false;
    }
    *ret_access = (enum db_access)index;
    return true;
}

const char *db_policy_name(enum db_policy policy)
{
    return word(&db_policy_names, policy);
}

bool db_policy_parse(const char *text, enum db_policy *ret_policy)
{
    size_t index;

    if (!db_names_find(&db_policy_names, text, &index)) {
        return false;
    }
    *ret_policy = (enum db_policy)index;
    return true;
}

const char *db_rate_control_name(enum db_rate_control control)
{
    return word(&db_rate_control_names, control);
}

bool db_rate_control_parse(const char *text, enum db_rate_control *ret_control)
{
    size_t index;

    if (!db_names_find(&db_rate_control_names, text, &index)) {
        return false;
    }
    *ret_control = (enum db_rate_control)index;
    return true;
}

const char *db_mac_name(enum db_mac mac)
{
    return word(&db_mac_names, mac);
}

const char *db_promotion_kind_name(enum db_promotion_kind kind)
{
    return word(&db_promotion_kind_names, kind);
}

const char *db_version_state_name(enum db_version_state state)
{
    return word(&db_version_state_names, state);
}

const char *db_key_kind_name(enum db_key_kind kind)
{
    return word(&db_key_kind_names, kind);
}

const char *db_key_state_name(enum db_key_state state)
{
    return word(&db_key_state_names, state);
}

bool db_key_kind_parse(const char *text, enum db_key_kind *ret_kind)
{
    size_t index;

    if (!db_names_find(&db_key_kind_names, text, &index)) {
        return false;
    }
    *ret_kind = (enum db_key_kind)index;
    return true;
}

const char *db_role_name(enum db_role role)
{
    return word(&db_role_names, role);
}

bool db_role_parse(const char *text, enum db_role *ret_role)
{
    size_t index;

    if (!db_names_find(&db_role_names, text, &index) || index == DB_ROLE_NONE) {
        return false;
    }
    *ret_role = (enum db_role)index;
    return true;
}

const char *db_session_state_name(enum db_session_state state)
{
    return word(&db_session_state_names, state);
}

bool db_session_state_parse(const char *text, enum db_session_state *ret_state)
{
    size_t index;

    if (!db_names_find(&db_session_state_names, text, &index)) {
        return false;
    }
    *ret_state = (enum db_session_state)index;
    return true;
}

bool db_session_ended(enum db_session_state state)
{
    return state >= DB_SESSION_FINISHED;
}

const char *db_receiver_state_name(enum db_receiver_state state)
{
    return word(&db_receiver_state_names, state);
}

bool db_receiver_state_parse(const char *text, enum db_receiver_state *ret_state)
{
    size_t index;

    if (!db_names_find(&db_receiver_state_names, text, &index)) {
        return false;
    }
    *ret_state = (enum db_receiver_state)index;
    return true;
}

bool db_receiver_active(enum db_receiver_state state)
{
    return state <= DB_RECEIVER_VERIFYING;
}

const char *db_blob_state_name(enum db_blob_state state)
{
    return word(&db_blob_state_names, state);
}

bool db_blob_state_parse(const char *text, enum db_blob_state *ret_state)
{
    size_t index;

    if (!db_names_find(&db_blob_state_names, text, &index)) {
        return false;
    }
    *ret_state = (enum db_blob_state)index;
    return true;
}

const char *db_task_state_name(enum db_task_state state)
{
    return word(&db_task_state_names, state);
}

bool db_task_state_parse(const char *text, enum db_task_state *ret_state)
{
    size_t index;

    if (!db_names_find(&db_task_state_names, text, &index)) {
        return false;
    }
    *ret_state = (enum db_task_state)index;
    return true;
}

const char *db_task_unit_name(enum db_task_unit unit)
{
    return word(&db_task_unit_names, unit);
}

const char *db_task_level_name(enum db_task_level level)
{
    return word(&db_task_level_names, level);
}
