/* SPDX-License-Identifier: Apache-2.0
 * The sending half of the session's façade: binds NORM sender, source, FEC, seal and socket. One
 * thread runs it; other threads leave their wishes in the mailbox and wake it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "multicast/fec/fec.h"
#include "multicast/io/source.h"
#include "multicast/io/udp.h"
#include "multicast/io/wake.h"
#include "multicast/norm/sender.h"
#include "multicast/seal/seal.h"
#include "multicast/session_common.h"

#define TX_BYTES         65500u          /* one UDP_SEGMENT send carries at most 65,507 bytes */
#define GRTT_MIN         CP_MSEC         /* norm.md section 6.3 */
#define GRTT_MAX         (200 * CP_MSEC) /* the same */
#define LIVE_WINDOW      (2 * CP_SEC)
#define BACKOFF_FEW      4u /* K, for up to FEW receivers; more must spread out further */
#define BACKOFF_MANY     6u
#define FEW              50u
#define CC_RECEIVERS     500u /* above it nobody is asked for ACK(CC) */
#define RATE_DEFAULT     UINT64_C(1000000000)
#define VERIFIER_MIN     256u
#define FILLS_PER_ROUND  8u /* then feedback is looked at again */
#define WITHDRAW_TIME    (2 * CP_SEC)
#define IDLE_WAIT        (100 * CP_MSEC)
#define RECEIVES_A_ROUND 64u
#define EOT_COUNT        3u /* it is only a courtesy: silence says the same, later */
#define EOT_SPACING      (5 * CP_MSEC)

/* A change of the roster. The mailbox holds as many as the core takes nodes, twice over; what
 * comes beyond is not expected to acknowledge. */
#define MAIL_MAX (2u * NORM_ACKING_MAX)
struct mail {
    uint32_t node_id;
    bool add;
};

enum stop { STOP_NO, STOP_NOW, STOP_WITHDRAW };

struct mc_sender {
    struct mc_sender_config config;
    struct norm_partition partition;
    struct norm_sender *core; /* made by run() */
    struct io_source *source;
    struct io_udp *udp;
    struct io_udp *group; /* hears feedback sent to the group; NULL: there is none */
    struct fec_code *code;
    struct seal_signer *signer;     /* NULL: no authentication */
    struct seal_verifier *verifier; /* the same */
    struct norm_txbuf tx;
    uint8_t *parity; /* a symbol, for packets that carry less than one */
    const uint8_t **rows;
    uint64_t forged, replayed;
    bool holding, withdrawing;
    cp_time withdrawn_at;

    struct io_wake wake;
    atomic_int stop; /* enum stop */
    atomic_bool hold;
    atomic_uint_fast64_t rate_bps; /* wish; 0 none */
    pthread_mutex_t lock;
    struct mail *mail; /* under the lock, as the rest */
    size_t mail_count;
    struct mc_sender_stats stats;
};

static enum cp_err open_seal(struct mc_sender *s, struct seal_content_key *key)
{
    const struct mc_channel *c = &s->config.channel;

    if (c->encrypt) {
        CP_TRY(seal_derive_content_key(c->secret, c->object_id, key));
    }
    if (c->auth) {
        size_t nodes =
            (size_t)(s->config.gsize > NORM_ACKING_MAX ? NORM_ACKING_MAX : s->config.gsize);
        CP_TRY(seal_signer_new(c->secret, c->sender_id, s->config.instance_id, SEAL_FROM_SENDER,
                               &s->signer));
        CP_TRY(seal_verifier_new(c->secret, 2 * nodes + VERIFIER_MIN, &s->verifier));
    }
    return CP_OK;
}

static enum cp_err open_source(struct mc_sender *s, const struct seal_content_key *key)
{
    struct io_extent *extents = NULL;

    CP_TRY(mc_extents_copy(s->config.extents, s->config.extent_count, &extents));
    struct io_source_config config = {
        .partition = &s->partition,
        .content_size = s->config.channel.content_size,
        .extents = extents,
        .extent_count = s->config.extent_count,
        .key = s->config.channel.encrypt ? key : NULL,
        .memory = mc_buffer_memory(s->config.buffer_memory),
    };
    enum cp_err code = io_source_new(&config, &s->source);
    free(extents);
    s->config.extents = NULL;
    return code;
}

