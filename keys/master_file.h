/* SPDX-License-Identifier: Apache-2.0
 * Inside keys/ only: files that hold a master key (32 bytes, regular, mode 0600 or less, ours).
 * Errors are CP_ERR_MASTER_KEY with a sentence. */
#ifndef KEYS_MASTER_FILE_H
#define KEYS_MASTER_FILE_H

#include <stdbool.h>

#include "keys/credentials.h"

/* CP_ERR_NOT_FOUND: there is no such file. credential: it may belong to root (systemd). */
CP_MUST_CHECK enum cp_err keys_master_read(const char *path, bool credential,
                                           uint8_t ret_key[KEYS_MASTER_SIZE], struct cp_error *err);

/* *ret_same: does the file, ours, hold that key? CP_ERR_NOT_FOUND: there is no such file. */
CP_MUST_CHECK enum cp_err keys_master_compare(const char *path, const uint8_t key[KEYS_MASTER_SIZE],
                                              bool *ret_same, struct cp_error *err);

/* Makes the file, whole or not at all (fsync, link); one that is there stays: who comes second finds
 * the first one's key. */
CP_MUST_CHECK enum cp_err keys_master_write(const char *path, const uint8_t key[KEYS_MASTER_SIZE],
                                            struct cp_error *err);

/* `next` takes the place of `path`, which, if there is one, stays as `old`. After a failure `next`
 * is still there. */
CP_MUST_CHECK enum cp_err keys_master_replace(const char *path, const char *next, const char *old,
                                              struct cp_error *err);

/* None there is fine. */
CP_MUST_CHECK enum cp_err keys_master_remove(const char *path, struct cp_error *err);

#endif
