/* SPDX-License-Identifier: Apache-2.0
 * The sender at work: feedback in, packets out, at the pace that the core sets. The session's
 * thread. */
#include "common/clock.h"
#include "multicast/norm/profile.h"
#include "multicast/session_sender.h"

#define FILLS_PER_ROUND 8u /* then feedback is looked at again */
#define LOOK_INTERVAL   (500 * CP_USEC)
#define BLOCKS_NEEDED                                                                              \
    3u /* a batch reaches into the next block but one at most, unless blocks
                               are tiny */
#define WITHDRAW_TIME (2 * CP_SEC)
#define IDLE_WAIT     (100 * CP_MSEC)
#define SOURCE_WAIT   (10 * CP_MSEC) /* then feedback and wishes are looked at again */
#define KEEP_ALIVE    (100 * CP_MSEC)

static enum norm_rate_mode rate_mode(enum mc_rate_mode mode)
{
    switch (mode) {
    case MC_RATE_LAN:
        return NORM_RATE_LAN;
    case MC_RATE_TFMCC:
        return NORM_RATE_TFMCC;
    default:
        return NORM_RATE_FIXED;
    }
}

static enum cp_err start_core(struct mc_sender *s, cp_time now)
{
    const struct mc_sender_config *c = &s->config;
    struct norm_sender_config config = norm_profile_sender(c->gsize);

    config.node_id = c->channel.sender_id;
    config.instance_id = c->instance_id;
    config.object_id = c->channel.object_id;
    config.fec_id = c->channel.fec_id;
    config.fti = mc_channel_fti(&c->channel);
    config.auth_size = c->channel.auth ? SEAL_AUTH_SIZE : 0;
    config.auto_parity = c->auto_parity;
    config.auto_parity_max = c->auto_parity_max;
    config.multicast_nack = c->multicast_nack;
    config.rate_bps = c->rate_bps == 0 ? MC_RATE_DEFAULT : c->rate_bps;
    config.rate_mode = rate_mode(c->rate_mode);
    config.rate_start_bps = c->rate_start_bps;
    config.slow_share = c->slow_share;
    config.budget = c->budget;
    config.trace = c->trace != NULL ? mc_report_trace : NULL;
    config.trace_arg = s;
    config.seed = mc_seed(c->channel.sender_id);
    s->group_size = c->gsize;
    return norm_sender_new(&config, now, &s->core);
}

/* Tells the core who left and who came. */
static void read_roster(struct mc_sender *s)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; s->roster_changed && i < MC_ROSTER_SLOTS; i++) {
        uint32_t left = s->roster.slot[i];
        uint32_t came = s->wanted.slot[i];
        if (left != 0 && !mc_roster_has(&s->wanted, left)) {
            norm_sender_remove_member(s->core, left);
        }
        if (came != 0 && !mc_roster_has(&s->roster, came) &&
            norm_sender_add_acker(s->core, came) != CP_OK) {
            continue; /* past NORM_ACKING_MAX: served as all, but the end does not wait for it */
        }
    }
    if (s->roster_changed) {
        mc_roster_copy(&s->roster, &s->wanted);
        s->closed = s->closed || s->roster.count > 0;
        s->roster_changed = false;
    }
    pthread_mutex_unlock(&s->lock);
}

/* RFC5401 3.8: "Group size may also be determined administratively." The roster tells it, or, where
 * there is none, how many report; feedback is spread out by it. */
static void fit_group(struct mc_sender *s, uint32_t reporters)
{
    uint64_t size = s->config.gsize;

    if (!s->closed && reporters > s->reporters) {
        s->reporters = reporters;
    }
    size = s->roster.count > size ? s->roster.count : size;
    size = s->reporters > size ? s->reporters : size;
    if (size != s->group_size) {
        s->group_size = size;
        norm_sender_set_gsize(s->core, size);
        norm_sender_set_backoff(s->core, norm_profile_backoff(size));
    }
}

/* What other threads want. */
static void take_wishes(struct mc_sender *s, cp_time now)
{
    if (!io_wake_take(&s->wake)) {
        return;
    }
    read_roster(s);
    uint64_t rate = atomic_exchange(&s->rate_bps, 0);
    if (rate != 0) {
        norm_sender_set_rate(s->core, now, rate);
    }
    bool hold = atomic_load(&s->hold);
    if (hold != s->holding) {
        s->holding = hold;
        norm_sender_set_hold(s->core, now, hold ? CP_TIME_NEVER : now);
    }
    if (atomic_load(&s->stop) == MC_STOP_WITHDRAW && !s->withdrawing) {
        s->withdrawing = true;
        s->withdrawn_at = now;
        norm_sender_set_hold(s->core, now, now);
        norm_sender_withdraw(s->core, now);
    }
}

