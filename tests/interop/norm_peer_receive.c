/* SPDX-License-Identifier: Apache-2.0
 * norm_peer as a receiver: the first object heard of, in memory. Answers until standard input is
 * closed. Touches the network. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "multicast/norm/receiver.h"
#include "tests/interop/norm_peer.h"

#define WAIT_MOST (100 * CP_MSEC)

struct intake {
    const struct options *o;
    struct io_udp *group;
    struct norm_receiver *core;
    struct content content;
    struct io_address sender;
    bool done, failed, closed;
    struct norm_txbuf tx;
    uint8_t buf[PACKET_SIZE];
};

static void fail(struct intake *in, const char *what)
{
    printf("error %s\n", what);
    in->failed = true;
}

static void complete(struct intake *in)
{
    if (!content_save(&in->content, in->o->file)) {
        fail(in, "the object could not be kept");
    }
    printf("completed %llu\n", (unsigned long long)in->content.part.object_size);
    in->done = true;
}

static void tell(struct intake *in, const struct norm_rx *rx)
{
    if ((rx->events & (NORM_RX_INFO | NORM_RX_COMMAND)) != 0) {
        printf("%s %zu %.*s\n", (rx->events & NORM_RX_INFO) != 0 ? "info" : "command",
               rx->payload_size, (int)rx->payload_size, (const char *)rx->payload);
    }
    if ((rx->events & NORM_RX_RESTART) != 0) {
        printf("restart\n");
    }
    if ((rx->events & NORM_RX_SQUELCHED) != 0) {
        printf("squelched\n");
        in->done = true;
    }
    if ((rx->events & NORM_RX_OBJECT) != 0) {
        const struct norm_partition *part = norm_receiver_partition(in->core);

        printf("object %llu\n", (unsigned long long)part->object_size);
        if (!content_open(&in->content, part)) {
            fail(in, "no memory for the object");
        }
    }
}

/* The core has no use for parity of a block that is complete. */
static void keep_parity(struct intake *in, const struct io_udp_packet *pkt)
{
    const struct norm_partition *part = norm_receiver_partition(in->core);
    struct norm_msg msg;

    if (part != NULL && norm_decode(pkt->data, pkt->size, &msg) == CP_OK && msg.type == NORM_DATA &&
        msg.id.sbn < part->block_count && msg.payload_size <= part->segment_size &&
        msg.id.esi >= norm_partition_block_len(part, msg.id.sbn) &&
        msg.id.esi < in->content.slots) {
        content_put(&in->content, msg.id.sbn, msg.id.esi, msg.payload, msg.payload_size);
    }
}

static void on_packet(struct intake *in, const struct io_udp_packet *pkt)
{
    struct norm_rx rx = {0};

    if (norm_receiver_on_packet(in->core, cp_clock_now(), pkt->data, pkt->size, &rx) != CP_OK) {
        return; /* counted by the core */
    }
    if ((pkt->data[0] & 0x0f) <= NORM_CMD) {
        in->sender = *pkt->from;
    }
    tell(in, &rx);
    if ((rx.events & NORM_RX_SYMBOL) != 0 && !in->failed) {
        content_put(&in->content, rx.sbn, rx.esi, rx.payload, rx.payload_size);
    }
    if ((rx.events & NORM_RX_BLOCK) != 0 && !content_finish(&in->content, rx.sbn)) {
        fail(in, "a block could not be decoded");
    }
    if (in->o->check_parity && !in->failed) {
        keep_parity(in, pkt);
    }
    if ((rx.events & NORM_RX_COMPLETE) != 0 && !in->failed) {
        complete(in);
    }
    fflush(stdout);
}

static void hear(struct intake *in)
{
    const struct io_udp_packet *pkt = NULL;
    struct cp_error err;
    size_t count = 0;

    while (io_udp_receive(in->group, &pkt, &count, &err) == CP_OK && count > 0) {
        for (size_t i = 0; i < count; i++) {
            on_packet(in, &pkt[i]);
        }
    }
}

static void speak(struct intake *in)
{
    struct cp_error err;

    do {
        in->tx.data = in->buf;
        in->tx.cap = sizeof(in->buf);
        norm_receiver_on_timer(in->core, cp_clock_now());
        norm_receiver_fill(in->core, cp_clock_now(), &in->tx);
        if (in->tx.count > 0 && io_udp_send(in->group, in->tx.unicast ? &in->sender : NULL, in->buf,
                                            in->tx.size, in->tx.stride, &err) != CP_OK) {
            printf("lost %s\n", err.text);
        }
    } while (in->tx.count > 0);
}

static void wait_for_news(struct intake *in)
{
    struct pollfd fds[] = {{.fd = io_udp_fd(in->group), .events = POLLIN},
                           {.fd = in->closed ? -1 : STDIN_FILENO, .events = POLLIN}};
    cp_time now = cp_clock_now(), until = norm_receiver_next_time(in->core);
    cp_time wait = until > now ? cp_time_min(until - now, WAIT_MOST) : 0;
    char c;

    (void)poll(fds, 2, (int)((wait + CP_MSEC - 1) / CP_MSEC));
    if (fds[1].revents != 0 && read(STDIN_FILENO, &c, 1) <= 0) {
        in->closed = true;
    }
}

static void report(const struct intake *in)
{
    struct norm_receiver_stats s;

    if (in->o->check_parity) {
        unsigned count, wrong;

        content_check_parity(&in->content, &count, &wrong);
        printf("parity %u wrong %u\n", count, wrong);
    }
    norm_receiver_get_stats(in->core, &s);
    printf("stats packets=%llu symbols=%llu lost=%llu nacks=%llu suppressed=%llu acks=%llu "
           "malformed=%llu\n",
           (unsigned long long)s.packets, (unsigned long long)s.symbols,
           (unsigned long long)s.symbols_lost, (unsigned long long)s.nacks_sent,
           (unsigned long long)s.nacks_suppressed, (unsigned long long)s.acks_sent,
           (unsigned long long)s.malformed);
    fflush(stdout);
}

int peer_receive(const struct options *o, struct io_udp *group, cp_time end)
{
    static struct intake in;
    const struct norm_receiver_config config = {.node_id = o->node_id,
                                                .sender_id = NORM_NODE_ANY,
                                                .unicast_nack = !o->multicast_nack,
                                                .silent = o->silent,
                                                .robust_factor = o->robust_factor,
                                                .grtt = 10 * CP_MSEC,
                                                .seed = (uint64_t)getpid()};

    in = (struct intake){.o = o, .group = group};
    if (norm_receiver_new(&config, cp_clock_now(), &in.core) != CP_OK) {
        printf("error the receiver core refused to start\n");
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    while (!in.failed && !(in.done && in.closed)) {
        wait_for_news(&in);
        hear(&in);
        speak(&in);
        if (!in.done && norm_receiver_inactive(in.core)) {
            printf("inactive\n");
            fflush(stdout);
            in.done = true;
        }
        if (in.closed && !in.done) {
            fail(&in, "told to end before the object was complete");
        }
        if (cp_clock_now() > end) {
            fail(&in, "timeout");
        }
    }
    report(&in);
    norm_receiver_free(in.core);
    content_close(&in.content);
    return in.failed ? 1 : 0;
}
