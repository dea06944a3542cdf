/* SPDX-License-Identifier: Apache-2.0
 * The way of a run. The plan decides, this file does; one thread besides those of the engine and of
 * the reports. */
#include "client/run.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/counters.h"
#include "client/credentials.h"
#include "client/fetch_https.h"
#include "client/fetch_multicast.h"
#include "client/http.h"
#include "client/join.h"
#include "client/output.h"
#include "client/plan.h"
#include "client/progress.h"
#include "client/report.h"
#include "client/summary.h"
#include "common/clock.h"
#include "common/log.h"
#include "content/object_map.h"

/* What the engine asks for (multicast/io: 250 ms at 1 Gbit/s), and what is far below it: with a
 * quarter, a disk that pauses for a moment costs packets. The kernel's default is 208 KiB. */
#define RMEM_WANTED (32u * 1024 * 1024)
#define RMEM_SMALL  (RMEM_WANTED / 4)
#define RMEM_REMEDY "sysctl -w net.core.rmem_max=33554432"
/* With pauses of 1, 2, 3 and 4 seconds between. */
#define JOIN_TRIES 5u

struct run {
    const struct cl_options *options;
    const atomic_bool *stop;
    char *password, *token;
    char client_id[65];
    char client_name[65];
    char correlation_id[33];
    struct cl_http_config http_config;
    struct cl_http *http;
    struct cl_join join;
    bool joined;
    struct object_map *map;
    struct cl_output *output;
    struct cl_report *report;
    struct cl_plan plan;
    struct cl_progress progress;
    struct cl_rate rate;
    struct cl_counters counters;
    struct cl_counters before; /* as they were when the step began */
    uint64_t had;              /* bytes of the object there when the step began */
    uint64_t lost, expected;   /* packets of earlier multicast steps */
    enum cp_err moved;         /* why multicast was left, CP_OK not so */
    bool rmem_told;
    cp_time started;
    cp_time flow_began, flow_ended; /* first and last time that content had come; 0: none yet */
    uint64_t flow_bytes;            /* bytes_done when it began */
};

/* Whether the user, or the service, wants the step to end. */
static enum cp_err check_stop(struct run *r, bool by_multicast, struct cp_error *err)
{
    struct cp_error why;

    if (atomic_load(r->stop)) {
        return cp_error_set(err, CP_ERR_INTERRUPTED, "stopped by a signal");
    }
    if (by_multicast && r->report != NULL && cl_report_leave(r->report, &why)) {
        if (err != NULL) {
            *err = why;
        }
        return why.code;
    }
    return CP_OK;
}

/* When content comes, and how fast it came in the end: waiting for a session is not transfer, what
 * comes before the first chunk is whole is. */
static void note_flow(struct run *r, cp_time now, bool waiting)
{
    if (r->flow_began == 0 || (waiting && r->counters.bytes_done == r->flow_bytes)) {
        r->flow_began = now;
        r->flow_bytes = r->counters.bytes_done;
    }
    r->flow_ended = now;
}

static cp_time flow_time(const struct run *r)
{
    return r->flow_began == 0 ? 0 : r->flow_ended - r->flow_began;
}

static uint64_t flow_rate(const struct run *r)
{
    const struct cl_counters *c = &r->counters;
    uint64_t bytes = c->bytes_multicast + c->bytes_repair + c->bytes_https;
    cp_time time = flow_time(r);

    return time == 0 ? 0 : (uint64_t)((double)bytes * 8e9 / (double)time);
}

static void show(struct run *r, const char *state, const char *how)
{
    cp_time now = cp_clock_now();

    note_flow(r, now, strcmp(state, "joined") == 0);
    cl_rate_add(&r->rate, now, r->counters.bytes_done);
    r->counters.rate_bps = cl_rate_bps(&r->rate);
    cl_progress_show(&r->progress, now, &r->counters, how);
    if (r->report != NULL) {
        cl_report_update(r->report, &r->counters, state, r->moved);
    }
}

static void count_multicast(struct run *r, const struct mc_receiver_stats *s)
{
    uint64_t verified = s->content_verified > r->had ? s->content_verified - r->had : 0;
    uint64_t repair = s->repair_bytes < verified ? s->repair_bytes : verified;
    uint64_t lost = r->lost + s->symbols_lost;
    uint64_t expected = r->expected + s->symbols_expected;

    r->counters.bytes_done = r->before.bytes_done + verified;
    r->counters.bytes_repair = r->before.bytes_repair + repair;
    r->counters.bytes_multicast = r->before.bytes_multicast + verified - repair;
    r->counters.nacks = r->before.nacks + s->nacks;
    r->counters.loss_ppm = expected == 0 ? 0 : (uint32_t)((double)lost * 1e6 / (double)expected);
}

