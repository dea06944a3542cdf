/* SPDX-License-Identifier: Apache-2.0
 * First and later starts: the same steps, each of which does nothing when its work is done. */
#include "server/bootstrap.h"

#include <string.h>
#include <unistd.h>

#include "api/access/auth.h"
#include "api/access/lockout.h"
#include "api/access/negotiate.h"
#include "common/clock.h"
#include "common/log.h"
#include "content/blob.h"
#include "db/account.h"
#include "db/audit.h"
#include "db/db.h"
#include "db/event.h"
#include "db/listener.h"
#include "jobs/job.h"
#include "jobs/jobs.h"
#include "jobs/library.h"
#include "keys/care.h"
#include "keys/credentials.h"
#include "keys/master.h"
#include "server/http_tls.h"
#include "server/state_file.h"

#define CLAIM_PATIENCE (10 * CP_SEC)
/* Besides a connection for each thread that serves HTTP: scheduler, progress, ending sessions, the
 * calendar, events, webhooks, and the workers of tasks. */
#define OTHER_CONNECTIONS (6u + JOBS_WORKERS)
#define CONNECTIONS_MAX   64u
#define ADMIN             "admin"
#define ADMIN_FILE        "admin-password"

static enum cp_err sub_dir(const struct srv_config *c, const char *name, char *ret_path,
                           struct cp_error *err)
{
    (void)snprintf(ret_path, SRV_PATH_SIZE + 16, "%s/%s", c->state_dir, name);
    return srv_state_dir(ret_path, err);
}

static enum cp_err open_tls(const struct srv_config *c, struct srv_parts *p, struct cp_error *err)
{
    char dir[SRV_PATH_SIZE + 16];

    if (c->tls_cert[0] != '\0') {
        return srv_tls_load(c->tls_cert, c->tls_key, &p->tls, err);
    }
    CP_TRY(sub_dir(c, "tls", dir, err));
    return srv_tls_self_signed(dir, c->listen_host, &p->tls, err);
}

static enum cp_err open_blobs(const struct srv_config *c, struct srv_parts *p, struct cp_error *err)
{
    char dir[SRV_PATH_SIZE + 16];

    CP_TRY(sub_dir(c, "content", dir, err));
    return blob_store_open(dir, &p->blobs, err);
}

/* By the schema's owner, who then says what the service's role may do. */
static enum cp_err migrate_as_owner(const struct srv_config *c, struct db_pool *service,
                                    struct cp_error *err)
{
    struct db_pool *owner = NULL;
    char role[DB_NAME_SIZE];
    enum cp_err rc;

    CP_TRY(db_role(service, role, err));
    rc = db_pool_open(c->migrate_database, 1, &owner, err);
    if (rc == CP_OK) {
        rc = db_migrate(owner, err);
    }
    if (rc == CP_OK) {
        rc = db_grant(owner, role, err);
    }
    db_pool_close(owner);
    if (rc != CP_OK) {
        cp_error_prefix(err, "migrate-database");
    }
    return rc;
}

/* The service's own connection then looks whether it sees the same database. */
static enum cp_err migrate(const struct srv_config *c, struct db_pool *service,
                           struct cp_error *err)
{
    if (c->migrate_database[0] != '\0') {
        CP_TRY(migrate_as_owner(c, service, err));
    }
    return db_migrate(service, err);
}

static enum cp_err open_database(const struct srv_config *c, struct srv_parts *p,
                                 struct cp_error *err)
{
    unsigned size = c->threads + OTHER_CONNECTIONS;

    CP_TRY(db_pool_open(c->database, size > CONNECTIONS_MAX ? CONNECTIONS_MAX : size, &p->db, err));
    return migrate(c, p->db, err);
}

enum cp_err srv_migrate(const struct srv_config *config, struct cp_error *err)
{
    struct db_pool *service = NULL;
    enum cp_err rc = db_pool_open(config->database, 1, &service, err);

    if (rc == CP_OK) {
        rc = migrate(config, service, err);
    }
    db_pool_close(service);
    return rc;
}

struct register_arg {
    const char *name;
    struct db_node *node;
};

static enum cp_err register_node(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct register_arg *a = arg;

    CP_TRY(db_marks_sweep(conn, err));
    return db_node_register(conn, a->name, CASTPOINT_VERSION, a->node, err);
}

/* Two services under one name would send each other's sessions and replace each other's keys. A
 * killed predecessor's claim may outlive it for a moment. */
static enum cp_err claim_node(const struct srv_config *c, srv_pause *pause, struct srv_parts *p,
                              struct cp_error *err)
{
    static const char *const channels[] = {DB_CHANNEL_SESSIONS, DB_CHANNEL_RECEIVERS,
                                           DB_CHANNEL_SETTINGS};
    cp_time end = cp_clock_now() + CLAIM_PATIENCE;
    bool told = false;
    enum cp_err rc;