static enum cp_err open_udp(struct mc_sender *s, struct cp_error *err)
{
    const struct mc_channel *c = &s->config.channel;
    struct io_udp_config config = {
        .group = c->group,
        .port = c->port,
        .interface = c->interface,
        .mode = mc_udp_mode(s->config.force_plain_io),
        .ttl = s->config.ttl == 0 ? 1 : s->config.ttl,
        .dscp = s->config.dscp,
        .loopback = s->config.loopback,
    };
    char text[IO_ADDRESS_TEXT_SIZE];

    CP_TRY(io_udp_open_sender(&config, &s->udp, err));
    io_address_text(io_udp_local(s->udp), text);
    size_t size = strnlen(text, sizeof(s->stats.source) - 1);
    memcpy(s->stats.source, text, size);
    s->stats.source[size] = '\0';
    s->stats.source_port = io_address_port(io_udp_local(s->udp));
    if (s->config.multicast_nack || !c->auth) {
        return io_udp_open_receiver(&config, &s->group, err);
    }
    return CP_OK;
}

static enum cp_err open_all(struct mc_sender *s, struct cp_error *err)
{
    const struct mc_channel *c = &s->config.channel;
    struct norm_fti fti = mc_channel_fti(c);
    struct seal_content_key key = {0};

    CP_TRY(norm_partition_init(&s->partition, &fti, c->fec_id));
    s->mail = calloc(MAIL_MAX, sizeof(*s->mail));
    s->tx.data = malloc(TX_BYTES);
    s->tx.cap = TX_BYTES;
    s->parity = malloc(c->segment_size);
    s->rows = calloc(c->max_block_len, sizeof(*s->rows));
    if (s->mail == NULL || s->tx.data == NULL || s->parity == NULL || s->rows == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    CP_TRY(io_wake_init(&s->wake));
    CP_TRY(fec_code_new(c->max_block_len, c->num_parity, &s->code));
    CP_TRY(open_udp(s, err));
    enum cp_err code = open_seal(s, &key);
    if (code == CP_OK) {
        code = open_source(s, &key);
    }
    explicit_bzero(&key, sizeof(key));
    return code;
}

enum cp_err mc_sender_open(const struct mc_sender_config *config, struct mc_sender **ret_sender,
                           struct cp_error *err)
{
    CP_TRY(mc_channel_check(&config->channel, false, err));
    struct mc_sender *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "session: no memory");
    }
    s->config = *config;
    s->wake.fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    s->stats.phase = MC_OPEN;
    s->stats.content_size = config->channel.content_size;
    s->stats.rate_bps = config->rate_bps == 0 ? RATE_DEFAULT : config->rate_bps;
    struct cp_error detail = {0};
    enum cp_err code = open_all(s, &detail);
    if (code != CP_OK) {
        mc_sender_close(s);
        return cp_error_set(err, code, "%s", detail.text);
    }
    *ret_sender = s;
    return CP_OK;
}

void mc_sender_close(struct mc_sender *s)
{
    if (s == NULL) {
        return;
    }
    io_source_free(s->source);
    norm_sender_free(s->core);
    io_udp_close(s->udp);
    io_udp_close(s->group);
    fec_code_free(s->code);
    seal_signer_free(s->signer);
    seal_verifier_free(s->verifier);
    io_wake_done(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s->mail);
    free(s->tx.data);
    free(s->parity);
    free(s->rows);
    explicit_bzero(s->config.channel.secret, sizeof(s->config.channel.secret));
    free(s);
}

/* ---- other threads ---- */

void mc_sender_stop(struct mc_sender *s, bool withdraw)
{
    atomic_store(&s->stop, withdraw ? STOP_WITHDRAW : STOP_NOW);
    io_wake_raise(&s->wake);
}

static void post(struct mc_sender *s, uint32_t node_id, bool add)
{
    pthread_mutex_lock(&s->lock);
    if (s->mail_count < MAIL_MAX) {
        s->mail[s->mail_count++] = (struct mail){.node_id = node_id, .add = add};
    }
    pthread_mutex_unlock(&s->lock);
    io_wake_raise(&s->wake);
}

void mc_sender_add_receiver(struct mc_sender *s, uint32_t node_id)
{
    post(s, node_id, true);
}

void mc_sender_remove_receiver(struct mc_sender *s, uint32_t node_id)
{
    post(s, node_id, false);
}

void mc_sender_set_rate(struct mc_sender *s, uint64_t rate_bps)
{
    atomic_store(&s->rate_bps, rate_bps);
    io_wake_raise(&s->wake);
}

void mc_sender_hold(struct mc_sender *s, bool hold)
{
    atomic_store(&s->hold, hold);
    io_wake_raise(&s->wake);
}

