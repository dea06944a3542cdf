/* SPDX-License-Identifier: Apache-2.0
 * Making and checking one key. The private half is sealed for its node, kind and fingerprint, so
 * that a row's parts cannot be exchanged for another's. */
#include "keys/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "content/certificate.h"
#include "keys/credentials.h"

#define PURPOSE_SIZE 192

static void set_purpose(const struct db_key *row, char ret_purpose[PURPOSE_SIZE])
{
    (void)snprintf(ret_purpose, PURPOSE_SIZE, "key %s %s %s", row->node_id,
                   db_key_kind_name(row->kind), row->fingerprint);
}

static bool refuse(char reason[DB_TEXT_SIZE], const char *text)
{
    (void)snprintf(reason, DB_TEXT_SIZE, "%s", text);
    return false;
}

static bool unseal(const struct db_key *row, const uint8_t *master_key, struct jws_key *ret_pair)
{
    struct keys_sealed sealed = {row->private_sealed, row->private_sealed_size};
    uint8_t secret[JWS_KEY_SIZE];
    char purpose[PURPOSE_SIZE];
    size_t size = 0;
    bool ok;

    set_purpose(row, purpose);
    ok = keys_unseal(master_key, purpose, sealed, secret, sizeof secret, &size) == CP_OK &&
         size == sizeof secret && jws_key_from_secret(secret, ret_pair) == CP_OK;
    keys_wipe(secret, sizeof secret);
    return ok;
}

/* What the key signs, its public part accepts. */
static bool signs(const struct jws_key *pair, const uint8_t public_key[JWS_KEY_SIZE])
{
    static const char probe[] = "castpoint self-check";
    char *jws = NULL;
    bool ok = jws_sign_detached(pair, probe, sizeof probe - 1, &jws) == CP_OK &&
              jws_verify_detached(public_key, jws, probe, sizeof probe - 1, NULL) == CP_OK;

    free(jws);
    return ok;
}

bool keys_check(const struct db_key *row, const uint8_t *master_key, struct jws_key *ret_pair,
                char ret_reason[DB_TEXT_SIZE])
{
    char fingerprint[JWS_FINGERPRINT_SIZE];
    struct jws_key pair;
    bool ok;

    if (row->public_key_size != JWS_KEY_SIZE ||
        jws_fingerprint(row->public_key, fingerprint) != CP_OK ||
        strcmp(fingerprint, row->fingerprint) != 0) {
        return refuse(ret_reason, "its public key or its fingerprint is damaged");
    }
    if (!unseal(row, master_key, &pair)) {
        return refuse(ret_reason,
                      "its private key is damaged or was sealed under another master key");
    }
    ok = memcmp(pair.public_key, row->public_key, JWS_KEY_SIZE) == 0 &&
         signs(&pair, row->public_key);
    if (ok) {
        *ret_pair = pair;
    }
    jws_key_wipe(&pair);
    return ok || refuse(ret_reason, "its private and its public key do not belong together");
}

static enum keys_certificate wrong(char reason[DB_TEXT_SIZE], const char *text)
{
    (void)refuse(reason, text);
    return KEYS_CERTIFICATE_WRONG;
}

enum keys_certificate keys_check_certificate(const struct db_key *row,
                                             const uint8_t identity[JWS_KEY_SIZE], uint64_t now_ns,
                                             char ret_reason[DB_TEXT_SIZE])
{
    struct certificate certificate;
    uint64_t not_after = 0;

    if (certificate_verify(identity, row->certificate, 0, &certificate, NULL) != CP_OK) {
        return wrong(ret_reason, "its certificate is damaged or not by the present identity key");
    }
    if (memcmp(certificate.public_key, row->public_key, JWS_KEY_SIZE) != 0 ||
        strcmp(certificate.node, row->node_id) != 0) {
        return wrong(ret_reason, "its certificate is for another key or another node");
    }
    if (certificate_verify(identity, row->certificate, now_ns, &certificate, NULL) != CP_OK ||
        certificate_time_parse(certificate.not_after, &not_after) != CP_OK ||
        not_after < now_ns + KEYS_CERTIFICATE_RENEWAL) {
        (void)refuse(ret_reason, "its certificate has ended, ends soon, or begins in the future");
        return KEYS_CERTIFICATE_ENDING;
    }
    return KEYS_CERTIFICATE_GOOD;
}

enum cp_err keys_certify(const struct jws_key *identity, uint64_t now_ns, uint64_t until_ns,
                         struct db_key *row)
{
    struct certificate certificate = {.node = ""};
    char *jws = NULL;
    enum cp_err rc;

    row->not_before = now_ns;
    row->not_after = until_ns != 0 ? until_ns : now_ns + KEYS_CERTIFICATE_LIFETIME;
    memcpy(certificate.public_key, row->public_key, JWS_KEY_SIZE);
    (void)snprintf(certificate.node, sizeof certificate.node, "%s", row->node_id);
    cp_clock_rfc3339(row->not_before, certificate.not_before);
    cp_clock_rfc3339(row->not_after, certificate.not_after);
    CP_TRY(certificate_sign(identity, &certificate, &jws));
    rc = strlen(jws) < sizeof row->certificate ? CP_OK : CP_ERR_INTERNAL;
    if (rc == CP_OK) {
        (void)snprintf(row->certificate, sizeof row->certificate, "%s", jws);
    }
    free(jws);
    return rc;
}

enum cp_err keys_make(const struct keys_spec *spec, struct db_key *ret_row,
                      struct jws_key *ret_pair)
{
    struct db_key row = {.kind = spec->kind, .public_key_size = JWS_KEY_SIZE};
    char purpose[PURPOSE_SIZE];
    struct jws_key pair;
    enum cp_err rc;

    CP_ASSERT((spec->identity != NULL) == (spec->kind == DB_KEY_MULTICAST));
    CP_TRY(jws_key_make(&pair));
    (void)snprintf(row.node_id, sizeof row.node_id, "%s", spec->node_id);
    memcpy(row.public_key, pair.public_key, JWS_KEY_SIZE);
    rc = jws_fingerprint(pair.public_key, row.fingerprint);
    if (rc == CP_OK) {
        set_purpose(&row, purpose);
        _Static_assert(JWS_KEY_SIZE + KEYS_SEAL_OVERHEAD <= DB_SEALED_SIZE,
                       "room for a sealed key");
        rc = keys_seal(spec->master_key, purpose, pair.secret, JWS_KEY_SIZE, row.private_sealed,
                       &row.private_sealed_size);
    }
    if (rc == CP_OK && spec->identity != NULL) {
        rc = keys_certify(spec->identity, spec->now_ns, 0, &row);
    }
    if (rc == CP_OK) {
        *ret_row = row;
        *ret_pair = pair;
    }
    jws_key_wipe(&pair);
    return rc;
}
