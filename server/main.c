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

#include "api/api.h"
#include "api/progress.h"
#include "common/log.h"
#include "db/db.h"
#include "jobs/jobs.h"
#include "server/bootstrap.h"
#include "server/config.h"
#include "server/http.h"
#include "server/link.h"
#include "server/scheduler.h"

#define EXIT_USAGE 2

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

/* From here on everything is there but HTTP. */
static enum cp_err serve(const struct srv_config *c, const struct srv_parts *p,
                         const struct api_context *api, struct cp_error *err)
{
    struct srv_http_config http_config = {.listen_host = c->listen_host,
                                          .listen_port = c->listen_port,
                                          .cert_pem = p->tls.cert_pem,
                                          .key_pem = p->tls.key_pem,
                                          .threads = c->threads,
                                          .api = api};
    struct srv_scheduler_config scheduler_config = {.api = api, .listener = p->listener};
    struct jobs_context jobs_context = {
        .db = p->db, .blobs = p->blobs, .keyring = p->keyring, .node_id = p->node.id};
    struct srv_scheduler *scheduler;
    struct jobs *jobs = NULL;
    struct srv_http *http;
    enum cp_err rc;

    CP_TRY(srv_scheduler_start(&scheduler_config, &scheduler, err));
    rc = jobs_start(&jobs_context, p->task_listener, &jobs, err);
    if (rc == CP_OK) {
        rc = srv_http_start(&http_config, &http, err);
    }
    if (rc == CP_OK) {
        cp_log(CP_LOG_INFO, "ready", "version", CASTPOINT_VERSION, "node", p->node.name, "url",
               c->public_url, "certificate", p->tls.fingerprint, "pin", p->tls.pin, NULL);
        say_ready(c, p);
        cp_log(CP_LOG_INFO, "stopping", "signal", wait_for_signal(), NULL);
        srv_http_stop(http);
    }
    jobs_stop(jobs);
    srv_scheduler_stop(scheduler);
    return rc;
}

static enum cp_err run(const struct srv_config *c, struct cp_error *err)
{
    struct srv_parts parts;
    struct api_progress *progress = NULL;
    struct api_context api;
    enum cp_err rc;

    CP_TRY(srv_bootstrap(c, pause_a_second, &parts, err));
    rc = api_progress_new(&progress);
    if (rc != CP_OK) {
        (void)cp_error_set(err, rc, "table of progress");
    } else {
        api = (struct api_context){
            .db = parts.db,
            .blobs = parts.blobs,
            .keyring = parts.keyring,
            .auth_cache = parts.auth_cache,
            .progress = progress,
            .node_id = parts.node.id,
            .node_name = parts.node.name,
            .base_url = c->public_url,
            .openapi_path = c->openapi,
            .tls_fingerprint = parts.tls.pin,
            .version = CASTPOINT_VERSION,
            .find_link = find_link,
        };
        rc = serve(c, &parts, &api, err);
    }
    api_progress_free(progress);
    srv_parts_done(&parts);
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

int main(int argc, char **argv)
{
    struct srv_config config;
    enum srv_action action;
    struct cp_error err = {.code = CP_OK};
    enum cp_err rc;

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
