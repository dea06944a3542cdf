/* SPDX-License-Identifier: Apache-2.0
 * Certificates by GnuTLS, the library that libmicrohttpd's TLS stands on. */
#include "server/tls_cert.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "common/base64.h"
#include "common/clock.h"
#include "server/state_file.h"

#define CERT_NAME  "cert.pem"
#define KEY_NAME   "key.pem"
#define PEM_MAX    ((size_t)1024 * 1024)
#define CHAIN_MAX  16
#define DAY        ((time_t)86400)
#define LIFE_DAYS  3650 /* clients pin the key: the end of the certificate is no use to them */
#define RENEW_DAYS 30
/* Clocks of machines that boot an installer are often wrong by hours. */
#define PAST_DAYS 1

static enum cp_err failed(struct cp_error *err, enum cp_err code, const char *what, int rc)
{
    return cp_error_set(err, code, "%s: %s", what, gnutls_strerror(rc));
}

static time_t now_seconds(void)
{
    return (time_t)(cp_clock_wall() / CP_SEC);
}

static void wipe_key(char *pem)
{
    if (pem != NULL) {
        gnutls_memset(pem, 0, strlen(pem));
        free(pem);
    }
}

void srv_tls_done(struct srv_tls *tls)
{
    free(tls->cert_pem);
    wipe_key(tls->key_pem);
    memset(tls, 0, sizeof *tls);
}

static enum cp_err import_key(const char *pem, size_t size, const char *path,
                              gnutls_x509_privkey_t *ret_key, struct cp_error *err)
{
    gnutls_datum_t data = {(unsigned char *)(uintptr_t)pem, (unsigned)size};
    gnutls_x509_privkey_t key;
    int rc = gnutls_x509_privkey_init(&key);

    if (rc < 0) {
        return failed(err, CP_ERR_NO_MEMORY, path, rc);
    }
    rc = gnutls_x509_privkey_import2(key, &data, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN);
    if (rc < 0) {
        gnutls_x509_privkey_deinit(key);
        return failed(err, CP_ERR_USAGE, path, rc);
    }
    *ret_key = key;
    return CP_OK;
}

/* The chain's first certificate: the service's own. */
static enum cp_err import_leaf(const char *pem, size_t size, const char *path,
                               gnutls_x509_crt_t *ret_leaf, struct cp_error *err)
{
    gnutls_datum_t data = {(unsigned char *)(uintptr_t)pem, (unsigned)size};
    gnutls_x509_crt_t chain[CHAIN_MAX];
    unsigned count = CHAIN_MAX;
    int rc = gnutls_x509_crt_list_import(chain, &count, &data, GNUTLS_X509_FMT_PEM, 0);

    if (rc <= 0) {
        return failed(err, CP_ERR_USAGE, path, rc == 0 ? GNUTLS_E_NO_CERTIFICATE_FOUND : rc);
    }
    for (int i = 1; i < rc; i++) {
        gnutls_x509_crt_deinit(chain[i]);
    }
    *ret_leaf = chain[0];
    return CP_OK;
}

static enum cp_err fill_digests(gnutls_x509_crt_t leaf, struct srv_tls *tls, struct cp_error *err)
{
    unsigned char digest[32];
    size_t size = sizeof digest;
    char *at = tls->fingerprint;
    int rc = gnutls_x509_crt_get_fingerprint(leaf, GNUTLS_DIG_SHA256, digest, &size);

    if (rc < 0) {
        return failed(err, CP_ERR_INTERNAL, "certificate's fingerprint", rc);
    }
    for (size_t i = 0; i < size; i++) {
        at += snprintf(at, 4, i == 0 ? "%02X" : ":%02X", digest[i]);
    }
    size = sizeof digest;
    rc = gnutls_x509_crt_get_key_id(leaf, GNUTLS_KEYID_USE_SHA256, digest, &size);
    if (rc < 0) {
        return failed(err, CP_ERR_INTERNAL, "certificate's key", rc);
    }
    at = tls->pin + snprintf(tls->pin, sizeof tls->pin, "sha256//");
    (void)cp_base64_encode(CP_BASE64_STD, digest, size, at);
    return CP_OK;
}

/* Does the key belong to the certificate? GnuTLS would find out at the first handshake only. */
static enum cp_err check_match(gnutls_x509_crt_t leaf, gnutls_x509_privkey_t key, const char *path,
                               struct cp_error *err)
{
    unsigned char a[32];
    unsigned char b[32];
    size_t a_size = sizeof a;
    size_t b_size = sizeof b;

    if (gnutls_x509_crt_get_key_id(leaf, GNUTLS_KEYID_USE_SHA256, a, &a_size) < 0 ||
        gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, b, &b_size) < 0 ||
        a_size != b_size || memcmp(a, b, a_size) != 0) {
        return cp_error_set(err, CP_ERR_USAGE, "%s: is not the certificate's private key", path);
    }
    return CP_OK;
}

