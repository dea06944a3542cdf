/* SPDX-License-Identifier: Apache-2.0
 * The receiver's way in: which datagrams are genuine, and what the core makes of them. Whatever a
 * peer may do wrong is counted and dropped. The session's thread. */
#include "common/clock.h"
#include "multicast/session_receiver.h"

/* SNs of a receiver's feedback begin at the wall clock in 1/4096 s, so that a receiver that starts
 * again under its node id is ahead of what it sent before: a sender that probes every 5 ms, and
 * repair cycles of 1 ms, stay far below that rate. Modulo half of the 40 bits: whatever the
 * clock says, four years of such numbers are left to send with; once in four years they begin anew.
 * With GMAC an SN that is used twice would give the key away, and a clock can go back: that is why
 * the service gives each start of a receiver a node id, hence a key, of its own (mc_receiver_open),
 * and the clock is a second line only. */
#define SN_PER_SECOND 4096u
#define SN_START_MAX  (UINT64_C(1) << 39)

/* Messages that only a sender sends. */
static bool from_sender(const struct norm_msg *msg)
{
    return msg->type == NORM_INFO || msg->type == NORM_DATA || msg->type == NORM_CMD;
}

/* Is the packet from a member of the group, in the role that it claims? */
static bool genuine(struct mc_receiver *r, const struct io_udp_packet *pkt,
                    const struct norm_msg *msg)
{
    if (r->verifier == NULL) {
        return true;
    }
    if (!msg->ext.has_auth) {
        r->forged++;
        return false;
    }
    enum seal_direction direction = from_sender(msg) ? SEAL_FROM_SENDER : SEAL_FROM_RECEIVER;
    switch (seal_verify(r->verifier, msg->source_id, msg->instance_id, direction, pkt->data,
                        pkt->size, msg->ext.auth_offset)) {
    case SEAL_GOOD:
        return true;
    case SEAL_REPLAYED:
        r->replayed++;
        return false;
    default:
        r->forged++;
        return false;
    }
}

/* Feedback is signed for the instance of the sender that it answers. SNs go on over all instances:
 * one that is heard again finds none used twice. */
static enum cp_err new_signer(struct mc_receiver *r, uint16_t instance_id, struct cp_error *err)
{
    const struct mc_channel *c = &r->config.channel;
    uint64_t sn = cp_clock_wall() / (CP_SEC / SN_PER_SECOND) % SN_START_MAX;

    if (r->signer != NULL) {
        uint64_t used = seal_signer_sn(r->signer);
        sn = used > sn ? used : sn;
        seal_signer_free(r->signer);
        r->signer = NULL;
    }
    enum cp_err code = seal_signer_new(mc_seal_mac(c), c->secret, r->config.node_id, instance_id,
                                       SEAL_FROM_RECEIVER, &r->signer);
    if (code != CP_OK) {
        return cp_error_set(err, code, "session: feedback cannot be signed");
    }
    seal_signer_skip(r->signer, sn);
    return CP_OK;
}

/* Is the packet of the instance that the core listens to? One that was overtaken by its successor
 * must neither get our feedback nor be its signature's. */
static bool is_present(const struct mc_receiver *r, const struct norm_msg *msg,
                       const struct norm_rx *rx)
{
    return !r->heard.any || msg->instance_id == r->heard.instance_id ||
           (rx->events & NORM_RX_RESTART) != 0;
}

static enum cp_err note_sender(struct mc_receiver *r, cp_time now, const struct io_udp_packet *pkt,
                               const struct norm_msg *msg, struct cp_error *err)
{
    struct mc_heard *h = &r->heard;
    bool other = !h->any || h->instance_id != msg->instance_id;

    if (r->config.channel.auth && other) {
        CP_TRY(new_signer(r, msg->instance_id, err));
    }
    if (pkt->from != NULL) {
        h->address = *pkt->from;
    }
    if (other || pkt->from != NULL) { /* each, until one more came with its address */
        io_udp_ask_from(r->udp, other);
    }
    if (!h->any) {
        h->first = now;
    }
    h->any = true;
    h->last = now;
    h->instance_id = msg->instance_id;
    if (msg->type == NORM_CMD && msg->cmd == NORM_CMD_FLUSH && msg->payload_size == 0) {
        h->flush_unasked = true;
    }
    r->bytes += pkt->size;
    r->packets++;
    return CP_OK;
}

static enum cp_err act(struct mc_receiver *r, const struct norm_rx *rx, struct cp_error *err)
{
    if ((rx->events & NORM_RX_RESTART) != 0) {
        mc_store_restart(r);
    }
    if ((rx->events & NORM_RX_OBJECT) != 0 && r->sink == NULL) {
        CP_TRY(mc_store_open(r, norm_receiver_partition(r->core), err));
        mc_store_report_had(r);
    }
    if ((rx->events & NORM_RX_SYMBOL) != 0) {
        mc_store_symbol(r, rx);
    }
    r->heard.withdrawn |= (rx->events & NORM_RX_SQUELCHED) != 0;
    r->heard.ended |= (rx->events & NORM_RX_EOT) != 0;
    return CP_OK;
}

enum cp_err mc_intake(struct mc_receiver *r, cp_time now, const struct io_udp_packet *pkt,
                      struct cp_error *err)
{
    uint32_t sender_id = r->config.channel.sender_id;
    struct norm_msg msg;
    struct norm_rx rx = {0};

    if (norm_decode(pkt->data, pkt->size, &msg) != CP_OK) {
        r->forged += r->verifier != NULL;
        return CP_OK;
    }
    if (msg.source_id ==
        r->config.node_id) { /* our own, looped back, or somebody's who claims so */
        r->foreign++;
        return CP_OK;
    }
    if (from_sender(&msg) && sender_id != NORM_NODE_NONE && sender_id != NORM_NODE_ANY &&
        msg.source_id != sender_id) {
        r->foreign++;
        return CP_OK;
    }
    if (!genuine(r, pkt, &msg)) {
        return CP_OK;
    }
    /* What it refuses the core counts; what such a packet changed before (a restart) holds. */
    enum cp_err code = norm_receiver_on_message(r->core, now, &msg, pkt->size, &rx);
    if (from_sender(&msg) && is_present(r, &msg, &rx)) {
        CP_TRY(note_sender(r, now, pkt, &msg, err));
    }
    if (code == CP_ERR_NO_MEMORY) {
        return cp_error_set(err, code, "session: no memory for the object");
    }
    return act(r, &rx, err);
}