/* Once a run: packets may be lost for want of a buffer that the administrator can give. */
static void tell_rmem(struct run *r, uint32_t granted)
{
    uint32_t bytes = granted / 2; /* socket(7): the kernel doubles for its own needs */
    char text[160];

    if (r->rmem_told || granted == 0 || bytes >= RMEM_SMALL) {
        return;
    }
    r->rmem_told = true;
    cp_log(CP_LOG_WARN, "receive-buffer-small", "granted", cp_log_u64(bytes), "wanted",
           cp_log_u64(RMEM_WANTED), "remedy", RMEM_REMEDY, NULL);
    (void)snprintf(text, sizeof text,
                   "the kernel granted a receive buffer of %u KiB only: packets may be lost; '%s' "
                   "gives more",
                   bytes / 1024, RMEM_REMEDY);
    cl_progress_note(&r->progress, text);
}

static enum cp_err on_multicast(void *arg, const struct mc_receiver_stats *stats,
                                struct cp_error *err)
{
    struct run *r = arg;

    count_multicast(r, stats);
    tell_rmem(r, stats->rmem);
    if (stats->heard) {
        show(r, stats->phase == MC_FLUSHING ? "verifying" : "receiving", "multicast");
    } else {
        show(r, "joined", "waiting for multicast");
    }
    return check_stop(r, true, err);
}

static enum cp_err on_https(void *arg, uint64_t bytes, struct cp_error *err)
{
    struct run *r = arg;

    r->counters.bytes_done = r->before.bytes_done + bytes;
    r->counters.bytes_https = r->before.bytes_https + bytes;
    show(r, r->moved == CP_OK ? "receiving" : "moved", "HTTPS");
    return check_stop(r, false, err);
}

static uint64_t object_bytes_had(const struct run *r)
{
    const uint8_t *chunks = cl_output_chunks(r->output);
    uint64_t bytes = 0;

    for (size_t d = 0; d < r->map->chunk_count; d++) {
        if (chunks[r->map->stream_chunks[d]] != 0) {
            bytes += content_chunk_size(r->join.manifest->stream_size, r->map->stream_chunks[d]);
        }
    }
    return bytes;
}

/* In the end the output's chunks are the truth; the engine's figures may be a moment older. */
static void settle_multicast(struct run *r, const struct mc_receiver_stats *s)
{
    uint64_t verified = cl_output_bytes(r->output) - r->before.bytes_done;
    uint64_t repair = s->repair_bytes < verified ? s->repair_bytes : verified;

    r->counters.bytes_done = cl_output_bytes(r->output);
    r->counters.bytes_repair = r->before.bytes_repair + repair;
    r->counters.bytes_multicast = r->before.bytes_multicast + verified - repair;
}

/* A session may end before the next report is due, whose answer would say that this receiver was
 * left behind: that is the reason then, not the sender's end. */
static enum cp_err ask_why(struct run *r, enum cp_err code, struct cp_error *err)
{
    struct cp_error why = {.code = CP_OK};

    if (code != CP_ERR_SENDER_SILENT || cl_report_ask(r->report, r->http, &why) != CP_OK ||
        !cl_report_leave(r->report, &why) || why.code != CP_ERR_RECEIVER_TOO_SLOW) {
        return code;
    }
    *err = why;
    return why.code;
}

static enum cp_err do_multicast(struct run *r, struct cp_error *err)
{
    struct cl_multicast m = {.ticket = &r->join.ticket,
                             .map = r->map,
                             .interface = r->options->interface,
                             .output = r->output,
                             .tick = on_multicast,
                             .arg = r};
    struct mc_receiver_stats stats;
    char drops[160];
    enum cp_err code;

    r->had = object_bytes_had(r);
    code = cl_multicast_fetch(&m, &stats, err);
    count_multicast(r, &stats);
    r->lost += stats.symbols_lost;
    r->expected += stats.symbols_expected;
    settle_multicast(r, &stats);
    code = ask_why(r, code, err);
    if (stats.socket_drops > 0) {
        (void)snprintf(drops, sizeof drops,
                       "the kernel dropped %llu packets for want of buffer; "
                       "'" RMEM_REMEDY "' gives more",
                       (unsigned long long)stats.socket_drops);
        cl_progress_note(&r->progress, drops);
    }
    cp_log(CP_LOG_INFO, "multicast-end", "code", code == CP_OK ? "ok" : cp_err_info(code)->code,
           "bytes_received", cp_log_u64(stats.bytes_received), "symbols_lost",
           cp_log_u64(stats.symbols_lost), "repair_bytes", cp_log_u64(stats.repair_bytes),
           "socket_drops", cp_log_u64(stats.socket_drops), "forged", cp_log_u64(stats.forged),
           NULL);
    return code;
}

