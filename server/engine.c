/* SPDX-License-Identifier: Apache-2.0
 * The engine's thread, and its mailbox: what others wish before the sender is open is kept and
 * applied when it is. */
#include "server/engine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/session/ticket.h"
#include "common/log.h"
#include "content/blob.h"
#include "content/manifest.h"
#include "content/object_map.h"
#include "db/settings.h"
#include "keys/credentials.h"
#include "keys/keyring.h"
#include "server/decisions.h"
#include "server/object_files.h"

/* Proactive parity symbols per block: docs/protocol.md section 7. */
#define AUTO_PARITY 2

enum wish { WISH_NONE, WISH_STOP, WISH_WITHDRAW };

struct srv_engine {
    const struct api_context *api;
    struct db_session session;
    int wake_fd;
    pthread_t thread;
    struct srv_decisions decisions;
    pthread_mutex_t lock;     /* of all below */
    uint64_t rate_bps;        /* ceiling wished for */
    uint64_t opened_bps;      /* ceiling that the sender began with */
    struct mc_sender *sender; /* NULL before it is open and after it is closed */
    enum wish wish;
    bool released;
    uint32_t *roster; /* ascending */
    size_t roster_count;
    struct mc_sender_stats stats; /* last ones, once the sender is closed */
    bool ended;
    enum cp_err result;
    struct cp_error err;
};

/* What the thread reads from the database before it can send. */
struct load_arg {
    const struct srv_engine *engine;
    struct db_settings settings;
    char *manifest;
    size_t manifest_size;
};

static enum cp_err load_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct load_arg *a = arg;

    free(a->manifest);
    a->manifest = NULL;
    CP_TRY(db_settings_get(conn, a->engine->session.node_id, &a->settings, err));
    return db_version_manifest(conn, a->engine->session.version_id, &a->manifest, &a->manifest_size,
                               err);
}

static void fill_channel(const struct db_session *s, const struct db_settings *settings,
                         struct mc_channel *c)
{
    (void)snprintf(c->group, sizeof c->group, "%s", s->group);
    (void)snprintf(c->interface, sizeof c->interface, "%s", settings->interface);
    c->port = s->port;
    c->object_id = s->object_id;
    c->fec_id = s->fec_id;
    c->segment_size = (uint16_t)s->segment_size;
    c->max_block_len = (uint16_t)s->max_block_len;
    c->num_parity = (uint16_t)s->num_parity;
    c->content_size = s->content_size;
    c->object_size = s->object_size;
    c->auth = true;
    c->mac = s->mac == DB_MAC_AES256_GMAC ? MC_MAC_AES256_GMAC : MC_MAC_HMAC_SHA256;
    c->encrypt = s->encrypt;
    c->sender_id = API_SESSION_SENDER_ID;
}

static enum mc_rate_mode mode_of(enum db_rate_control control)
{
    switch (control) {
    case DB_RATE_LAN:
        return MC_RATE_LAN;
    case DB_RATE_TFMCC:
        return MC_RATE_TFMCC;
    case DB_RATE_FIXED:
        break;
    }
    return MC_RATE_FIXED;
}

static void fill_control(struct srv_engine *e, struct mc_sender_config *c)
{
    const struct db_session *s = &e->session;

    (void)pthread_mutex_lock(&e->lock);
    e->opened_bps = e->rate_bps;
    c->rate_bps = e->rate_bps;
    (void)pthread_mutex_unlock(&e->lock);
    c->rate_mode = mode_of(s->rate_control);
    c->rate_start_bps = c->rate_bps / 100 * s->rate_start_percent;
    c->slow_share = (double)s->slow_share_percent / 100.0;
    c->budget = true; /* with slow_share 0 too: one broken receiver must not hold all for ever */
    c->auto_parity = AUTO_PARITY;
    c->auto_parity_max = (uint8_t)s->num_parity;
    c->trace = srv_decisions_note;
    c->trace_arg = &e->decisions;
}