void mc_sender_get_stats(struct mc_sender *s, struct mc_sender_stats *ret_stats)
{
    pthread_mutex_lock(&s->lock);
    *ret_stats = s->stats;
    pthread_mutex_unlock(&s->lock);
}

/* ---- the session's thread ---- */

static enum cp_err start_core(struct mc_sender *s, cp_time now)
{
    const struct mc_sender_config *c = &s->config;
    struct norm_sender_config config = {
        .node_id = c->channel.sender_id,
        .instance_id = c->instance_id,
        .object_id = c->channel.object_id,
        .fec_id = c->channel.fec_id,
        .fti = mc_channel_fti(&c->channel),
        .auth_size = c->channel.auth ? SEAL_AUTH_SIZE : 0,
        .auto_parity = c->auto_parity,
        .repair_flag = true,
        .multicast_nack = c->multicast_nack,
        .cc_probe_rate = c->gsize <= CC_RECEIVERS,
        .grtt = MC_GRTT_START,
        .grtt_min = GRTT_MIN,
        .grtt_max = GRTT_MAX,
        .backoff = c->gsize <= FEW ? BACKOFF_FEW : BACKOFF_MANY,
        .gsize = c->gsize,
        .robust_factor = MC_ROBUST_FACTOR,
        .rate_bps = c->rate_bps == 0 ? RATE_DEFAULT : c->rate_bps,
        .live_window = LIVE_WINDOW,
        .seed = mc_seed(c->channel.sender_id),
    };
    return norm_sender_new(&config, now, &s->core);
}

static void read_mail(struct mc_sender *s)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->mail_count; i++) {
        if (!s->mail[i].add) {
            norm_sender_remove_acker(s->core, s->mail[i].node_id);
        } else if (norm_sender_add_acker(s->core, s->mail[i].node_id) != CP_OK) {
            /* Past NORM_ACKING_MAX: served as all, but the end does not wait for it. */
            continue;
        }
    }
    s->mail_count = 0;
    pthread_mutex_unlock(&s->lock);
}

/* What other threads want. */
static void take_wishes(struct mc_sender *s, cp_time now)
{
    if (!io_wake_take(&s->wake)) {
        return;
    }
    read_mail(s);
    uint64_t rate = atomic_exchange(&s->rate_bps, 0);
    if (rate != 0) {
        norm_sender_set_rate(s->core, now, rate);
    }
    bool hold = atomic_load(&s->hold);
    if (hold != s->holding) {
        s->holding = hold;
        norm_sender_set_hold(s->core, now, hold ? CP_TIME_NEVER : now);
    }
    if (atomic_load(&s->stop) == STOP_WITHDRAW && !s->withdrawing) {
        s->withdrawing = true;
        s->withdrawn_at = now;
        norm_sender_set_hold(s->core, now, now);
        norm_sender_withdraw(s->core, now);
    }
}

/* Is the packet feedback, and from a member of the group? Anything else is counted and dropped, but
 * for our own packets, which come by on the group. */
static bool genuine(struct mc_sender *s, const struct io_udp *udp, const struct io_udp_packet *pkt)
{
    struct norm_msg msg;
    bool decoded = norm_decode(pkt->data, pkt->size, &msg) == CP_OK;

    if (decoded && udp == s->group && msg.source_id == s->config.channel.sender_id) {
        return false;
    }
    if (!decoded || (msg.type != NORM_NACK && msg.type != NORM_ACK)) {
        s->forged += s->verifier != NULL;
        return false;
    }
    if (s->verifier == NULL) {
        return true;
    }
    if (!msg.ext.has_auth) {
        s->forged++;
        return false;
    }
    switch (seal_verify(s->verifier, msg.source_id, s->config.instance_id, SEAL_FROM_RECEIVER,
                        pkt->data, pkt->size, msg.ext.auth_offset)) {
    case SEAL_GOOD:
        return true;
    case SEAL_REPLAYED:
        s->replayed++;
        return false;
    default:
        s->forged++;
        return false;
    }
}

static enum cp_err read_feedback(struct mc_sender *s, struct io_udp *udp, cp_time now,
                                 struct cp_error *err)
{
    const struct io_udp_packet *pkt = NULL;
    size_t count = 0;

    for (unsigned i = 0; i < RECEIVES_A_ROUND; i++) {
        CP_TRY(io_udp_receive(udp, &pkt, &count, err));
        for (size_t j = 0; j < count; j++) {
            if (genuine(s, udp, &pkt[j])) {
                enum cp_err code = norm_sender_on_packet(s->core, now, pkt[j].data, pkt[j].size);
                (void)code; /* malformed: counted by the core */
            }
        }
        if (count == 0) {
            break;
        }
    }
    return CP_OK;
}