    CP_TRY(db_listener_open(c->database, channels, 3, &p->listener, err));
    for (;;) {
        rc = db_listener_claim(p->listener, p->node.id, err);
        if (rc != CP_ERR_CONFLICT) {
            return rc;
        }
        if (!told) {
            cp_log(CP_LOG_WARN, "name-taken", "name", c->name, "detail",
                   "another castpointd runs on this database under this name, or just ended; "
                   "waiting ten seconds for it",
                   NULL);
            told = true;
        }
        if (cp_clock_now() >= end) {
            return cp_error_set(err, CP_ERR_NODE_TAKEN,
                                "another castpointd runs on this database under the name '%s'",
                                c->name);
        }
        if (pause()) {
            return cp_error_set(err, CP_ERR_INTERRUPTED, "stopped while waiting for the node");
        }
    }
}

static enum cp_err open_keyring(const struct srv_config *c, struct srv_parts *p,
                                struct cp_error *err)
{
    struct keys_master_place place;

    CP_TRY(keys_master_find(c->master_key, c->state_dir, &place, err));
    return keys_ring_open(&place, p->db, p->node.id, &p->keyring, err);
}

static enum cp_err listen_for_tasks(const struct srv_config *c, struct srv_parts *p,
                                    struct cp_error *err)
{
    static const char *const channels[] = {DB_CHANNEL_TASKS};

    return db_listener_open(c->database, channels, 1, &p->task_listener, err);
}

/* Before the first collection. A foreign library is no reason not to start: content goes in and out,
 * and the operator sees it where he looks. */
static enum cp_err look_at_library(struct srv_parts *p, struct cp_error *err)
{
    struct jobs_context ctx = {.db = p->db, .blobs = p->blobs, .node_id = p->node.id};
    struct jobs_library library;

    CP_TRY(jobs_library_look(&ctx, false, &library, err));
    if (!library.own) {
        cp_log(CP_LOG_WARN, "library-foreign", "files", cp_log_u64(library.files), "known",
               cp_log_u64(library.known), "remedy", cp_err_info(CP_ERR_LIBRARY_FOREIGN)->remedy,
               NULL);
    }
    return CP_OK;
}

static enum cp_err guarded_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    return db_audit_guarded(conn, arg, err);
}

/* One role for everything is no reason not to start either: it is how one tries castpoint out. */
static enum cp_err look_at_role(struct srv_parts *p, struct cp_error *err)
{
    char role[DB_NAME_SIZE];
    bool guarded = false;

    CP_TRY(db_role(p->db, role, err));
    CP_TRY(db_run_read(p->db, "audit-guarded", guarded_body, &guarded, err));
    if (!guarded) {
        cp_log(CP_LOG_WARN, "audit-log-changeable", "role", role, "detail",
               "whoever gets hold of this service can change the audit log: its database role owns "
               "the schema, is a superuser or was granted too much",
               "remedy",
               "give --database a role of its own, and run castpointd --migrate with "
               "--migrate-database naming the schema's owner (docs/install.md, \"Database: two "
               "roles\")",
               NULL);
    }
    return CP_OK;
}

struct keys_arg {
    struct srv_parts *parts;
    struct keys_care care;
};

static enum cp_err check_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keys_arg *a = arg;

    return keys_ring_start(a->parts->keyring, conn, &a->care, err);
}

/* What is broken is healed before the first client comes; what must not be is told. */
static enum cp_err check_keys(struct srv_parts *p, struct cp_error *err)
{
    struct keys_arg a = {.parts = p};

    CP_TRY(db_run_tx_locking(p->db, "check-keys", check_body, &a, err));
    if (a.care.repaired > 0 || a.care.damaged > 0 || a.care.secrets_unusable > 0) {
        cp_log(CP_LOG_WARN, "keys-damaged", "repaired", cp_log_u64(a.care.repaired), "unusable",
               cp_log_u64(a.care.damaged), "session_secrets_unusable",
               cp_log_u64(a.care.secrets_unusable), "sessions_cancelled",
               cp_log_u64(a.care.cancelled), NULL);
    }
    return CP_OK;
}

struct admin_arg {
    struct srv_parts *parts;
    const char *hash;
    bool made;
};

static enum cp_err count_accounts(struct db_conn *conn, void *arg, struct cp_error *err)
{
    return db_account_count(conn, arg, err);
}

static enum cp_err insert_admin(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct admin_arg *a = arg;
    struct db_account in = {.role = DB_ROLE_ADMIN, .enabled = true};
    struct db_account out;
    struct db_event event = {0};
    uint64_t count;

    a->made = false;
    CP_TRY(db_account_count(conn, &count, err));
    if (count > 0) {
        return CP_OK; /* another node that shares the database was faster */
    }
    (void)snprintf(in.name, sizeof in.name, ADMIN);
    (void)snprintf(in.description, sizeof in.description, "made at first start");
    (void)snprintf(in.password_hash, sizeof in.password_hash, "%s", a->hash);
    CP_TRY(db_account_create(conn, &in, &out, err));
    (void)snprintf(event.node_id, sizeof event.node_id, "%s", a->parts->node.id);
    (void)snprintf(event.kind, sizeof event.kind, "first-account-created");
    (void)snprintf(event.subject, sizeof event.subject, "account " ADMIN);
    CP_TRY(db_event_add(conn, &event, err));
    a->made = true;
    return CP_OK;
}

