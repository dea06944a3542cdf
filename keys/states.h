/* SPDX-License-Identifier: Apache-2.0
 * The states of a key and what may become of it, as one table. Pure. */
#ifndef KEYS_STATES_H
#define KEYS_STATES_H

#include <stdbool.h>

#include "db/key.h"

/* What can happen to a key. */
enum keys_change {
    KEYS_ACTIVATE,  /* it takes its place */
    KEYS_SUPERSEDE, /* another one takes its place; what it signed still holds */
    KEYS_RETIRE,    /* nothing of it holds any more */
    KEYS_REVOKE,    /* somebody else may have it */
    KEYS_DAMAGE,    /* its self-check failed, or another one takes a damaged key's place */
    KEYS_HEAL,      /* its self-check is good again */
    KEYS_RESTORE,   /* the same, after another one took its place */
    KEYS_CHANGE_COUNT
};

/* The state that follows. False: that cannot happen in that state. */
bool keys_next_state(enum db_key_state from, enum keys_change change, enum db_key_state *ret_to);

/* May sign what is made now; may vouch for what was signed before (an identity key: certify for
 * clients that know it only). */
bool keys_state_signs(enum db_key_state state);
bool keys_state_vouches(enum db_key_state state);

#endif