static enum cp_err do_https(struct run *r, struct cp_error *err)
{
    struct cl_https f = {.http = r->http,
                         .content_url = r->join.ticket.content_url,
                         .manifest = r->join.manifest,
                         .output = r->output,
                         .tick = on_https,
                         .arg = r};
    uint64_t bytes = 0;
    enum cp_err code;

    cp_log(CP_LOG_INFO, "https-start", "chunks", cp_log_u64(cl_output_missing(r->output)), "reason",
           r->moved == CP_OK ? NULL : cp_err_info(r->moved)->code, NULL);
    note_flow(r, cp_clock_now(), true);
    code = cl_https_fetch(&f, &bytes, err);
    r->counters.bytes_done = r->before.bytes_done + bytes;
    r->counters.bytes_https = r->before.bytes_https + bytes;
    cp_log(CP_LOG_INFO, "https-end", "code", code == CP_OK ? "ok" : cp_err_info(code)->code,
           "bytes", cp_log_u64(bytes), NULL);
    return code;
}

static enum cp_err start_report(struct run *r, struct cp_error *err)
{
    struct cl_report_config config = {.http = r->http_config,
                                      .token = r->join.token,
                                      .progress_url = r->join.ticket.progress_url,
                                      .correlation_id = r->join.ticket.correlation_id,
                                      .interval = r->join.ticket.progress_interval};

    return cl_report_start(&config, &r->report, err);
}

static enum cp_err ask(struct run *r, uint32_t version, struct cl_join *ret_join,
                       struct cp_error *err)
{
    struct cl_join_request request = {.package = r->options->package,
                                      .version = version,
                                      .client_id = r->client_id,
                                      .client_name = r->client_name,
                                      .identity = r->options->identity,
                                      .multicast = !r->options->no_multicast};

    CP_TRY(cl_join(r->http, &request, ret_join, err));
    cp_log_correlation(ret_join->ticket.correlation_id);
    cp_log(CP_LOG_INFO, "joined", "package", ret_join->ticket.package, "version",
           cp_log_u64(ret_join->ticket.version), "join", ret_join->ticket.join, "session",
           ret_join->ticket.session ? "yes" : "no", "https", ret_join->ticket.https ? "yes" : "no",
           NULL);
    return CP_OK;
}

static enum cp_err wait_for(struct run *r, cp_time delay, struct cp_error *err)
{
    cp_time end = cp_clock_now() + delay;
    const struct timespec poll = {.tv_nsec = (long)(50 * CP_MSEC)};

    while (cp_clock_now() < end) {
        (void)nanosleep(&poll, NULL);
        CP_TRY(check_stop(r, false, err));
    }
    return CP_OK;
}

/* A service that is busy for a moment is asked again; one that is not there is told at once. */
static enum cp_err ask_first(struct run *r, struct cp_error *err)
{
    enum cp_err code = ask(r, r->options->version, &r->join, err);

    for (unsigned i = 1;
         i < JOIN_TRIES && code != CP_ERR_SERVICE_UNREACHABLE && cl_http_is_passing(code); i++) {
        cp_log_error(CP_LOG_WARN, "join-retry", err);
        CP_TRY(wait_for(r, i * CP_SEC, err));
        code = ask(r, r->options->version, &r->join, err);
    }
    return code;
}

static enum cp_err first_join(struct run *r, struct cp_error *err)
{
    CP_TRY(ask_first(r, err));
    r->joined = true;
    r->counters.bytes_total = r->join.manifest->stream_size;
    if (object_map_new(r->join.manifest, &r->map) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "join");
    }
    CP_TRY(start_report(r, err)); /* looking at what a killed run left may take a while */
    CP_TRY(cl_output_open(r->options->output, r->join.manifest, r->stop, &r->output, err));
    r->counters.bytes_done = cl_output_bytes(r->output);
    return CP_OK;
}

/* A new ticket for the same version; output and manifest stay. */
static enum cp_err join_again(struct run *r, struct cp_error *err)
{
    struct cl_join again;
    struct manifest *manifest;
    enum cp_err code;