static enum cp_err open_sender(struct srv_engine *e, const struct load_arg *loaded,
                               const struct srv_object_files *files, struct mc_sender **ret_sender,
                               struct cp_error *err)
{
    const struct db_session *s = &e->session;
    struct mc_sender_config config = {
        .instance_id = s->instance_id,
        .extents = files->extents,
        .extent_count = files->extent_count,
        .ttl = (uint8_t)loaded->settings.ttl,
        .loopback = true,
        .gsize = s->receivers_active > 0 ? s->receivers_active : 1,
    };
    enum cp_err rc;

    fill_control(e, &config);
    fill_channel(s, &loaded->settings, &config.channel);
    rc = keys_ring_secret_open(e->api->keyring, s->id, s->secret_sealed, s->secret_sealed_size,
                               config.channel.secret, err);
    if (rc == CP_OK) {
        rc = mc_sender_open(&config, ret_sender, err);
    }
    keys_wipe(config.channel.secret, sizeof config.channel.secret);
    return rc;
}

/* From here on wishes go to the sender directly; those from before are made good. */
static void publish(struct srv_engine *e, struct mc_sender *sender)
{
    (void)pthread_mutex_lock(&e->lock);
    e->sender = sender;
    if (e->rate_bps != e->opened_bps) {
        mc_sender_set_rate(sender, e->rate_bps);
    }
    mc_sender_hold(sender, !e->released);
    for (size_t i = 0; i < e->roster_count; i++) {
        mc_sender_add_receiver(sender, e->roster[i]);
    }
    if (e->wish != WISH_NONE) {
        mc_sender_stop(sender, e->wish == WISH_WITHDRAW);
    }
    (void)pthread_mutex_unlock(&e->lock);
}

static void unpublish(struct srv_engine *e, struct mc_sender *sender)
{
    (void)pthread_mutex_lock(&e->lock);
    mc_sender_get_stats(sender, &e->stats);
    e->sender = NULL;
    (void)pthread_mutex_unlock(&e->lock);
    mc_sender_close(sender);
}

static enum cp_err send_object(struct srv_engine *e, const struct load_arg *loaded,
                               struct cp_error *err)
{
    struct srv_object_files files = {0};
    struct mc_sender *sender = NULL;
    enum cp_err rc;

    rc = srv_object_files_open(e->api->blobs, loaded->manifest, loaded->manifest_size, &files, err);
    if (rc == CP_OK && files.content_size != e->session.content_size) {
        rc = cp_error_set(err, CP_ERR_INTERNAL,
                          "the session's object has %llu bytes, the version's"
                          " %llu",
                          (unsigned long long)e->session.content_size,
                          (unsigned long long)files.content_size);
    }
    if (rc == CP_OK) {
        rc = open_sender(e, loaded, &files, &sender, err);
    }
    if (rc == CP_OK) {
        publish(e, sender);
        rc = mc_sender_run(sender, err);
        unpublish(e, sender);
    }
    srv_object_files_done(&files);
    return rc;
}

static void *run(void *arg)
{
    struct srv_engine *e = arg;
    struct load_arg loaded = {.engine = e};
    struct cp_error err = {.code = CP_OK};
    uint64_t one = 1;
    enum cp_err rc;

    cp_log_correlation(e->session.id);
    rc = db_run_read(e->api->db, "load-session", load_body, &loaded, &err);
    if (rc == CP_OK) {
        rc = send_object(e, &loaded, &err);
    }
    free(loaded.manifest);
    (void)pthread_mutex_lock(&e->lock);
    e->ended = true;
    e->result = rc;
    e->err = err;
    e->err.code = rc;
    (void)pthread_mutex_unlock(&e->lock);
    if (write(e->wake_fd, &one, sizeof one) < 0) {
        /* The counter is full: the reader is awake anyway. */
        one = 0;
    }
    return NULL;
}

