/* SPDX-License-Identifier: Apache-2.0
 * The table of states. */
#include "keys/states.h"

#define NONE DB_KEY_STATE_COUNT /* cannot happen */

/* clang-format off */
static const enum db_key_state next[DB_KEY_STATE_COUNT][KEYS_CHANGE_COUNT] = {
    /*                   activate        supersede       retire          revoke          damage          heal            restore */
    [DB_KEY_PENDING] = {DB_KEY_ACTIVE,  NONE,           DB_KEY_RETIRED, DB_KEY_REVOKED, DB_KEY_DAMAGED, NONE,           NONE},
    [DB_KEY_ACTIVE]  = {NONE,           DB_KEY_OVERLAP, DB_KEY_RETIRED, DB_KEY_REVOKED, DB_KEY_DAMAGED, NONE,           NONE},
    [DB_KEY_OVERLAP] = {NONE,           NONE,           DB_KEY_RETIRED, DB_KEY_REVOKED, DB_KEY_DAMAGED, NONE,           NONE},
    [DB_KEY_RETIRED] = {NONE,           NONE,           NONE,           DB_KEY_REVOKED, NONE,           NONE,           NONE},
    [DB_KEY_REVOKED] = {NONE,           NONE,           NONE,           NONE,           NONE,           NONE,           NONE},
    [DB_KEY_DAMAGED] = {NONE,           NONE,           DB_KEY_RETIRED, DB_KEY_REVOKED, DB_KEY_DAMAGED, DB_KEY_ACTIVE,  DB_KEY_OVERLAP},
};
/* clang-format on */

bool keys_next_state(enum db_key_state from, enum keys_change change, enum db_key_state *ret_to)
{
    enum db_key_state to;

    CP_ASSERT((size_t)from < DB_KEY_STATE_COUNT && (size_t)change < KEYS_CHANGE_COUNT);
    to = next[from][change];
    if (to == NONE) {
        return false;
    }
    *ret_to = to;
    return true;
}

bool keys_state_signs(enum db_key_state state)
{
    return state == DB_KEY_ACTIVE;
}

bool keys_state_vouches(enum db_key_state state)
{
    return state == DB_KEY_ACTIVE || state == DB_KEY_OVERLAP;
}