    cl_report_stop(r->report);
    r->report = NULL;
    CP_TRY(cl_http_use_token(r->http, NULL));
    code = ask(r, r->join.ticket.version, &again, err);
    if (code != CP_OK) {
        /* The old place is what a failure can still be reported to. */
        return cl_http_use_token(r->http, r->join.token) == CP_OK ? code : CP_ERR_NO_MEMORY;
    }
    if (memcmp(again.ticket.manifest.sha256, r->join.ticket.manifest.sha256, CONTENT_DIGEST_SIZE) !=
        0) {
        cl_join_done(&again);
        return cp_error_set(err, CP_ERR_SIGNATURE, "the version's manifest has changed");
    }
    manifest = r->join.manifest;
    r->join.manifest = NULL;
    cl_join_done(&r->join);
    manifest_free(again.manifest);
    r->join = again;
    r->join.manifest = manifest;
    return start_report(r, err);
}

/* Before HTTPS follows on multicast: says so once, to the user and to the service. */
static void announce_move(struct run *r, enum cp_err reason, const struct cp_error *why)
{
    char text[CP_ERROR_TEXT_SIZE + 64];

    if (reason == CP_OK) {
        return;
    }
    r->moved = reason;
    (void)snprintf(text, sizeof text, "%s; going on by HTTPS",
                   why->text[0] != '\0' ? why->text : cp_err_info(reason)->title);
    cl_progress_note(&r->progress, text);
    cp_log(CP_LOG_WARN, "moved-to-https", "reason", cp_err_info(reason)->code, "detail", why->text,
           NULL);
    cl_report_update(r->report, &r->counters, "moved", reason);
}

static struct cl_plan_facts facts_of(const struct run *r)
{
    const struct cl_ticket *t = &r->join.ticket;

    return (struct cl_plan_facts){.multicast = !r->options->no_multicast,
                                  .session = t->session,
                                  .https = t->https,
                                  .no_session = t->no_session,
                                  .no_https = t->no_https,
                                  .https_delay = t->https_delay};
}

/* Does one step; its end is the next event. */
static struct cl_plan_event do_step(struct run *r, const struct cl_decision *d,
                                    struct cp_error *why)
{
    struct cl_plan_event event = {.what = CL_EVENT_JOINED};
    size_t missing = cl_output_missing(r->output);

    r->before = r->counters;
    if (d->step == CL_STEP_HTTPS) {
        announce_move(r, d->reason, why);
    }
    event.code = wait_for(r, d->delay, why);
    if (event.code != CP_OK) {
        event.what = CL_EVENT_MULTICAST_ENDED;
    } else if (d->step == CL_STEP_MULTICAST) {
        event.what = CL_EVENT_MULTICAST_ENDED;
        event.code = do_multicast(r, why);
        r->flow_ended = cp_clock_now();
    } else if (d->step == CL_STEP_HTTPS) {
        event.what = CL_EVENT_HTTPS_ENDED;
        event.code = do_https(r, why);
        r->flow_ended = cp_clock_now();
    } else {
        event.code = join_again(r, why);
        event.what = event.code == CP_OK ? CL_EVENT_JOINED : CL_EVENT_JOIN_FAILED;
    }
    event.chunks_missing = cl_output_missing(r->output);
    event.progressed = event.chunks_missing < missing;
    return event;
}

static enum cp_err fetch(struct run *r, struct cp_error *err)
{
    struct cl_plan_event event = {.what = CL_EVENT_JOINED,
                                  .chunks_missing = cl_output_missing(r->output)};
    struct cp_error why = {.code = CP_OK};

    (void)snprintf(why.text, sizeof why.text, "%s", r->join.ticket.no_session_text);
    for (;;) {
        struct cl_plan_facts facts = facts_of(r);
        struct cl_decision d = cl_plan_next(&r->plan, &facts, &event);

        if (d.step == CL_STEP_DONE) {
            return CP_OK;
        }
        if (d.step == CL_STEP_FAIL) {
            return cp_error_set(err, d.reason, "%s", why.text);
        }
        event = do_step(r, &d, &why);
    }
}

static enum cp_err finish_output(struct run *r, struct cp_error *err)
{
    cl_report_update(r->report, &r->counters, "verifying", CP_OK);
    return cl_output_commit(r->output, err);
}