static uint8_t *packet_at(struct mc_sender *s, unsigned index)
{
    return s->tx.data + (size_t)index * s->tx.stride;
}

static size_t packet_size(const struct mc_sender *s, unsigned index)
{
    return index + 1 < s->tx.count ? s->tx.stride : s->tx.size - (size_t)index * s->tx.stride;
}

/* Parity rows for the run of packets from `first` that belong to one block and follow one another;
 * *ret_count is the run's length. */
static enum cp_err fill_parity(struct mc_sender *s, unsigned first, unsigned *ret_count)
{
    const struct norm_tx_packet *p = &s->tx.packet[first];
    uint16_t segment = s->partition.segment_size;
    uint16_t block_len = norm_partition_block_len(&s->partition, p->sbn);
    uint8_t *out[NORM_TX_PACKETS_MAX];
    const uint8_t *data = NULL;
    unsigned count = 0;

    CP_TRY(io_source_get(s->source, p->sbn, &data));
    for (uint16_t i = 0; i < block_len; i++) {
        s->rows[i] = data + (size_t)i * segment;
    }
    if (p->payload_size != segment) { /* a short block of one symbol */
        fec_encode(s->code, block_len, s->rows, segment, (uint16_t)(p->esi - block_len), 1,
                   &s->parity);
        memcpy(packet_at(s, first) + p->payload_offset, s->parity, p->payload_size);
        *ret_count = 1;
        return CP_OK;
    }
    while (first + count < s->tx.count && p[count].kind == NORM_TX_PARITY &&
           p[count].sbn == p->sbn && p[count].esi == p->esi + count &&
           p[count].payload_size == segment) {
        out[count] = packet_at(s, first + count) + p[count].payload_offset;
        count++;
    }
    fec_encode(s->code, block_len, s->rows, segment, (uint16_t)(p->esi - block_len),
               (uint16_t)count, out);
    *ret_count = count;
    return CP_OK;
}

static enum cp_err fill_source(struct mc_sender *s, unsigned index)
{
    const struct norm_tx_packet *p = &s->tx.packet[index];
    const uint8_t *data = NULL;

    CP_TRY(io_source_get(s->source, p->sbn, &data));
    memcpy(packet_at(s, index) + p->payload_offset,
           data + (size_t)p->esi * s->partition.segment_size, p->payload_size);
    return CP_OK;
}

/* Fills the symbols in, seals and sends what the core laid out. */
static enum cp_err send_txbuf(struct mc_sender *s, struct cp_error *err)
{
    unsigned index = 0;

    while (index < s->tx.count) {
        unsigned run = 1;
        enum cp_err code = CP_OK;
        if (s->tx.packet[index].kind == NORM_TX_SOURCE) {
            code = fill_source(s, index);
        } else if (s->tx.packet[index].kind == NORM_TX_PARITY) {
            code = fill_parity(s, index, &run);
        }
        if (code != CP_OK) {
            return cp_error_set(err, code, "reading the content failed");
        }
        index += run;
    }
    for (index = 0; s->signer != NULL && index < s->tx.count; index++) {
        CP_TRY(seal_sign(s->signer, packet_at(s, index), packet_size(s, index),
                         s->tx.packet[index].auth_offset));
    }
    enum cp_err code = io_udp_send(s->udp, NULL, s->tx.data, s->tx.size, s->tx.stride, err);
    /* For now it cannot go: as good as lost on the way, receivers will ask. */
    return code == CP_ERR_UNAVAILABLE ? CP_OK : code;
}

static void publish(struct mc_sender *s, cp_time now, enum mc_phase end)
{
    struct norm_sender_stats core;
    struct io_udp_stats udp;
    uint64_t segment = s->partition.segment_size;
    uint64_t sent = s->config.channel.content_size;

    norm_sender_get_stats(s->core, &core);
    io_udp_get_stats(s->udp, &udp);
    if (core.next_block < s->partition.block_count) {
        uint64_t offset = norm_partition_offset(&s->partition, core.next_block, 0);
        sent = offset < sent ? offset : sent;
    }
    pthread_mutex_lock(&s->lock);
    struct mc_sender_stats *st = &s->stats;
    st->phase = core.state == NORM_SENDER_SENDING ? MC_SENDING : MC_FLUSHING;
    st->bytes_sent = udp.sent_bytes;
    st->packets_sent = udp.sent_packets;
    st->source_bytes = core.source_symbols * segment;
    st->parity_bytes = core.parity_symbols * segment;
    st->repair_bytes = core.repair_symbols * segment;
    st->content_sent = sent;
    st->nacks = core.nacks;
    st->forged = s->forged;
    st->replayed = s->replayed;
    st->rate_bps = core.rate_bps;
    st->gso = udp.gso;
    if (st->started == 0 && udp.sent_packets > 0) {
        st->started = now;
    }
    if (end != MC_OPEN) {
        st->phase = end;
        st->ended = now;
    }
    pthread_mutex_unlock(&s->lock);
}

