/* SPDX-License-Identifier: Apache-2.0
 * The sending half of the session's façade: opening, closing, and what other threads may call: they
 * leave their wishes and wake the session's thread. */
#include "multicast/session_sender.h"

#include <stdlib.h>
#include <string.h>

#define TX_BYTES 65500u /* one UDP_SEGMENT send carries at most 65,507 bytes */
/* Places for receivers: all of the roster, and as many that have left. A place that nobody takes
 * costs nothing; one that is taken away from a live receiver would let its packets be replayed. */
#define VERIFIER_NODES (2u * MC_ROSTER_MAX)

static enum cp_err open_seal(struct mc_sender *s, struct seal_content_key *key)
{
    const struct mc_channel *c = &s->config.channel;

    if (c->encrypt) {
        CP_TRY(seal_derive_content_key(c->secret, c->object_id, key));
    }
    if (c->auth) {
        CP_TRY(seal_signer_new(mc_seal_mac(c), c->secret, c->sender_id, s->config.instance_id,
                               SEAL_FROM_SENDER, &s->signer));
        CP_TRY(seal_verifier_new(mc_seal_mac(c), c->secret, VERIFIER_NODES, &s->verifier));
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
    s->tx.data = malloc(TX_BYTES);
    s->tx.cap = TX_BYTES;
    s->members = calloc(NORM_MEMBERS_MAX, sizeof(*s->members));
    s->parity = malloc(c->segment_size);
    s->rows = calloc(c->max_block_len, sizeof(*s->rows));
    if (s->tx.data == NULL || s->members == NULL || s->parity == NULL || s->rows == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    CP_TRY(mc_roster_init(&s->roster));
    CP_TRY(mc_roster_init(&s->wanted));
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
    s->stats.rate_bps = s->stats.rate_ceiling_bps =
        config->rate_bps == 0 ? MC_RATE_DEFAULT : config->rate_bps;
    s->stats.rate_reason = norm_reason_name(NORM_REASON_START);
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
    mc_roster_done(&s->roster);
    mc_roster_done(&s->wanted);
    free(s->members);
    free(s->tx.data);
    free(s->parity);
    free(s->rows);
    explicit_bzero(s->config.channel.secret, sizeof(s->config.channel.secret));
    free(s);
}

/* ---- other threads ---- */

void mc_sender_stop(struct mc_sender *s, bool withdraw)
{
    atomic_store(&s->stop, withdraw ? MC_STOP_WITHDRAW : MC_STOP_NOW);
    io_wake_raise(&s->wake);
}

/* A set that can be read at any time, so that no change is ever lost for want of room. */
static void change_roster(struct mc_sender *s, uint32_t node_id, bool add)
{
    pthread_mutex_lock(&s->lock);
    bool changed = add ? mc_roster_add(&s->wanted, node_id) : mc_roster_remove(&s->wanted, node_id);
    s->roster_changed = s->roster_changed || changed;
    pthread_mutex_unlock(&s->lock);
    if (changed) {
        io_wake_raise(&s->wake);
    }
}

void mc_sender_add_receiver(struct mc_sender *s, uint32_t node_id)
{
    change_roster(s, node_id, true);
}

void mc_sender_remove_receiver(struct mc_sender *s, uint32_t node_id)
{
    change_roster(s, node_id, false);
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

size_t mc_sender_get_members(struct mc_sender *s, struct mc_member *ret_members, size_t max)
{
    pthread_mutex_lock(&s->lock);
    size_t count = s->member_count;
    size_t copied = count < max ? count : max;
    if (copied > 0) {
        memcpy(ret_members, s->members, copied * sizeof(*ret_members));
    }
    pthread_mutex_unlock(&s->lock);
    return count;
}
