/* SPDX-License-Identifier: Apache-2.0
 * The receiving half of the session's façade: life and loop. One thread runs it; it drains the
 * socket on a short timer while data flows, because a wake-up per packet costs more than the
 * packet. */
#include "multicast/session_receiver.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "multicast/norm/profile.h"

#define TX_BYTES 4096u /* feedback is one packet */
/* A wake-up per packet costs half the rate and more, so the socket is drained on a timer; at lower
 * rates less often, as long as one turn brings few packets. GRTT and NACK timers bear it. */
#define DRAIN_LEAST      (500 * CP_USEC)
#define DRAIN_MOST       (4 * CP_MSEC)
#define DRAIN_FEW        48u  /* packets a turn: wait longer */
#define DRAIN_MANY       160u /* wait less */
#define DRAIN_CALLS      16u  /* then timers are looked at again */
#define FEEDBACK_A_ROUND 4u
#define LINGER           (2 * CP_SEC) /* at the end, for the sender's question */
#define SILENCE_DEFAULT  (30 * CP_SEC)
#define IDLE_WAIT        (100 * CP_MSEC)
#define DISK_WAIT        (20 * CP_MSEC) /* a turn; packets stay in the socket's buffer meanwhile */
#define OBSERVE_EVERY    (10 * CP_MSEC) /* statistics; the backlog told to the sender */
#define VERIFIER_NODES   1024u /* the sender and those whose NACKs to the group are overheard */

static enum cp_err copy_config(struct mc_receiver *r, const struct mc_receiver_config *config)
{
    r->config = *config;
    r->config.extents = NULL;
    r->config.chunk_digests = NULL;
    r->config.chunks_have = NULL;
    CP_TRY(mc_extents_copy(config->extents, config->extent_count, &r->extents));
    if (config->chunk_digests != NULL && config->chunk_count > 0) {
        r->digests = malloc(config->chunk_count * SEAL_DIGEST_SIZE);
        if (r->digests == NULL) {
            return CP_ERR_NO_MEMORY;
        }
        memcpy(r->digests, config->chunk_digests, config->chunk_count * SEAL_DIGEST_SIZE);
    }
    if (config->chunks_have != NULL && config->chunk_count > 0) {
        r->chunks_have = malloc(config->chunk_count);
        if (r->chunks_have == NULL) {
            return CP_ERR_NO_MEMORY;
        }
        memcpy(r->chunks_have, config->chunks_have, config->chunk_count);
    }
    return CP_OK;
}

static enum cp_err open_udp(struct mc_receiver *r, struct cp_error *err)
{
    const struct mc_channel *c = &r->config.channel;
    struct io_udp_config config = {
        .group = c->group,
        .port = c->port,
        .interface = c->interface,
        .mode = mc_udp_mode(r->config.force_plain_io),
        .ttl = 1, /* of NACKs to the group */
        .source = c->ssm ? c->source : NULL,
    };
    return io_udp_open_receiver(&config, &r->udp, err);
}

static enum cp_err open_all(struct mc_receiver *r, const struct mc_receiver_config *config,
                            struct cp_error *err)
{
    const struct mc_channel *c = &config->channel;

    CP_TRY(copy_config(r, config));
    r->tx.data = malloc(TX_BYTES + c->segment_size);
    r->tx.cap = TX_BYTES + c->segment_size;
    if (r->tx.data == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    CP_TRY(io_wake_init(&r->wake));
    if (c->auth) {
        CP_TRY(seal_verifier_new(mc_seal_mac(c), c->secret, VERIFIER_NODES, &r->verifier));
    }
    if (c->object_size != 0) {
        struct norm_partition partition;
        struct norm_fti fti = mc_channel_fti(c);
        CP_TRY(norm_partition_init(&partition, &fti, c->fec_id));
        CP_TRY(mc_store_open(r, &partition, err));
    }
    return open_udp(r, err);
}

enum cp_err mc_receiver_open(const struct mc_receiver_config *config,
                             struct mc_receiver **ret_receiver, struct cp_error *err)
{
    CP_TRY(mc_channel_check(&config->channel, true, err));
    struct mc_receiver *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "session: no memory");
    }
    r->wake.fd = -1;
    r->drain_interval = DRAIN_LEAST;
    pthread_mutex_init(&r->lock, NULL);
    r->stats.phase = MC_OPEN;
    r->stats.content_size = config->channel.content_size;
    struct cp_error detail = {0};
    enum cp_err code = open_all(r, config, &detail);
    if (code != CP_OK) {
        mc_receiver_close(r);
        return cp_error_set(err, code, "%s", detail.text);
    }
    *ret_receiver = r;
    return CP_OK;
}

