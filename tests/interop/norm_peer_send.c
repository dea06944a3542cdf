/* SPDX-License-Identifier: Apache-2.0
 * norm_peer as a sender: objects one after the other, each by a sender core of its own under one
 * instance id. Packets are reshaped on their way out where a test wants a form that the core does
 * not write. Touches the network. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "multicast/norm/sender.h"
#include "tests/interop/norm_peer.h"

#define AUTH_SIZE 24u
#define EXT_AUTH  1u
#define EXT_FTI   64u
#define WAIT_MOST (100 * CP_MSEC)

struct outlet {
    const struct options *o;
    struct io_udp *own, *group;
    struct norm_sender *core;
    struct content content;
    cp_time end;
    bool command_said, failed, last;
    struct norm_txbuf tx;
    uint8_t buf[PACKET_SIZE], packet[PACKET_SIZE];
};

/* Where the extensions of a message begin (RFC 5740 section 4). */
static size_t header_base(const uint8_t *p)
{
    unsigned type = p[0] & 0x0f;
    bool has_id = type == NORM_DATA ||
                  (type == NORM_CMD && (p[12] == NORM_CMD_FLUSH || p[12] == NORM_CMD_SQUELCH));

    if (has_id) {
        return 16 + (p[13] == 129 ? 8u : 4u);
    }
    return type == NORM_CMD && p[12] == NORM_CMD_CC ? 24 : 16;
}

static size_t ext_size(const uint8_t *ext)
{
    return ext[0] >= 128 ? 4 : (size_t)ext[1] * 4;
}

/* Offset of the extension of this type, 0: none. */
static size_t find_ext(const uint8_t *p, unsigned het)
{
    size_t end = (size_t)p[1] * 4;

    for (size_t i = header_base(p); i + 4 <= end; i += ext_size(p + i)) {
        if (p[i] == het) {
            return i;
        }
    }
    return 0;
}

static size_t drop_fti(uint8_t *p, size_t size)
{
    size_t i = find_ext(p, EXT_FTI);
    size_t length;

    if ((p[0] & 0x0f) != NORM_DATA || i == 0) {
        return size;
    }
    length = ext_size(p + i);
    memmove(p + i, p + i + length, size - i - length);
    p[1] = (uint8_t)(p[1] - length / 4);
    return size - length;
}

static void move_auth_first(uint8_t *p)
{
    size_t base = header_base(p), i = find_ext(p, EXT_AUTH);
    uint8_t auth[AUTH_SIZE];

    memcpy(auth, p + i, sizeof(auth));
    memmove(p + base + sizeof(auth), p + base, i - base);
    memcpy(p + base, auth, sizeof(auth));
}

static void send_packet(struct outlet *out, const struct norm_tx_packet *info, const uint8_t *from,
                        size_t size)
{
    const struct options *o = out->o;
    struct cp_error err = {0};
    uint8_t *p = out->packet;

    memcpy(p, from, size);
    if (info->kind != NORM_TX_CONTROL) {
        memcpy(p + info->payload_offset, content_symbol(&out->content, info->sbn, info->esi),
               info->payload_size);
    }
    if (o->pad && info->kind == NORM_TX_SOURCE) {
        size_t short_of = (size_t)o->segment_size - info->payload_size;

        memset(p + size, 0, short_of);
        size += short_of;
    }
    if (o->auth == AUTH_FIRST) {
        move_auth_first(p);
    }
    if (o->fti_in_info) {
        size = drop_fti(p, size);
    }
    if (io_udp_send(out->own, NULL, p, size, size, &err) == CP_ERR_NETWORK) {
        printf("error %s\n", err.text);
        out->failed = true;
    }
}

static void send_batch(struct outlet *out)
{
    const struct norm_txbuf *tx = &out->tx;

    for (unsigned i = 0; i < tx->count; i++) {
        size_t offset = (size_t)i * tx->stride, left = tx->size - offset;

        send_packet(out, &tx->packet[i], tx->data + offset, i + 1 < tx->count ? tx->stride : left);
    }
}

static void hear(struct outlet *out, struct io_udp *udp)
{
    const struct io_udp_packet *pkt = NULL;
    size_t count = 0;
    struct cp_error err;

    while (io_udp_receive(udp, &pkt, &count, &err) == CP_OK && count > 0) {
        for (size_t i = 0; i < count; i++) {
            enum cp_err rc =
                norm_sender_on_packet(out->core, cp_clock_now(), pkt[i].data, pkt[i].size);
            (void)rc; /* counted by the core */
        }
    }
}

static void wait_until(const struct outlet *out, cp_time until)
{
    struct pollfd fds[] = {{.fd = io_udp_fd(out->own), .events = POLLIN},
                           {.fd = io_udp_fd(out->group), .events = POLLIN}};
    cp_time now = cp_clock_now();
    cp_time wait = until > now ? cp_time_min(until - now, WAIT_MOST) : 0;

    (void)poll(fds, 2, (int)((wait + CP_MSEC - 1) / CP_MSEC));
}