/* RFC5740 4.2.3.2: EOT tells that no more is sent. The core knows it only behind a SQUELCH, which
 * would withdraw what was sent. Losing it costs receivers nothing but time. */
static void say_goodbye(struct mc_sender *s)
{
    struct norm_sender_stats core;

    norm_sender_get_stats(s->core, &core);
    for (unsigned i = 0; i < EOT_COUNT; i++) {
        struct norm_msg msg = {
            .type = NORM_CMD,
            .cmd = NORM_CMD_EOT,
            .source_id = s->config.channel.sender_id,
            .instance_id = s->config.instance_id,
            .grtt = norm_rtt_quantize(core.grtt),
            .backoff = BACKOFF_FEW,
            .gsize = norm_gsize_quantize(s->config.gsize),
            .ext.auth_size = s->signer != NULL ? SEAL_AUTH_SIZE : 0,
        };
        size_t size = norm_encode(&msg, s->tx.data, s->tx.cap);
        if (size == 0 ||
            (s->signer != NULL &&
             seal_sign(s->signer, s->tx.data, size, msg.ext.auth_offset) != CP_OK) ||
            io_udp_send(s->udp, NULL, s->tx.data, size, size, NULL) != CP_OK) {
            return;
        }
        cp_time now = cp_clock_now();
        io_wait(&s->wake.fd, 1, now, now + EOT_SPACING);
    }
}

/* Is the session over by itself? */
static bool over(struct mc_sender *s)
{
    struct norm_sender_stats core;

    norm_sender_get_stats(s->core, &core);
    return !s->holding && core.state == NORM_SENDER_IDLE;
}

/* Sends what is due, a bounded amount at a time. */
static enum cp_err transmit(struct mc_sender *s, struct cp_error *err)
{
    for (unsigned i = 0; i < FILLS_PER_ROUND; i++) {
        cp_time now = cp_clock_now();
        if (norm_sender_next_time(s->core) > now) {
            break;
        }
        norm_sender_on_timer(s->core, now);
        norm_sender_fill(s->core, now, &s->tx);
        if (s->tx.count == 0) {
            break;
        }
        CP_TRY(send_txbuf(s, err));
    }
    return CP_OK;
}

static enum cp_err run_loop(struct mc_sender *s, struct cp_error *err)
{
    const int fds[] = {io_udp_fd(s->udp), s->wake.fd, s->group != NULL ? io_udp_fd(s->group) : -1};

    for (;;) {
        cp_time now = cp_clock_now();
        take_wishes(s, now);
        if (atomic_load(&s->stop) == STOP_NOW ||
            (s->withdrawing && (over(s) || now > s->withdrawn_at + WITHDRAW_TIME))) {
            return cp_error_set(err, CP_ERR_CANCELLED, "the transmission was stopped");
        }
        CP_TRY(read_feedback(s, s->udp, now, err));
        if (s->group != NULL) {
            CP_TRY(read_feedback(s, s->group, now, err));
        }
        CP_TRY(transmit(s, err));
        norm_sender_on_timer(s->core, now); /* what was sent may have been the last of it */
        publish(s, now, MC_OPEN);
        if (!s->withdrawing && over(s)) {
            return CP_OK;
        }
        now = cp_clock_now();
        cp_time next = norm_sender_next_time(s->core);
        if (next > now) {
            io_wait(fds, sizeof(fds) / sizeof(fds[0]), now, cp_time_min(next, now + IDLE_WAIT));
        }
    }
}

enum cp_err mc_sender_run(struct mc_sender *s, struct cp_error *err)
{
    enum cp_err code = start_core(s, cp_clock_now());

    if (code != CP_OK) {
        return cp_error_set(err, code, "session: the sender could not be set up");
    }
    io_wake_raise(&s->wake); /* wishes from before */
    code = run_loop(s, err);
    if (code == CP_OK) {
        say_goodbye(s);
    }
    publish(s, cp_clock_now(), code == CP_OK ? MC_DONE : MC_FAILED);
    return code;
}
