/* SPDX-License-Identifier: Apache-2.0
 * What the files of norm_peer share: options, and an object held in memory. */
#ifndef TESTS_INTEROP_NORM_PEER_H
#define TESTS_INTEROP_NORM_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/time.h"
#include "multicast/fec/fec.h"
#include "multicast/io/udp.h"
#include "multicast/norm/block.h"

#define ACKERS_MAX  8u
#define PACKET_SIZE 65536u

enum auth_place { AUTH_NONE, AUTH_LAST, AUTH_FIRST };

struct options {
    bool sender;
    const char *group, *interface, *file;
    uint16_t port;
    uint32_t node_id;
    uint16_t segment_size, max_block_len, num_parity, object_id;
    uint8_t fec_id, auto_parity, robust_factor;
    uint64_t rate_bps, gsize;
    cp_time live_window;
    cp_time grtt; /* as a constant; 0: measured */
    uint32_t acker[ACKERS_MAX];
    unsigned acker_count;
    uint32_t last_acker; /* besides, in the last pass; 0 none */
    unsigned objects;    /* the file so often, under ascending object ids */
    unsigned passes;     /* each object so often */
    const char *info, *command;
    enum auth_place auth;
    bool pad;         /* the object's last symbol, to the full length */
    bool fti_in_info; /* and not in DATA */
    bool multicast_nack, silent;
    bool check_parity; /* receiver: all parity that comes against what we would make */
    cp_time timeout;
};

/* The whole object, source and parity, and what of it is here. */
struct content {
    struct norm_partition part;
    struct fec_code *code;
    struct fec_workspace *workspace;
    unsigned slots;  /* symbols of a block */
    uint8_t *symbol; /* slots × segment_size per block */
    uint8_t *present;
};

bool content_open(struct content *c, const struct norm_partition *part);
void content_close(struct content *c);
/* Reads the file and makes all parity. */
bool content_load(struct content *c, const char *path);
bool content_save(const struct content *c, const char *path);
const uint8_t *content_symbol(const struct content *c, uint32_t sbn, uint16_t esi);
void content_put(struct content *c, uint32_t sbn, uint16_t esi, const uint8_t *data, size_t size);
/* How much parity is here, and how much of it is not what we would have made of the source. */
void content_check_parity(const struct content *c, unsigned *ret_count, unsigned *ret_wrong);
/* Rebuilds what is missing of a block that has enough symbols. */
bool content_finish(struct content *c, uint32_t sbn);

/* The two roles: both sockets open, `end` is when to give up. Exit status. */
int peer_send(const struct options *o, struct io_udp *own, struct io_udp *group, cp_time end);
int peer_receive(const struct options *o, struct io_udp *group, cp_time end);

#endif
