/* SPDX-License-Identifier: Apache-2.0
 * Judging client certificates with a trust list of our own: libmicrohttpd does not hand out its
 * credentials, so that no revocation list could be put there. */
#include "server/http_tls.h"

#include <gnutls/x509.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/hex.h"
#include "common/log.h"

/* Certificates of one chain; longer ones do not occur. */
#define CHAIN_MAX 8

/* What tells whether a file was replaced. */
struct file_mark {
    struct timespec changed;
    off_t size;
    ino_t inode;
};

struct srv_trust {
    pthread_rwlock_t lock;
    gnutls_x509_trust_list_t list;
    time_t until;      /* when the first revocation list runs out; 0: there is none */
    gnutls_datum_t ca; /* owned */
    char crl[1024];    /* path, "" none */
    struct file_mark mark;
};

static bool mark_of(const char *path, struct file_mark *ret_mark)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return false;
    }
    ret_mark->changed = st.st_mtim;
    ret_mark->size = st.st_size;
    ret_mark->inode = st.st_ino;
    return true;
}

static bool same_mark(const struct file_mark *a, const struct file_mark *b)
{
    return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->size == b->size && a->inode == b->inode;
}

/* Whether the authorities signed it; its dates are looked at when a certificate is. GnuTLS has no
 * way to leave them out here, and says INVALID beside them. */
static bool is_signed(gnutls_x509_crl_t crl, const gnutls_x509_crt_t *cas, unsigned ca_count)
{
    const unsigned dates =
        GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED | GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE;
    unsigned status = 0;

    if (gnutls_x509_crl_verify(crl, cas, ca_count, 0, &status) < 0) {
        return false;
    }
    return status == 0 || ((status & dates) != 0 && (status & ~(dates | GNUTLS_CERT_INVALID)) == 0);
}

/* Hands the revocation lists of a file to the trust list; false: not all are of the authorities.
 * *ret_until: when the first of them runs out, for an old one does not tell what was revoked
 * since. */
static bool add_lists(gnutls_x509_trust_list_t list, const gnutls_datum_t *pem,
                      const gnutls_datum_t *ca, time_t *ret_until)
{
    gnutls_x509_crt_t *cas = NULL;
    gnutls_x509_crl_t *crls = NULL;
    unsigned ca_count = 0;
    unsigned count = 0;
    bool good = gnutls_x509_crt_list_import2(&cas, &ca_count, ca, GNUTLS_X509_FMT_PEM, 0) == 0 &&
                gnutls_x509_crl_list_import2(&crls, &count, pem, GNUTLS_X509_FMT_PEM, 0) == 0;
    time_t first = 0;

    for (unsigned i = 0; i < count; i++) {
        time_t end = gnutls_x509_crl_get_next_update(crls[i]);

        first = end != (time_t)-1 && (first == 0 || end < first) ? end : first;
        good = good && is_signed(crls[i], cas, ca_count);
    }
    if (good && count > 0) {
        good = gnutls_x509_trust_list_add_crls(list, crls, count, 0, 0) == (int)count;
    } else {
        good = false;
        for (unsigned i = 0; i < count; i++) {
            gnutls_x509_crl_deinit(crls[i]);
        }
    }
    for (unsigned i = 0; i < ca_count; i++) {
        gnutls_x509_crt_deinit(cas[i]);
    }
    gnutls_free(cas);
    gnutls_free(crls);
    *ret_until = first;
    return good;
}

/* A list with the authorities and what they revoked. */
static enum cp_err make_list(const struct srv_trust *t, gnutls_x509_trust_list_t *ret_list,
                             time_t *ret_until, struct cp_error *err)
{
    gnutls_datum_t crl = {.data = NULL};
    gnutls_x509_trust_list_t list;
    time_t until = 0;
    bool good = true;

    if (gnutls_x509_trust_list_init(&list, 0) != 0) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "client-ca");
    }
    if (gnutls_x509_trust_list_add_trust_mem(list, &t->ca, NULL, GNUTLS_X509_FMT_PEM, 0, 0) <= 0) {
        gnutls_x509_trust_list_deinit(list, 1);
        return cp_error_set(err, CP_ERR_USAGE, "client-ca: the file has no certificate (PEM)");
    }
    if (t->crl[0] != '\0') {
        good = gnutls_load_file(t->crl, &crl) == 0 && add_lists(list, &crl, &t->ca, &until);
        gnutls_free(crl.data);
    }
    if (!good) {
        gnutls_x509_trust_list_deinit(list, 1);
        return cp_error_set(err, CP_ERR_USAGE,
                            "client-crl '%s': not a revocation list (PEM) of --client-ca", t->crl);
    }
    *ret_list = list;
    *ret_until = until;
    return CP_OK;
}

enum cp_err srv_trust_new(const char *ca, const char *crl, struct srv_trust **ret_trust,
                          struct cp_error *err)
{
    struct srv_trust *t = calloc(1, sizeof *t);
    enum cp_err rc;

    if (t == NULL || pthread_rwlock_init(&t->lock, NULL) != 0) {
        free(t);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "client-ca");
    }
    (void)snprintf(t->crl, sizeof t->crl, "%s", crl);
    (void)mark_of(t->crl, &t->mark);
    if (gnutls_load_file(ca, &t->ca) != 0) {
        rc = cp_error_set(err, CP_ERR_USAGE, "client-ca '%s': cannot be read", ca);
    } else {
        rc = make_list(t, &t->list, &t->until, err);
    }
    if (rc != CP_OK) {
        srv_trust_free(t);
        return rc;
    }
    *ret_trust = t;
    return CP_OK;
}