void mc_receiver_close(struct mc_receiver *r)
{
    if (r == NULL) {
        return;
    }
    mc_store_close(r);
    norm_receiver_free(r->core);
    io_udp_close(r->udp);
    seal_verifier_free(r->verifier);
    seal_signer_free(r->signer);
    io_wake_done(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r->extents);
    free(r->digests);
    free(r->chunks_have);
    free(r->tx.data);
    explicit_bzero(r->config.channel.secret, sizeof(r->config.channel.secret));
    free(r);
}

/* ---- other threads ---- */

void mc_receiver_stop(struct mc_receiver *r)
{
    atomic_store(&r->stop, true);
    io_wake_raise(&r->wake);
}

void mc_receiver_get_stats(struct mc_receiver *r, struct mc_receiver_stats *ret_stats)
{
    pthread_mutex_lock(&r->lock);
    *ret_stats = r->stats;
    pthread_mutex_unlock(&r->lock);
}

void mc_receiver_get_chunks(struct mc_receiver *r, uint8_t *ret_chunks, size_t chunk_count)
{
    memset(ret_chunks, 0, chunk_count);
    if (r->sink != NULL) {
        io_sink_get_chunks(r->sink, ret_chunks, chunk_count);
    }
}

/* ---- the session's thread ---- */

static enum cp_err start_core(struct mc_receiver *r, cp_time now)
{
    const struct mc_channel *c = &r->config.channel;
    struct norm_receiver_config config = {
        .node_id = r->config.node_id,
        .sender_id = c->sender_id == NORM_NODE_NONE ? NORM_NODE_ANY : c->sender_id,
        .object_known = c->object_size != 0,
        .object_id = c->object_id,
        .fec_id = c->fec_id,
        .fti = mc_channel_fti(c),
        .auth_size = c->auth ? SEAL_AUTH_SIZE : 0,
        .unicast_nack = !r->config.multicast_nack,
        .defer_missed = true,
        .robust_factor = NORM_PROFILE_ROBUST,
        .grtt = NORM_PROFILE_GRTT,
        .seed = mc_seed(r->config.node_id),
    };
    CP_TRY(norm_receiver_new(&config, now, &r->core));
    if (r->sink != NULL) {
        mc_store_report_had(r);
    }
    return CP_OK;
}

/* Takes what the socket has, a bounded amount at a time. *ret_more: it may have more. */
static enum cp_err drain(struct mc_receiver *r, bool *ret_any, bool *ret_more, struct cp_error *err)
{
    const struct io_udp_packet *pkt = NULL;
    size_t count = 0;
    size_t total = 0;

    *ret_any = false;
    *ret_more = true;
    for (unsigned i = 0; i < DRAIN_CALLS && mc_store_has_room(r); i++) {
        CP_TRY(io_udp_receive(r->udp, &pkt, &count, err));
        if (count == 0) {
            *ret_more = false;
            break;
        }
        *ret_any = true;
        cp_time now = cp_clock_now();
        for (size_t j = 0; j < count; j++) {
            CP_TRY(mc_intake(r, now, &pkt[j], err));
        }
        total += count;
    }
    if (total > 0 && total < DRAIN_FEW) {
        r->drain_interval = cp_time_min(r->drain_interval * 2, DRAIN_MOST);
    } else if (total > DRAIN_MANY && r->drain_interval > DRAIN_LEAST) {
        r->drain_interval /= 2;
    }
    return CP_OK;
}

static bool is_flush_ack(const struct norm_txbuf *tx)
{
    struct norm_msg msg;

    return norm_decode(tx->data, tx->size, &msg) == CP_OK && msg.type == NORM_ACK &&
           msg.ack_type == NORM_ACK_FLUSH;
}

static void send_feedback(struct mc_receiver *r)
{
    bool flush_ack = is_flush_ack(&r->tx);

    /* Not before all is verified: a chunk may have to be asked for again. The sender repeats its
     * question. */
    if (flush_ack && !r->settled) {
        return;
    }
    if (r->tx.unicast && !r->heard.any) {
        return;
    }
    if (r->config.channel.auth) {
        if (r->signer == NULL ||
            seal_sign(r->signer, r->tx.data, r->tx.size, r->tx.packet[0].auth_offset) != CP_OK) {
            return;
        }
    }
    const struct io_address *to = r->tx.unicast ? &r->heard.address : NULL;
    struct cp_error err = {0};
    enum cp_err code = io_udp_send(r->udp, to, r->tx.data, r->tx.size, r->tx.stride, &err);
    if (code != CP_OK && !r->feedback_failed) {
        /* Content still arrives, only repairs cannot be asked for: HTTPS fills the gaps. */
        r->feedback_failed = true;
        err.code = code;
        cp_log_error(CP_LOG_WARN, "feedback-not-sent", &err);
    }
    r->acked |= flush_ack && code == CP_OK;
}