/* The service's last word from us; that it does not get through changes nothing of the result. */
static void report_result(struct run *r, const struct cp_error *failure)
{
    struct cl_result result = {.url = r->join.ticket.result_url,
                               .counters = &r->counters,
                               .duration = cp_clock_now() - r->started,
                               .failure = failure,
                               .stopped = atomic_load(r->stop)};
    struct cp_error err = {.code = CP_OK};

    cl_report_stop(r->report);
    r->report = NULL;
    if (r->joined && r->join.token != NULL && cl_report_result(r->http, &result, &err) != CP_OK) {
        cp_log_error(CP_LOG_WARN, "result-not-reported", &err);
    }
}

static void closing_line(const struct run *r)
{
    const struct cl_counters *c = &r->counters;
    double seconds = (double)(cp_clock_now() - r->started) / 1e9;

    if (!r->options->quiet) {
        (void)printf("%s version %u: %.1f MB verified in %.1f s, transferred at %.1f MB/s "
                     "(multicast %.1f MB, repair %.1f MB, HTTPS %.1f MB, loss %.2f %%)\n",
                     r->join.ticket.package, r->join.ticket.version, (double)c->bytes_total / 1e6,
                     seconds, (double)c->rate_bps / 8e6, (double)c->bytes_multicast / 1e6,
                     (double)c->bytes_repair / 1e6, (double)c->bytes_https / 1e6,
                     (double)c->loss_ppm / 1e4);
        (void)fflush(stdout);
    }
}

static enum cp_err prepare(struct run *r, struct cp_error *err)
{
    const struct cl_options *o = r->options;

    if (o->interface != NULL && if_nametoindex(o->interface) == 0) {
        return cp_error_set(err, CP_ERR_INTERFACE, "--interface '%s'", o->interface);
    }
    if (o->password_file != NULL) {
        CP_TRY(cl_secret_read("--password-file", o->password_file, &r->password, err));
    }
    if (o->token_file != NULL) {
        CP_TRY(cl_secret_read("--token-file", o->token_file, &r->token, err));
    }
    if (o->client_id != NULL) {
        (void)snprintf(r->client_id, sizeof r->client_id, "%s", o->client_id);
    } else if (cl_client_id(o->output, r->client_id) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "client id");
    }
    if (o->client_name != NULL) {
        (void)snprintf(r->client_name, sizeof r->client_name, "%s", o->client_name);
    } else {
        (void)gethostname(r->client_name, sizeof r->client_name - 1);
    }
    cl_correlation_id(r->correlation_id);
    cp_log_correlation(r->correlation_id);
    r->http_config = (struct cl_http_config){.base_url = o->base_url,
                                             .cacert = o->cacert,
                                             .pin = o->pin,
                                             .account = o->account,
                                             .password = r->password,
                                             .token = r->token,
                                             .negotiate = o->negotiate,
                                             .correlation_id = r->correlation_id,
                                             .stop = r->stop};
    return cl_http_new(&r->http_config, &r->http, err);
}

static enum cp_err work(struct run *r, struct cp_error *err)
{
    CP_TRY(prepare(r, err));
    CP_TRY(first_join(r, err));
    CP_TRY(fetch(r, err));
    return finish_output(r, err);
}

static enum cp_err write_summary(struct run *r, const struct cp_error *failure,
                                 struct cp_error *err)
{
    struct cl_summary s = {.package = r->options->package,
                           .manifest = r->join.manifest,
                           .counters = &r->counters,
                           .duration = cp_clock_now() - r->started,
                           .transfer = flow_time(r),
                           .failure = failure};

    return r->options->summary == NULL ? CP_OK : cl_summary_write(r->options->summary, &s, err);
}

static void run_done(struct run *r)
{
    cl_output_close(r->output);
    object_map_free(r->map);
    cl_join_done(&r->join);
    cl_http_free(r->http);
    cl_secret_free(r->password);
    cl_secret_free(r->token);
}

enum cp_err cl_run(const struct cl_options *options, const atomic_bool *stop, struct cp_error *err)
{
    struct run r = {.options = options, .stop = stop, .started = cp_clock_now()};
    struct cp_error failure = {.code = CP_OK};
    enum cp_err code;

    cl_progress_init(&r.progress, options->package, STDERR_FILENO, options->quiet);
    code = work(&r, &failure);
    failure.code = code;
    cl_progress_end(&r.progress);
    r.counters.rate_bps = flow_rate(&r);
    report_result(&r, code == CP_OK ? NULL : &failure);
    if (code == CP_OK) {
        closing_line(&r);
        code = write_summary(&r, NULL, &failure);
    } else {
        (void)!write_summary(&r, &failure, NULL);
    }
    run_done(&r);
    if (code != CP_OK && err != NULL) {
        *err = failure;
    }
    return code;
}