/* Takes both texts over; on failure they are freed. */
static enum cp_err make_tls(char *cert_pem, char *key_pem, const char *key_path,
                            struct srv_tls *ret_tls, struct cp_error *err)
{
    struct srv_tls tls = {.cert_pem = cert_pem, .key_pem = key_pem};
    gnutls_x509_crt_t leaf = NULL;
    gnutls_x509_privkey_t key = NULL;
    enum cp_err rc = import_leaf(cert_pem, strlen(cert_pem), "certificate", &leaf, err);

    if (rc == CP_OK) {
        rc = import_key(key_pem, strlen(key_pem), key_path, &key, err);
    }
    if (rc == CP_OK) {
        rc = check_match(leaf, key, key_path, err);
    }
    if (rc == CP_OK) {
        rc = fill_digests(leaf, &tls, err);
    }
    if (leaf != NULL) {
        gnutls_x509_crt_deinit(leaf);
    }
    if (key != NULL) {
        gnutls_x509_privkey_deinit(key);
    }
    if (rc != CP_OK) {
        srv_tls_done(&tls);
        return rc;
    }
    *ret_tls = tls;
    return CP_OK;
}

enum cp_err srv_tls_load(const char *cert_path, const char *key_path, struct srv_tls *ret_tls,
                         struct cp_error *err)
{
    char *cert = NULL;
    char *key = NULL;
    size_t size;

    if (srv_state_read(NULL, cert_path, PEM_MAX, &cert, &size, err) != CP_OK ||
        srv_state_read(NULL, key_path, PEM_MAX, &key, &size, err) != CP_OK) {
        free(cert);
        if (err != NULL) {
            err->code = CP_ERR_USAGE;
        }
        return CP_ERR_USAGE;
    }
    return make_tls(cert, key, key_path, ret_tls, err);
}

/* ---- self-signed ---- */

static int add_bytes(gnutls_x509_crt_t crt, const void *address, unsigned size)
{
    return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, address, size,
                                                GNUTLS_FSAN_APPEND);
}

static int add_v4(gnutls_x509_crt_t crt, const struct in_addr *a)
{
    return a->s_addr == htonl(INADDR_ANY) ? 0 : add_bytes(crt, a, sizeof *a);
}

/* A link-local address means nothing without an interface, which a URL seldom names. */
static int add_v6(gnutls_x509_crt_t crt, const struct in6_addr *a)
{
    bool skip = IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_UNSPECIFIED(a);

    return skip ? 0 : add_bytes(crt, a, sizeof *a);
}

static int add_address(gnutls_x509_crt_t crt, const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        return add_v4(crt, &((const struct sockaddr_in *)(const void *)sa)->sin_addr);
    }
    if (sa->sa_family == AF_INET6) {
        return add_v6(crt, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
    }
    return 0;
}

static int add_name(gnutls_x509_crt_t crt, const char *name)
{
    return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
                                                (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

static int add_text_address(gnutls_x509_crt_t crt, const char *text)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        return add_v4(crt, &v4);
    }
    return inet_pton(AF_INET6, text, &v6) == 1 ? add_v6(crt, &v6) : 0;
}

/* Names under which clients may come: a check of the host's name should then succeed too. */
static int add_names(gnutls_x509_crt_t crt, const char *host, const char *listen_host)
{
    struct ifaddrs *list = NULL;
    int rc = add_name(crt, "localhost");

    if (rc >= 0 && strcmp(host, "localhost") != 0) {
        rc = add_name(crt, host);
    }
    if (rc >= 0) {
        rc = add_text_address(crt, listen_host);
    }
    if (getifaddrs(&list) != 0) {
        return rc < 0 ? rc : add_text_address(crt, "127.0.0.1");
    }
    for (const struct ifaddrs *i = list; rc >= 0 && i != NULL; i = i->ifa_next) {
        if (i->ifa_addr != NULL) {
            rc = add_address(crt, i->ifa_addr);
        }
    }
    freeifaddrs(list);
    return rc < 0 ? rc : add_text_address(crt, "127.0.0.1");
}

static int set_fields(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *host)
{
    unsigned char serial[16];
    time_t now = now_seconds();
    int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);

    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and never shorter */
    rc = rc < 0 ? rc : gnutls_x509_crt_set_version(crt, 3);
    rc = rc < 0 ? rc : gnutls_x509_crt_set_serial(crt, serial, sizeof serial);
    rc = rc < 0 ? rc : gnutls_x509_crt_set_activation_time(crt, now - PAST_DAYS * DAY);
    rc = rc < 0 ? rc : gnutls_x509_crt_set_expiration_time(crt, now + LIFE_DAYS * DAY);
    /* A common name holds 64 characters at most (RFC 5280, ub-common-name). */
    rc = rc < 0 ? rc
                : gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, host,
                                                (unsigned)strnlen(host, 64));
    rc = rc < 0 ? rc : gnutls_x509_crt_set_key(crt, key);
    rc = rc < 0 ? rc : gnutls_x509_crt_set_basic_constraints(crt, 0, -1);
    rc = rc < 0 ? rc : gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
    return rc < 0 ? rc : gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
}