static void run_timers(struct mc_receiver *r)
{
    for (unsigned i = 0; i < FEEDBACK_A_ROUND; i++) {
        cp_time now = cp_clock_now();
        if (norm_receiver_next_time(r->core) > now) {
            return;
        }
        norm_receiver_on_timer(r->core, now);
        norm_receiver_fill(r->core, now, &r->tx);
        if (r->tx.count > 0) {
            send_feedback(r);
        }
    }
}

/* How far the slower of socket and disk is behind. */
static unsigned backlog(struct mc_receiver *r, const struct io_udp_stats *udp)
{
    uint64_t rcvbuf = udp->rcvbuf > 0 ? udp->rcvbuf : 1;
    unsigned socket = (unsigned)((uint64_t)udp->rcvbuf_used * 100 / rcvbuf);
    unsigned disk = mc_store_fill(r);

    return socket > disk ? socket : disk;
}

static void publish(struct mc_receiver *r, cp_time now, enum mc_phase phase)
{
    struct norm_receiver_stats core;
    struct io_udp_stats udp;
    struct io_sink_state sink = {0};

    r->observed_at = now;

    norm_receiver_get_stats(r->core, &core);
    io_udp_get_stats(r->udp, &udp);
    norm_receiver_set_backlog(r->core, backlog(r, &udp));
    if (r->sink != NULL) {
        io_sink_get_state(r->sink, &sink);
    }
    pthread_mutex_lock(&r->lock);
    struct mc_receiver_stats *st = &r->stats;
    st->phase = phase;
    st->bytes_received = r->bytes;
    st->packets_received = r->packets;
    st->symbol_bytes = r->symbol_bytes;
    st->repair_bytes = r->repair_bytes;
    st->symbols_lost = core.symbols_lost;
    st->symbols_expected = core.symbols_expected;
    st->content_verified = sink.bytes_verified;
    st->content_size = r->sink != NULL ? r->content_size : r->config.channel.content_size;
    st->chunks_bad = sink.chunks_bad;
    st->nacks = core.nacks_sent;
    st->forged = r->forged;
    st->replayed = r->replayed;
    st->socket_drops = udp.socket_drops;
    st->heard = r->heard.any;
    st->gro = udp.gro;
    st->rmem = udp.rcvbuf;
    if (st->started == 0 && r->heard.any) {
        st->started = r->heard.first;
    }
    if (phase == MC_DONE || phase == MC_FAILED) {
        st->ended = now;
    }
    pthread_mutex_unlock(&r->lock);
}

/* Why the session ends without all content being there; CP_OK: it goes on. */
static enum cp_err broken(struct mc_receiver *r, cp_time now, cp_time started, struct cp_error *err)
{
    cp_time silence = r->config.silence == 0 ? SILENCE_DEFAULT : r->config.silence;
    cp_time heard = r->heard.any ? r->heard.last : started;

    if (!r->heard.any) {
        silence = cp_time_add(silence, r->config.start_wait);
    }
    struct io_sink_state sink = {0};

    if (r->sink != NULL) {
        io_sink_get_state(r->sink, &sink);
    }
    if (sink.error != CP_OK) {
        return cp_error_set(err, sink.error, "writing the output failed");
    }
    if (atomic_load(&r->stop)) {
        return cp_error_set(err, CP_ERR_CANCELLED, "reception was stopped");
    }
    if (r->sink != NULL && norm_receiver_complete(r->core)) {
        return CP_OK; /* only the disk is still at work */
    }
    if (r->heard.withdrawn) {
        return cp_error_set(err, CP_ERR_CANCELLED, "the sender withdrew the transmission");
    }
    if (!r->heard.ended && cp_time_add(heard, silence) > now) {
        return CP_OK;
    }
    if (sink.chunks_bad > 0) {
        return cp_error_set(err, CP_ERR_CHUNK_DIGEST, "%llu chunks arrived wrong",
                            (unsigned long long)sink.chunks_bad);
    }
    if (!r->heard.any) {
        return cp_error_set(err, CP_ERR_NO_MULTICAST_HEARD,
                            "nothing was heard on %s port %u for %llu s", r->config.channel.group,
                            r->config.channel.port, (unsigned long long)(silence / CP_SEC));
    }
    return cp_error_set(err, CP_ERR_SENDER_SILENT, "%s",
                        r->heard.ended ? "the sender ended the transmission early"
                                       : "the sender fell silent");
}

