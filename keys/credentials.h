/* SPDX-License-Identifier: Apache-2.0
 * Secrets of the service: random bytes, tokens, password hashes (scrypt), the master key file and
 * AES-256-GCM sealing under it. The one file of keys/ that uses OpenSSL. Thread-safe. */
#ifndef KEYS_CREDENTIALS_H
#define KEYS_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* Cryptographically strong. CP_ERR_INTERNAL when the generator fails. */
CP_MUST_CHECK enum cp_err keys_random(void *ret_bytes, size_t size);

/* Compares without telling by its time where the difference is. */
bool keys_equal_secret(const void *a, const void *b, size_t size);
/* Overwrites in a way that the compiler keeps. */
void keys_wipe(void *data, size_t size);

/* ---- bearer tokens: prefix + 43 characters (32 random bytes in base64url) ---- */
#define KEYS_TOKEN_SIZE      64
#define KEYS_TOKEN_HASH_SIZE 32
#define KEYS_TOKEN_ACCOUNT   "cpt_" /* of an account */
#define KEYS_TOKEN_RECEIVER  "cpr_" /* of a join */
#define KEYS_TOKEN_WEBHOOK   "cpw_" /* key of a webhook's signatures */

CP_MUST_CHECK enum cp_err keys_token_new(const char *prefix, char ret_token[KEYS_TOKEN_SIZE],
                                         uint8_t ret_hash[KEYS_TOKEN_HASH_SIZE]);
/* SHA-256 of the whole token text, what the tables hold. */
CP_MUST_CHECK enum cp_err keys_token_hash(const char *token,
                                          uint8_t ret_hash[KEYS_TOKEN_HASH_SIZE]);

/* A random password for people: 20 characters of 32 unambiguous ones (100 bits). */
#define KEYS_PASSWORD_SIZE 24
CP_MUST_CHECK enum cp_err keys_password_new(char ret_password[KEYS_PASSWORD_SIZE]);

/* ---- passwords: "scrypt$15$8$3$<salt>$<hash>", salt and hash in base64url ---- */
#define KEYS_PASSWORD_HASH_SIZE 128
CP_MUST_CHECK enum cp_err keys_password_hash(const char *password,
                                             char ret_encoded[KEYS_PASSWORD_HASH_SIZE]);
/* CP_ERR_AUTH_FAILED when it is not the password (or encoded is "" or damaged; it takes the same
 * time then; so does a hash of a lighter setting of before). About 250 ms and 32 MiB: callers limit
 * how many run at once. */
CP_MUST_CHECK enum cp_err keys_password_verify(const char *password, const char *encoded);
/* Made with another setting than keys_password_hash uses now: to be made anew when the password is
 * known. */
bool keys_password_outdated(const char *encoded);

/* ---- master key and sealing ---- */
#define KEYS_MASTER_SIZE   32
#define KEYS_SEAL_OVERHEAD 29 /* format byte, 96-bit nonce, 128-bit tag */

/* Reads the key file (exactly 32 bytes, regular, mode 0600 or less, ours); makes it when it does not
 * exist, whole or not at all (temporary name, fsync, link). CP_ERR_MASTER_KEY with a sentence. */
CP_MUST_CHECK enum cp_err keys_master_load(const char *path, uint8_t ret_key[KEYS_MASTER_SIZE],
                                           struct cp_error *err);

/* purpose: what the plaintext is and whose ("session-secret <id>"): bound to it, so that sealed
 * bytes moved to another row do not open. ret_sealed has room for size + KEYS_SEAL_OVERHEAD. */
CP_MUST_CHECK enum cp_err keys_seal(const uint8_t key[KEYS_MASTER_SIZE], const char *purpose,
                                    const void *data, size_t size, uint8_t *ret_sealed,
                                    size_t *ret_sealed_size);
/* Sealed bytes as they were stored; borrowed. */
struct keys_sealed {
    const uint8_t *data;
    size_t size;
};

/* CP_ERR_SIGNATURE: not sealed by this key for this purpose, or damaged. cap: room in ret_data. */
CP_MUST_CHECK enum cp_err keys_unseal(const uint8_t key[KEYS_MASTER_SIZE], const char *purpose,
                                      struct keys_sealed sealed, void *ret_data, size_t cap,
                                      size_t *ret_size);

/* HMAC-SHA-256 as lower-case hex: the signature of webhooks. */
CP_MUST_CHECK enum cp_err keys_hmac_hex(const char *key, const void *data, size_t size,
                                        char ret_text[65]);

/* SHA-256 of bytes as lower-case hex. */
CP_MUST_CHECK enum cp_err keys_sha256_hex(const void *data, size_t size, char ret_text[65]);

#endif