/* Is the packet feedback, and from a receiver of the session? Anything else is counted and dropped, but
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
    /* The secret is the group's: who holds it could sign as any number of receivers. But it may be
     * one whose ticket was faster than the roster, or that has just left: it is not called forged. */
    if (s->closed && !mc_roster_has(&s->roster, msg.source_id)) {
        s->unlisted++;
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

/* One call's worth: what is left makes the next wait return at once. */
static enum cp_err read_socket(struct mc_sender *s, struct io_udp *udp, cp_time now,
                               struct cp_error *err)
{
    const struct io_udp_packet *pkt = NULL;
    size_t count = 0;

    CP_TRY(io_udp_receive(udp, &pkt, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (genuine(s, udp, &pkt[i])) {
            enum cp_err code = norm_sender_on_packet(s->core, now, pkt[i].data, pkt[i].size);
            (void)code; /* malformed: counted by the core */
        }
    }
    return CP_OK;
}

/* While the pace leaves no time to wait, nobody tells that there is feedback: it is looked for now
 * and then. */
static enum cp_err read_feedback(struct mc_sender *s, cp_time now, bool readable,
                                 struct cp_error *err)
{
    if (!readable && now < s->looked_at + LOOK_INTERVAL) {
        return CP_OK;
    }
    s->looked_at = now;
    CP_TRY(read_socket(s, s->udp, now, err));
    return s->group != NULL ? read_socket(s, s->group, now, err) : CP_OK;
}

/* Is what comes next of the first pass in memory? What once was stays there until it is sent. */
static bool content_ready(struct mc_sender *s)
{
    uint64_t end = (uint64_t)s->head + BLOCKS_NEEDED;

    end = end < s->partition.block_count ? end : s->partition.block_count;
    while (s->ready_end < end) {
        if (!io_source_wait(s->source, (uint32_t)s->ready_end, SOURCE_WAIT)) {
            return false;
        }
        s->ready_end++;
    }
    return true;
}

/* The disk is behind: something must be heard all the same, or receivers believe us dead. */
static enum cp_err keep_alive(struct mc_sender *s, cp_time now, struct cp_error *err)
{
    if (now < s->sent_at + KEEP_ALIVE) {
        return CP_OK;
    }
    CP_TRY(norm_sender_command(s->core, NULL, 0));
    norm_sender_fill(s->core, now, &s->tx); /* a command goes before content */
    s->sent_at = now;
    return mc_outlet_send(s, err);
}

/* Sends what is due, a bounded amount at a time. */
static enum cp_err transmit(struct mc_sender *s, struct cp_error *err)
{
    for (unsigned i = 0; i < FILLS_PER_ROUND; i++) {
        cp_time now = cp_clock_now();
        if (norm_sender_next_time(s->core) > now) {
            break;
        }
        if (!s->withdrawing && !content_ready(s)) {
            return keep_alive(s, now, err);
        }
        norm_sender_fill(s->core, now, &s->tx);
        if (s->tx.count == 0) {
            break;
        }
        s->sent_at = now;
        s->first_sent_at = s->first_sent_at != 0 ? s->first_sent_at : now;
        CP_TRY(mc_outlet_send(s, err));
    }
    return CP_OK;
}

/* Stopped, or withdrawn and the group told so? */
static bool stopped(const struct mc_sender *s, cp_time now, bool over)
{
    return atomic_load(&s->stop) == MC_STOP_NOW ||
           (s->withdrawing && (over || now > s->withdrawn_at + WITHDRAW_TIME));
}

static enum cp_err run_loop(struct mc_sender *s, struct cp_error *err)
{
    const int fds[] = {io_udp_fd(s->udp), s->wake.fd, s->group != NULL ? io_udp_fd(s->group) : -1};
    struct norm_sender_stats core = {0};
    bool readable = true;

    for (;;) {
        cp_time now = cp_clock_now();
        take_wishes(s, now);
        fit_group(s, core.reporters);
        CP_TRY(read_feedback(s, now, readable, err));
        CP_TRY(transmit(s, err));
        norm_sender_on_timer(s->core, now); /* what was sent may have been the last of it */
        norm_sender_get_stats(s->core, &core);
        mc_report(s, now, &core, MC_OPEN);
        bool over = !s->holding && core.state == NORM_SENDER_IDLE;
        if (stopped(s, now, over)) {
            return cp_error_set(err, CP_ERR_CANCELLED, "the transmission was stopped");
        }
        if (!s->withdrawing && over) {
            return CP_OK;
        }
        now = cp_clock_now();
        cp_time next = norm_sender_next_time(s->core);
        readable = next > now && io_wait(fds, sizeof(fds) / sizeof(fds[0]), now,
                                         cp_time_min(next, now + IDLE_WAIT));
    }
}

enum cp_err mc_sender_run(struct mc_sender *s, struct cp_error *err)
{
    struct norm_sender_stats core;
    enum cp_err code = start_core(s, cp_clock_now());

    if (code != CP_OK) {
        return cp_error_set(err, code, "session: the sender could not be set up");
    }
    io_wake_raise(&s->wake); /* wishes from before */
    code = run_loop(s, err);
    if (!s->withdrawing) { /* the core has said so itself */
        mc_outlet_say_goodbye(s);
    }
    norm_sender_get_stats(s->core, &core);
    mc_report(s, cp_clock_now(), &core, code == CP_OK ? MC_DONE : MC_FAILED);
    return code;
}