/* Until something is to be done. While data flows the socket is left alone for a moment, so that
 * the kernel collects packets without waking us for each. */
static void wait_for_work(struct mc_receiver *r, bool flowing, cp_time until)
{
    cp_time now = cp_clock_now();
    cp_time end = cp_time_min(until, norm_receiver_next_time(r->core));
    const int fds[] = {r->wake.fd, flowing || r->sink == NULL ? -1 : io_sink_fd(r->sink),
                       flowing ? -1 : io_udp_fd(r->udp)};

    end = cp_time_min(end, now + (flowing ? r->drain_interval : IDLE_WAIT));
    if (end > now) {
        io_wait(fds, sizeof(fds) / sizeof(fds[0]), now, end);
    }
}

/* One turn of the loop: packets, disk, timers. */
static enum cp_err turn(struct mc_receiver *r, bool *ret_any, bool *ret_more, struct cp_error *err)
{
    (void)io_wake_take(&r->wake);
    r->wait_left = DISK_WAIT;
    CP_TRY(drain(r, ret_any, ret_more, err));
    mc_store_poll(r);
    run_timers(r);
    return CP_OK;
}

static enum cp_err receive(struct mc_receiver *r, cp_time started, struct cp_error *err)
{
    while (!r->settled) {
        bool any = false;
        bool more = false;
        CP_TRY(turn(r, &any, &more, err));
        cp_time now = cp_clock_now();
        if (now >= r->observed_at + OBSERVE_EVERY) {
            publish(r, now, r->heard.any ? MC_SENDING : MC_OPEN);
        }
        if (!r->settled) {
            CP_TRY(broken(r, now, started, err));
            if (!more) {
                wait_for_work(r, any, CP_TIME_NEVER);
            }
        }
    }
    return CP_OK;
}

/* All is here: the sender wants to know, if it asks. */
static enum cp_err linger(struct mc_receiver *r, struct cp_error *err)
{
    cp_time end = cp_clock_now() + LINGER;

    r->heard.flush_unasked = false; /* what counts is the next one */
    while (!r->acked && !r->heard.ended && !r->heard.withdrawn && !r->heard.flush_unasked &&
           !atomic_load(&r->stop) && cp_clock_now() < end) {
        bool any = false;
        bool more = false;
        publish(r, cp_clock_now(), MC_FLUSHING);
        if (!r->heard.any) {
            break; /* everything was had before */
        }
        wait_for_work(r, false, end);
        CP_TRY(turn(r, &any, &more, err));
    }
    return CP_OK;
}

/* The disk's last word, after which get_chunks() does not change any more. */
static enum cp_err settle(struct mc_receiver *r, struct cp_error *err)
{
    struct io_sink_state sink = {0};

    while (r->sink != NULL) {
        io_sink_get_state(r->sink, &sink);
        if (sink.pending == 0) {
            break;
        }
        uint32_t first = 0;
        uint32_t last = 0;
        if (!io_sink_next_bad(r->sink, &first, &last)) {
            int fd = io_sink_fd(r->sink);
            cp_time now = cp_clock_now();
            io_wait(&fd, 1, now, now + IDLE_WAIT);
        }
    }
    if (sink.error != CP_OK) {
        return cp_error_set(err, sink.error, "writing the output failed");
    }
    if (sink.chunks_failed > 0) {
        return cp_error_set(err, CP_ERR_CHUNK_DIGEST, "%u chunks stayed wrong", sink.chunks_failed);
    }
    return CP_OK;
}

enum cp_err mc_receiver_run(struct mc_receiver *r, struct cp_error *err)
{
    cp_time started = cp_clock_now();
    enum cp_err code = start_core(r, started);

    if (code != CP_OK) {
        return cp_error_set(err, code, "session: the receiver could not be set up");
    }
    code = receive(r, started, err);
    if (code == CP_OK) {
        code = linger(r, err);
    }
    enum cp_err disk = settle(r, code == CP_OK ? err : NULL);
    code = code == CP_OK ? disk : code;
    publish(r, cp_clock_now(), code == CP_OK ? MC_DONE : MC_FAILED);
    return code;
}
