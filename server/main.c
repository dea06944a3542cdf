/* SPDX-License-Identifier: Apache-2.0
 * castpointd: the composition root. Makes the parts, connects them, waits for a signal, takes them
 * apart in the opposite order. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "api/access/gate.h"
#include "api/api.h"
#include "api/events/audit.h"
#include "api/events/stream.h"
#include "api/point/live.h"
#include "api/session/progress.h"
#include "common/log.h"
#include "common/process.h"
#include "db/db.h"
#include "jobs/jobs.h"
#include "jobs/webhooks.h"
#include "server/adopt.h"
#include "server/bootstrap.h"
#include "server/config.h"
#include "server/event_reader.h"
#include "server/http.h"
#include "server/http_throttle.h"
#include "server/link.h"
#include "server/master_key.h"
#include "server/scheduler.h"

#define EXIT_USAGE 2
#define LOG_EVERY  60u /* tries, a second each */

static void stop_signals(sigset_t *ret_set)
{
    (void)sigemptyset(ret_set);
    (void)sigaddset(ret_set, SIGINT);
    (void)sigaddset(ret_set, SIGTERM);
    (void)sigaddset(ret_set, SIGHUP);
}

/* All threads inherit the mask, so that only main() takes these signals, where it waits for them. */
static void block_signals(void)
{
    sigset_t set;

    stop_signals(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static bool pause_a_second(void)
{
    struct timespec second = {.tv_sec = 1};
    sigset_t set;

    stop_signals(&set);
    return sigtimedwait(&set, NULL, &second) > 0;
}

static const char *wait_for_signal(void)
{
    sigset_t set;
    int sig;

    stop_signals(&set);
    do {
        sig = sigwaitinfo(&set, NULL);
    } while (sig < 0 && errno == EINTR);
    return sig < 0 ? "?" : sigabbrev_np(sig);
}

/* A connection, a file being sent and a blob of a session take a descriptor each. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void say_ready(const struct srv_config *c, const struct srv_parts *p)
{
    (void)printf("castpointd %s serves %s\n"
                 "certificate SHA-256 %s\n"
                 "public key  %s   (castget --pin, curl --pinnedpubkey)\n",
                 CASTPOINT_VERSION, c->public_url, p->tls.fingerprint, p->tls.pin);
    if (p->admin_password_path[0] != '\0') {
        (void)printf("first start: account 'admin', password in %s\n", p->admin_password_path);
    }
    (void)fflush(stdout);
}

static void find_link(const char *interface, const char *group, struct api_link *ret_link)
{
    srv_link_source(interface, group, ret_link->source);
    (void)snprintf(ret_link->interface, sizeof ret_link->interface, "%s", interface);
    if (interface[0] == '\0' && srv_link_by_route(group, ret_link->interface) != CP_OK) {
        ret_link->interface[0] = '\0';
    }
    ret_link->mtu = srv_link_mtu(ret_link->interface);
    ret_link->rate_mbps = srv_link_default_mbps(srv_link_speed(ret_link->interface));
}

/* All that runs. */
struct service {
    const struct srv_config *config;
    struct srv_parts parts;
    struct api_gate gate;
    struct api_context api;
    struct jobs_context jobs_context;
    struct srv_scheduler *scheduler;
    struct jobs *jobs;
    struct webhooks *webhooks;
    struct srv_event_reader *event_reader;
    struct srv_throttle *throttle;
    struct srv_http *http;
};

static void stop_working(struct service *s)
{
    srv_event_reader_stop(s->event_reader);
    webhooks_stop(s->webhooks);
    jobs_stop(s->jobs);
    srv_scheduler_stop(s->scheduler);
    s->event_reader = NULL;
    s->webhooks = NULL;
    s->jobs = NULL;
    s->scheduler = NULL;
    srv_parts_stored_done(&s->parts);
}

static void on_news(void *arg, uint64_t upto)
{
    webhooks_news(arg, upto);
}

/* Who follows events: listeners and webhooks. */
static enum cp_err start_following(struct service *s, struct cp_error *err)
{
    struct webhooks_config webhooks_config = {.ctx = &s->jobs_context};
    struct srv_event_reader_config reader_config = {.database = s->config->database,
                                                    .db = s->parts.db,
                                                    .stream = s->api.stream,
                                                    .news = on_news};

    CP_TRY(webhooks_start(&webhooks_config, &s->webhooks, err));
    reader_config.news_arg = s->webhooks;
    return srv_event_reader_start(&reader_config, &s->event_reader, err);
}

/* One attempt at all that needs the database. The gate is shut: nobody else looks at the context. */
static enum cp_err start_working(struct service *s, struct cp_error *err)
{
    struct srv_parts *p = &s->parts;
    struct srv_scheduler_config scheduler_config = {.api = &s->api};
    enum cp_err rc;

    CP_TRY(srv_parts_stored(s->config, pause_a_second, p, err));
    s->api.db = p->db;
    s->api.keyring = p->keyring;
    s->api.node_id = p->node.id;
    s->api.node_name = p->node.name;
    s->jobs_context = (struct jobs_context){
        .db = p->db, .blobs = p->blobs, .keyring = p->keyring, .node_id = p->node.id};
    scheduler_config.listener = p->listener;
    scheduler_config.throttle = s->throttle;
    rc = srv_scheduler_start(&scheduler_config, &s->scheduler, err);
    if (rc == CP_OK) {
        rc = jobs_start(&s->jobs_context, p->task_listener, &s->jobs, err);
    }
    if (rc == CP_OK) {
        rc = start_following(s, err);
    }
    if (rc != CP_OK) {
        stop_working(s);
    }
    return rc;
}

static bool worth_a_wait(enum cp_err rc)
{
    return cp_err_is_database(rc) || rc == CP_ERR_UNAVAILABLE || rc == CP_ERR_DB_RETRY;
}

/* For as long as the database is away or does not let us in, which it may yet: it is often made, or
 * its pg_hba.conf changed, after the service. Requests are told why. */
static enum cp_err work_when_possible(struct service *s, struct cp_error *err)
{
    enum cp_err told = CP_OK;

    for (unsigned round = 0;; round++) {
        enum cp_err rc = start_working(s, err);

        if (rc == CP_OK) {
            api_gate_open(&s->gate);
            return CP_OK;
        }
        if (!worth_a_wait(rc)) {
            return rc;
        }
        err->code = rc;
        api_gate_tell(&s->gate, err);
        if (rc != told || round % LOG_EVERY == 0) {
            bool away = rc != CP_ERR_DATABASE_LOGIN && rc != CP_ERR_DATABASE_MISSING;

            cp_log_error(CP_LOG_WARN, away ? "database-away" : "database-refuses", err);
            told = rc;
        }
        if (pause_a_second()) {
            return cp_error_set(err, CP_ERR_INTERRUPTED, "stopped while waiting for the database");
        }
    }
}

static enum cp_err serve(struct service *s, struct cp_error *err)
{
    const struct srv_config *c = s->config;
    const struct srv_tls *tls = &s->parts.tls;
    struct srv_http_config http_config = {.listen_host = c->listen_host,
                                          .listen_port = c->listen_port,
                                          .cert_pem = tls->cert_pem,
                                          .key_pem = tls->key_pem,
                                          .plain_host = c->plain_host,
                                          .plain_port = c->plain_port,
                                          .threads = c->threads,
                                          .connections = c->connections,
                                          .per_address = c->per_address,
                                          .trust = s->parts.trust,
                                          .api = &s->api};
    enum cp_err rc;

    CP_TRY(srv_throttle_new(&s->throttle, err));
    http_config.throttle = s->throttle;
    rc = srv_http_start(&http_config, &s->http, err);
    if (rc != CP_OK) {
        srv_throttle_free(s->throttle);
        return rc;
    }
    rc = work_when_possible(s, err);
    if (rc == CP_OK) {
        cp_log(CP_LOG_INFO, "ready", "version", CASTPOINT_VERSION, "node", s->parts.node.name,
               "url", c->public_url, "certificate", tls->fingerprint, "pin", tls->pin, NULL);
        say_ready(c, &s->parts);
        cp_log(CP_LOG_INFO, "stopping", "signal", wait_for_signal(), NULL);
        db_pool_hurry(s->parts.db);
    }
    srv_http_stop(s->http);
    stop_working(s);
    srv_throttle_free(s->throttle);
    return rc == CP_ERR_INTERRUPTED ? CP_OK : rc;
}

static enum cp_err run(const struct srv_config *c, struct cp_error *err)
{
    struct service s = {.config = c};
    enum cp_err rc;

    CP_TRY(srv_parts_local(c, &s.parts, err));
    api_gate_init(&s.gate);
    rc = api_progress_new(&s.api.progress);
    if (rc == CP_OK) {
        rc = api_live_new(&s.api.live);
    }
    if (rc == CP_OK) {
        rc = api_audit_new(&s.api.audit);
    }
    if (rc == CP_OK) {
        rc = api_stream_new(&s.api.stream);
    }
    if (rc != CP_OK) {
        (void)cp_error_set(err, rc, "tables of progress and requests");
    } else {
        s.api.blobs = s.parts.blobs;
        s.api.auth_cache = s.parts.auth_cache;
        s.api.lockout = s.parts.lockout;
        s.api.negotiate = s.parts.negotiate;
        s.api.client_certificates = s.parts.trust != NULL;
        s.api.base_url = c->public_url;
        s.api.tls_fingerprint = s.parts.tls.pin;
        s.api.version = CASTPOINT_VERSION;
        s.api.find_link = find_link;
        s.api.gate = &s.gate;
        rc = serve(&s, err);
    }
    api_stream_free(s.api.stream);
    api_audit_free(s.api.audit);
    api_live_free(s.api.live);
    api_progress_free(s.api.progress);
    api_gate_done(&s.gate);
    srv_parts_done(&s.parts);
    return rc;
}

/* What the engine asks for at the sender (multicast/io): feedback of a large group comes in bursts. */
#define FEEDBACK_BUFFER (4u * 1024 * 1024)

static void check_receive_buffer(void)
{
    uint32_t granted = srv_link_receive_buffer(FEEDBACK_BUFFER);

    if (granted > 0 && granted < FEEDBACK_BUFFER / 4) {
        cp_log(CP_LOG_WARN, "receive-buffer-small", "granted", cp_log_u64(granted), "wanted",
               cp_log_u64(FEEDBACK_BUFFER), "remedy", "sysctl -w net.core.rmem_max=33554432", NULL);
    }
}

static int migrate(const struct srv_config *c, struct cp_error *err)
{
    enum cp_err rc = srv_migrate(c, err);

    if (rc != CP_OK) {
        cp_log_error(CP_LOG_ERROR, "not-migrated", err);
        return cp_err_info(rc)->exit_status;
    }
    cp_log(CP_LOG_INFO, "migrated", NULL);
    return 0;
}

int main(int argc, char **argv)
{
    struct srv_config config;
    enum srv_action action;
    struct cp_error err = {.code = CP_OK};
    enum cp_err rc;

    cp_process_guard_memory();
    if (srv_config_read(argc, (const char *const *)argv, &config, &action, &err) != CP_OK) {
        (void)fprintf(stderr, "castpointd: %s\ncastpointd: %s\n", err.text,
                      cp_err_info(err.code)->remedy);
        return EXIT_USAGE;
    }
    if (action == SRV_ACTION_HELP) {
        srv_config_help(stdout);
        return 0;
    }
    if (action == SRV_ACTION_VERSION) {
        (void)printf("castpointd %s\n", CASTPOINT_VERSION);
        return 0;
    }
    cp_log_init("castpointd", config.log_format, config.log_level, STDERR_FILENO);
    if (action == SRV_ACTION_MIGRATE) {
        return migrate(&config, &err);
    }
    if (action == SRV_ACTION_ADOPT_LIBRARY) {
        rc = srv_adopt_library(&config, &err);
        if (rc != CP_OK) {
            cp_log_error(CP_LOG_ERROR, "library-not-adopted", &err);
        }
        return rc == CP_OK ? 0 : cp_err_info(rc)->exit_status;
    }
    if (action == SRV_ACTION_ROTATE_MASTER_KEY) {
        rc = srv_rotate_master_key(&config, &err);
        if (rc != CP_OK) {
            cp_log_error(CP_LOG_ERROR, "master-key-not-changed", &err);
        }
        return rc == CP_OK ? 0 : cp_err_info(rc)->exit_status;
    }
    if (action == SRV_ACTION_NEW_MASTER_KEY) {
        rc = srv_new_master_key(&config, &err);
        if (rc != CP_OK) {
            cp_log_error(CP_LOG_ERROR, "master-key-not-made", &err);
        }
        return rc == CP_OK ? 0 : cp_err_info(rc)->exit_status;
    }
    block_signals();
    raise_descriptor_limit();
    check_receive_buffer();
    rc = run(&config, &err);
    if (rc != CP_OK) {
        cp_log_error(CP_LOG_ERROR, "not-started", &err);
        return cp_err_info(rc)->exit_status;
    }
    cp_log(CP_LOG_INFO, "stopped", NULL);
    return 0;
}