enum cp_err srv_engine_start(const struct api_context *api, const struct db_session *session,
                             int wake_fd, uint64_t rate_bps, struct srv_engine **ret_engine)
{
    struct srv_engine *e = calloc(1, sizeof *e);

    if (e == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    e->api = api;
    e->session = *session;
    e->wake_fd = wake_fd;
    e->rate_bps = rate_bps;
    srv_decisions_init(&e->decisions);
    CP_ASSERT(pthread_mutex_init(&e->lock, NULL) == 0);
    if (pthread_create(&e->thread, NULL, run, e) != 0) {
        (void)pthread_mutex_destroy(&e->lock);
        srv_decisions_done(&e->decisions);
        free(e);
        return CP_ERR_UNAVAILABLE;
    }
    *ret_engine = e;
    return CP_OK;
}

/* Tells the sender what is in one ascending list and not in the other. */
static void post_differences(struct srv_engine *e, const uint32_t *now, size_t count)
{
    size_t old = 0;
    size_t at = 0;

    while (old < e->roster_count || at < count) {
        if (at == count || (old < e->roster_count && e->roster[old] < now[at])) {
            mc_sender_remove_receiver(e->sender, e->roster[old++]);
        } else if (old == e->roster_count || now[at] < e->roster[old]) {
            mc_sender_add_receiver(e->sender, now[at++]);
        } else {
            old++;
            at++;
        }
    }
}

enum cp_err srv_engine_set_roster(struct srv_engine *e, const uint32_t *node_ids, size_t count)
{
    uint32_t *copy = malloc(count * sizeof *copy + 1);

    if (copy == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    if (count > 0) {
        memcpy(copy, node_ids, count * sizeof *copy);
    }
    (void)pthread_mutex_lock(&e->lock);
    if (e->sender != NULL) {
        post_differences(e, copy, count);
    }
    free(e->roster);
    e->roster = copy;
    e->roster_count = count;
    (void)pthread_mutex_unlock(&e->lock);
    return CP_OK;
}

void srv_engine_release(struct srv_engine *e)
{
    (void)pthread_mutex_lock(&e->lock);
    e->released = true;
    if (e->sender != NULL) {
        mc_sender_hold(e->sender, false);
    }
    (void)pthread_mutex_unlock(&e->lock);
}

void srv_engine_stop(struct srv_engine *e, bool withdraw)
{
    (void)pthread_mutex_lock(&e->lock);
    e->wish = withdraw ? WISH_WITHDRAW : WISH_STOP;
    if (e->sender != NULL) {
        mc_sender_stop(e->sender, withdraw);
    }
    (void)pthread_mutex_unlock(&e->lock);
}

void srv_engine_get_stats(struct srv_engine *e, struct mc_sender_stats *ret_stats)
{
    (void)pthread_mutex_lock(&e->lock);
    if (e->sender != NULL) {
        mc_sender_get_stats(e->sender, ret_stats);
    } else {
        *ret_stats = e->stats;
    }
    (void)pthread_mutex_unlock(&e->lock);
}

void srv_engine_set_rate(struct srv_engine *e, uint64_t rate_bps)
{
    (void)pthread_mutex_lock(&e->lock);
    e->rate_bps = rate_bps;
    if (e->sender != NULL) {
        mc_sender_set_rate(e->sender, rate_bps);
    }
    (void)pthread_mutex_unlock(&e->lock);
}

size_t srv_engine_get_members(struct srv_engine *e, struct mc_member *ret_members, size_t max)
{
    size_t count = 0;

    (void)pthread_mutex_lock(&e->lock);
    if (e->sender != NULL) {
        count = mc_sender_get_members(e->sender, ret_members, max);
    }
    (void)pthread_mutex_unlock(&e->lock);
    return count;
}

size_t srv_engine_take_decisions(struct srv_engine *e, struct db_decision *ret_items, size_t cap)
{
    return srv_decisions_take(&e->decisions, ret_items, cap);
}

bool srv_engine_ended(struct srv_engine *e, enum cp_err *ret_result, struct cp_error *ret_err)
{
    bool ended;

    (void)pthread_mutex_lock(&e->lock);
    ended = e->ended;
    if (ended) {
        *ret_result = e->result;
        if (ret_err != NULL) {
            *ret_err = e->err;
        }
    }
    (void)pthread_mutex_unlock(&e->lock);
    return ended;
}

void srv_engine_free(struct srv_engine *e)
{
    if (e == NULL) {
        return;
    }
    (void)pthread_join(e->thread, NULL);
    (void)pthread_mutex_destroy(&e->lock);
    srv_decisions_done(&e->decisions);
    free(e->roster);
    free(e);
}