static char *text_of(const gnutls_datum_t *data)
{
    char *text = malloc((size_t)data->size + 1);

    if (text != NULL) {
        memcpy(text, data->data, data->size);
        text[data->size] = '\0';
    }
    return text;
}

static enum cp_err write_cert(const char *dir, const char *listen_host, gnutls_x509_privkey_t key,
                              char **ret_pem, struct cp_error *err)
{
    gnutls_x509_crt_t crt = NULL;
    gnutls_datum_t out = {NULL, 0};
    char host[65] = "castpoint";
    char *pem;
    int rc = gnutls_x509_crt_init(&crt);

    (void)gethostname(host, sizeof host - 1);
    rc = rc < 0 ? rc : set_fields(crt, key, host);
    rc = rc < 0 ? rc : add_names(crt, host, listen_host);
    rc = rc < 0 ? rc : gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
    rc = rc < 0 ? rc : gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out);
    if (crt != NULL) {
        gnutls_x509_crt_deinit(crt);
    }
    if (rc < 0) {
        return failed(err, CP_ERR_INTERNAL, "making a certificate", rc);
    }
    pem = text_of(&out);
    gnutls_free(out.data);
    if (pem == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "making a certificate");
    }
    if (srv_state_write(dir, CERT_NAME, pem, strlen(pem), err) != CP_OK) {
        free(pem);
        return CP_ERR_STORAGE;
    }
    *ret_pem = pem;
    return CP_OK;
}

/* A new key, on the disk before any certificate names it. */
static enum cp_err make_key(const char *dir, char **ret_pem, struct cp_error *err)
{
    gnutls_x509_privkey_t key = NULL;
    gnutls_datum_t out = {NULL, 0};
    char *pem;
    int rc = gnutls_x509_privkey_init(&key);

    rc = rc < 0 ? rc
                : gnutls_x509_privkey_generate(key, GNUTLS_PK_EC,
                                               GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    rc = rc < 0 ? rc
                : gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
                                                    GNUTLS_PKCS_PLAIN, &out);
    if (key != NULL) {
        gnutls_x509_privkey_deinit(key);
    }
    if (rc < 0) {
        return failed(err, CP_ERR_INTERNAL, "making a TLS key", rc);
    }
    pem = text_of(&out);
    gnutls_memset(out.data, 0, out.size);
    gnutls_free(out.data);
    if (pem == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "making a TLS key");
    }
    if (srv_state_write(dir, KEY_NAME, pem, strlen(pem), err) != CP_OK) {
        wipe_key(pem);
        return CP_ERR_STORAGE;
    }
    *ret_pem = pem;
    return CP_OK;
}

/* Is the certificate good for a while, and this key's? */
static bool cert_usable(const char *pem, gnutls_x509_privkey_t key)
{
    gnutls_x509_crt_t leaf = NULL;
    bool usable;

    if (import_leaf(pem, strlen(pem), CERT_NAME, &leaf, NULL) != CP_OK) {
        return false;
    }
    usable = gnutls_x509_crt_get_expiration_time(leaf) > now_seconds() + RENEW_DAYS * DAY &&
             check_match(leaf, key, KEY_NAME, NULL) == CP_OK;
    gnutls_x509_crt_deinit(leaf);
    return usable;
}

static enum cp_err read_or_make_cert(const char *dir, const char *listen_host, const char *key_pem,
                                     char **ret_pem, struct cp_error *err)
{
    gnutls_x509_privkey_t key;
    char *pem = NULL;
    size_t size;
    enum cp_err rc;

    CP_TRY(import_key(key_pem, strlen(key_pem), KEY_NAME, &key, err));
    rc = srv_state_read(dir, CERT_NAME, PEM_MAX, &pem, &size, err);
    if (rc == CP_ERR_NOT_FOUND || (rc == CP_OK && !cert_usable(pem, key))) {
        free(pem);
        pem = NULL;
        rc = write_cert(dir, listen_host, key, &pem, err);
    }
    gnutls_x509_privkey_deinit(key);
    if (rc == CP_OK) {
        *ret_pem = pem;
    }
    return rc;
}

enum cp_err srv_tls_self_signed(const char *dir, const char *listen_host, struct srv_tls *ret_tls,
                                struct cp_error *err)
{
    char *cert = NULL;
    char *key = NULL;
    size_t size;
    enum cp_err rc = srv_state_read(dir, KEY_NAME, PEM_MAX, &key, &size, err);

    if (rc == CP_ERR_NOT_FOUND) {
        rc = make_key(dir, &key, err);
    }
    CP_TRY(rc);
    rc = read_or_make_cert(dir, listen_host, key, &cert, err);
    if (rc != CP_OK) {
        wipe_key(key);
        return rc;
    }
    return make_tls(cert, key, KEY_NAME, ret_tls, err);
}