/* The file first: a password that nobody can read any more would lock everybody out, one without
 * an account is only a file that the next start writes anew. */
static enum cp_err write_and_insert(const struct srv_config *c, struct srv_parts *p,
                                    const char *password, struct cp_error *err)
{
    char hash[KEYS_PASSWORD_HASH_SIZE];
    char line[KEYS_PASSWORD_SIZE + 1];
    struct admin_arg arg = {.parts = p, .hash = hash};
    enum cp_err rc = keys_password_hash(password, hash);

    if (rc != CP_OK) {
        return cp_error_set(err, rc, "hashing a password");
    }
    (void)snprintf(line, sizeof line, "%s\n", password);
    rc = srv_state_write(c->state_dir, ADMIN_FILE, line, strlen(line), err);
    keys_wipe(line, sizeof line);
    CP_TRY(rc);
    CP_TRY(db_run_tx(p->db, "first-account", insert_admin, &arg, err));
    (void)snprintf(p->admin_password_path, sizeof p->admin_password_path, "%s/%s", c->state_dir,
                   ADMIN_FILE);
    if (!arg.made) {
        (void)unlink(p->admin_password_path);
        p->admin_password_path[0] = '\0';
    }
    return CP_OK;
}

static enum cp_err make_admin(const struct srv_config *c, struct srv_parts *p, struct cp_error *err)
{
    char password[KEYS_PASSWORD_SIZE];
    uint64_t count;
    enum cp_err rc;

    CP_TRY(db_run_read(p->db, "count-accounts", count_accounts, &count, err));
    if (count > 0) {
        return CP_OK;
    }
    rc = keys_password_new(password);
    if (rc != CP_OK) {
        return cp_error_set(err, rc, "making a password");
    }
    rc = write_and_insert(c, p, password, err);
    keys_wipe(password, sizeof password);
    return rc;
}

/* What knows a client by something else than a password or token, when it is configured. */
static enum cp_err open_logins(const struct srv_config *c, struct srv_parts *p,
                               struct cp_error *err)
{
    enum cp_err rc = api_auth_cache_new(&p->auth_cache);

    if (rc == CP_OK) {
        rc = api_lockout_new(&p->lockout);
    }
    if (rc != CP_OK) {
        return cp_error_set(err, rc, "memory of passwords");
    }
    if (c->keytab[0] != '\0') {
        CP_TRY(api_negotiate_new(c->keytab, &p->negotiate, err));
    }
    return c->client_ca[0] == '\0' ? CP_OK
                                   : srv_trust_new(c->client_ca, c->client_crl, &p->trust, err);
}

static enum cp_err make_local(const struct srv_config *c, struct srv_parts *p, struct cp_error *err)
{
    CP_TRY(srv_state_dir(c->state_dir, err));
    CP_TRY(open_tls(c, p, err));
    CP_TRY(open_blobs(c, p, err));
    return open_logins(c, p, err);
}

enum cp_err srv_parts_local(const struct srv_config *config, struct srv_parts *ret_parts,
                            struct cp_error *err)
{
    struct srv_parts p;
    enum cp_err rc;

    memset(&p, 0, sizeof p);
    rc = make_local(config, &p, err);
    if (rc != CP_OK) {
        srv_parts_done(&p);
        return rc;
    }
    *ret_parts = p;
    return CP_OK;
}

static enum cp_err make_stored(const struct srv_config *c, srv_pause *pause, struct srv_parts *p,
                               struct cp_error *err)
{
    struct register_arg node = {.name = c->name, .node = &p->node};

    CP_TRY(open_database(c, p, err));
    CP_TRY(look_at_role(p, err));
    CP_TRY(db_run_tx(p->db, "register-node", register_node, &node, err));
    CP_TRY(claim_node(c, pause, p, err));
    CP_TRY(look_at_library(p, err));
    CP_TRY(listen_for_tasks(c, p, err));
    CP_TRY(open_keyring(c, p, err));
    CP_TRY(check_keys(p, err));
    return make_admin(c, p, err);
}

enum cp_err srv_parts_stored(const struct srv_config *config, srv_pause *pause,
                             struct srv_parts *parts, struct cp_error *err)
{
    enum cp_err rc = make_stored(config, pause, parts, err);

    if (rc != CP_OK) {
        srv_parts_stored_done(parts);
    }
    return rc;
}

void srv_parts_stored_done(struct srv_parts *p)
{
    keys_ring_free(p->keyring);
    db_listener_close(p->task_listener);
    db_listener_close(p->listener);
    db_pool_close(p->db);
    p->keyring = NULL;
    p->task_listener = NULL;
    p->listener = NULL;
    p->db = NULL;
}

void srv_parts_done(struct srv_parts *p)
{
    srv_parts_stored_done(p);
    api_auth_cache_free(p->auth_cache);
    api_lockout_free(p->lockout);
    api_negotiate_free(p->negotiate);
    srv_trust_free(p->trust);
    if (p->blobs != NULL) {
        blob_store_close(p->blobs);
    }
    srv_tls_done(&p->tls);
    memset(p, 0, sizeof *p);
}