void srv_trust_free(struct srv_trust *t)
{
    if (t != NULL) {
        if (t->list != NULL) {
            gnutls_x509_trust_list_deinit(t->list, 1);
        }
        gnutls_free(t->ca.data);
        (void)pthread_rwlock_destroy(&t->lock);
        free(t);
    }
}

const char *srv_trust_pem(const struct srv_trust *t)
{
    return (const char *)t->ca.data; /* gnutls_load_file() puts a NUL behind */
}

/* A new revocation list counts from the next request on. One that cannot be read leaves the former
 * one in place, until the file changes again. */
static void refresh(struct srv_trust *t)
{
    struct cp_error err = {.code = CP_OK};
    gnutls_x509_trust_list_t list;
    struct file_mark mark;
    time_t until;
    bool same;

    if (t->crl[0] == '\0' || !mark_of(t->crl, &mark)) {
        return;
    }
    (void)pthread_rwlock_rdlock(&t->lock);
    same = same_mark(&mark, &t->mark);
    (void)pthread_rwlock_unlock(&t->lock);
    if (same) {
        return;
    }
    (void)pthread_rwlock_wrlock(&t->lock);
    if (!same_mark(&mark, &t->mark)) {
        t->mark = mark;
        if (make_list(t, &list, &until, &err) == CP_OK) {
            gnutls_x509_trust_list_deinit(t->list, 1);
            t->list = list;
            t->until = until;
            cp_log(CP_LOG_INFO, "revocation-list-read", "file", t->crl, NULL);
        } else {
            cp_log_error(CP_LOG_WARN, "revocation-list-not-read", &err);
        }
    }
    (void)pthread_rwlock_unlock(&t->lock);
}

static enum api_certificate_state state_of(unsigned status)
{
    if (status == 0) {
        return API_CERTIFICATE_VALID;
    }
    if ((status & GNUTLS_CERT_REVOKED) != 0) {
        return API_CERTIFICATE_REVOKED;
    }
    if ((status & GNUTLS_CERT_SIGNER_NOT_FOUND) != 0) {
        return API_CERTIFICATE_FOREIGN;
    }
    if ((status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED)) != 0) {
        return API_CERTIFICATE_EXPIRED;
    }
    if ((status & (GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED |
                   GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE)) != 0) {
        return API_CERTIFICATE_UNCHECKED;
    }
    return API_CERTIFICATE_FOREIGN;
}

/* "" when it is longer than we keep: such a certificate can be given to an account by its digest
 * only. */
static void copy_name(int rc, gnutls_datum_t *name, char ret_name[API_NAME_SIZE])
{
    ret_name[0] = '\0';
    if (rc == 0) {
        if (name->size < API_NAME_SIZE) {
            memcpy(ret_name, name->data, name->size);
            ret_name[name->size] = '\0';
        }
        gnutls_free(name->data);
    }
}

static void describe(gnutls_x509_crt_t own, struct api_certificate *ret)
{
    gnutls_datum_t name = {.data = NULL};
    unsigned char digest[32] = {0};
    size_t size = sizeof digest;
    int rc = gnutls_x509_crt_get_fingerprint(own, GNUTLS_DIG_SHA256, digest, &size);

    CP_ASSERT(rc == 0 && size == sizeof digest);
    cp_hex_encode(digest, sizeof digest, ret->sha256);
    rc = gnutls_x509_crt_get_dn3(own, &name, 0);
    copy_name(rc, &name, ret->subject);
    rc = gnutls_x509_crt_get_issuer_dn3(own, &name, 0);
    copy_name(rc, &name, ret->issuer);
}

static unsigned verify(struct srv_trust *t, gnutls_x509_crt_t *chain, unsigned count)
{
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    unsigned status = 0;
    int rc;

    (void)pthread_rwlock_rdlock(&t->lock);
    rc = gnutls_x509_trust_list_verify_crt2(t->list, chain, count, &purpose, 1, 0, &status, NULL);
    if (t->until != 0 && (uint64_t)t->until * CP_SEC < cp_clock_wall()) {
        status |= GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED;
    }
    (void)pthread_rwlock_unlock(&t->lock);
    return rc == 0 ? status : (unsigned)GNUTLS_CERT_INVALID;
}

bool srv_trust_judge(struct srv_trust *t, const gnutls_datum_t *chain, unsigned count,
                     struct api_certificate *ret_certificate)
{
    gnutls_x509_crt_t certificates[CHAIN_MAX];
    struct api_certificate c = {.state = API_CERTIFICATE_FOREIGN};
    unsigned made = 0;
    bool found = false;

    refresh(t);
    while (made < count && made < CHAIN_MAX && gnutls_x509_crt_init(&certificates[made]) == 0) {
        made++;
        if (gnutls_x509_crt_import(certificates[made - 1], &chain[made - 1], GNUTLS_X509_FMT_DER) !=
            0) {
            break;
        }
        found = true; /* the client's own at least */
    }
    if (found) {
        describe(certificates[0], &c);
        if (made == count) {
            c.state = state_of(verify(t, certificates, count));
        }
        *ret_certificate = c;
    }
    while (made > 0) {
        gnutls_x509_crt_deinit(certificates[--made]);
    }
    return found;
}

bool srv_trust_peer(struct srv_trust *t, struct MHD_Connection *connection,
                    struct api_certificate *ret_certificate)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    const gnutls_datum_t *chain;
    unsigned count = 0;

    if (info == NULL || info->tls_session == NULL) {
        return false;
    }
    chain = gnutls_certificate_get_peers(info->tls_session, &count);
    return chain != NULL && count > 0 && srv_trust_judge(t, chain, count, ret_certificate);
}