static enum cp_err start_core(struct outlet *out, uint16_t object_id)
{
    const struct options *o = out->o;
    const struct norm_partition *part = &out->content.part;
    const struct norm_sender_config config = {
        .node_id = o->node_id,
        .instance_id = (uint16_t)getpid(),
        .object_id = object_id,
        .fec_id = o->fec_id,
        .fti = {.object_size = part->object_size,
                .segment_size = part->segment_size,
                .max_block_len = part->max_block_len,
                .num_parity = part->num_parity},
        .info = (const uint8_t *)o->info,
        .info_size = o->info == NULL ? 0 : (uint16_t)strlen(o->info),
        .auth_size = o->auth == AUTH_NONE ? 0 : AUTH_SIZE,
        .auto_parity = o->auto_parity,
        .repair_flag = true,
        .multicast_nack = o->multicast_nack,
        .cc_probe_rate = true,
        .grtt = o->grtt != 0 ? o->grtt : 10 * CP_MSEC,
        .grtt_min = o->grtt != 0 ? o->grtt : CP_MSEC,
        .grtt_max = o->grtt != 0 ? o->grtt : 200 * CP_MSEC,
        .backoff = 4,
        .gsize = o->gsize,
        .robust_factor = o->robust_factor,
        .rate_bps = o->rate_bps,
        .live_window = o->live_window,
        .seed = (uint64_t)getpid(),
    };
    enum cp_err rc = norm_sender_new(&config, cp_clock_now(), &out->core);

    for (unsigned i = 0; rc == CP_OK && i < o->acker_count; i++) {
        rc = norm_sender_add_acker(out->core, o->acker[i]);
    }
    if (rc == CP_OK && out->last && o->last_acker != 0) {
        rc = norm_sender_add_acker(out->core, o->last_acker);
    }
    return rc;
}

/* Between the first data and the rest. */
static void say_command(struct outlet *out)
{
    struct norm_sender_stats stats;
    const char *text = out->o->command;

    norm_sender_get_stats(out->core, &stats);
    if (text != NULL && !out->command_said && stats.source_symbols > 0) {
        out->command_said = true;
        out->failed |= norm_sender_command(out->core, (const uint8_t *)text, strlen(text)) != CP_OK;
    }
}

static void report(const struct outlet *out, uint16_t object_id)
{
    struct norm_sender_stats stats;

    for (unsigned i = 0; i < out->o->acker_count; i++) {
        uint32_t node = out->o->acker[i];

        printf("ack %u %s\n", node, norm_sender_acked(out->core, node) ? "success" : "failure");
    }
    norm_sender_get_stats(out->core, &stats);
    printf("stats object=%u source=%llu parity=%llu repair=%llu nacks=%llu malformed=%llu\n",
           object_id, (unsigned long long)stats.source_symbols,
           (unsigned long long)stats.parity_symbols, (unsigned long long)stats.repair_symbols,
           (unsigned long long)stats.nacks, (unsigned long long)stats.malformed);
    fflush(stdout);
}

static bool send_object(struct outlet *out, uint16_t object_id)
{
    struct norm_sender_stats stats = {0};

    if (start_core(out, object_id) != CP_OK) {
        printf("error the sender core refused to start\n");
        return false;
    }
    printf("object %u\n", object_id);
    fflush(stdout);
    while (!out->failed && cp_clock_now() < out->end) {
        out->tx.data = out->buf;
        out->tx.cap = sizeof(out->buf);
        norm_sender_fill(out->core, cp_clock_now(), &out->tx);
        send_batch(out);
        say_command(out);
        norm_sender_get_stats(out->core, &stats);
        if (stats.state == NORM_SENDER_IDLE) {
            break;
        }
        if (out->tx.count == 0) {
            wait_until(out, norm_sender_next_time(out->core));
        }
        hear(out, out->own);
        hear(out, out->group);
    }
    report(out, object_id);
    norm_sender_free(out->core);
    return !out->failed && stats.state == NORM_SENDER_IDLE;
}

int peer_send(const struct options *o, struct io_udp *own, struct io_udp *group, cp_time end)
{
    static struct outlet out;
    struct norm_fti fti = {.segment_size = o->segment_size,
                           .max_block_len = o->max_block_len,
                           .num_parity = o->num_parity};
    struct norm_partition part;
    FILE *f = fopen(o->file, "rb");
    bool ok = f != NULL && fseek(f, 0, SEEK_END) == 0;

    out = (struct outlet){.o = o, .own = own, .group = group, .end = end};
    fti.object_size = ok ? (uint64_t)ftell(f) : 0;
    if (f != NULL) {
        fclose(f);
    }
    ok = ok && norm_partition_init(&part, &fti, o->fec_id) == CP_OK &&
         content_open(&out.content, &part) && content_load(&out.content, o->file);
    printf("%s %u\n", ok ? "ready" : "error the object", io_address_port(io_udp_local(own)));
    for (unsigned i = 0; ok && i < o->objects * o->passes; i++) {
        out.last = i + 1 == o->objects * o->passes;
        ok = send_object(&out, (uint16_t)(o->object_id + i / o->passes));
    }
    content_close(&out.content);
    return ok ? 0 : 1;
}
