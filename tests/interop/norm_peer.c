/* SPDX-License-Identifier: Apache-2.0
 * Our side of the interoperation tests, nearer to the protocol than mc_peer: a sender or receiver
 * on the pure core and a UDP socket, without authentication. It can do what a session of the
 * façade never does: NORM_INFO with content, several objects, commands, silence. Says on standard
 * output, line by line, what happens. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/interop/norm_peer.h"

static const struct option long_options[] = {
    {"group", required_argument, NULL, 'g'},
    {"port", required_argument, NULL, 'p'},
    {"interface", required_argument, NULL, 'i'},
    {"node", required_argument, NULL, 'n'},
    {"file", required_argument, NULL, 'f'},
    {"segment", required_argument, NULL, 'E'},
    {"block", required_argument, NULL, 'B'},
    {"parity", required_argument, NULL, 'P'},
    {"object", required_argument, NULL, 'o'},
    {"fec", required_argument, NULL, 'F'},
    {"auto-parity", required_argument, NULL, 'a'},
    {"robust", required_argument, NULL, 'b'},
    {"rate", required_argument, NULL, 'r'},
    {"gsize", required_argument, NULL, 'G'},
    {"grtt-ms", required_argument, NULL, 'h'},
    {"live-window-ms", required_argument, NULL, 'w'},
    {"ack", required_argument, NULL, 'A'},
    {"ack-last", required_argument, NULL, 'l'},
    {"objects", required_argument, NULL, 'c'},
    {"passes", required_argument, NULL, 'y'},
    {"info", required_argument, NULL, 'I'},
    {"command", required_argument, NULL, 'C'},
    {"auth-ext", required_argument, NULL, 'u'},
    {"pad", no_argument, NULL, 'd'},
    {"fti-in-info", no_argument, NULL, 'q'},
    {"multicast-nack", no_argument, NULL, 'm'},
    {"silent", no_argument, NULL, 's'},
    {"check-parity", no_argument, NULL, 'k'},
    {"timeout", required_argument, NULL, 't'},
    {NULL, 0, NULL, 0},
};

/* The 16-bit options, each with its place. */
static uint16_t *field16(struct options *o, int c)
{
    switch (c) {
    case 'p':
        return &o->port;
    case 'E':
        return &o->segment_size;
    case 'B':
        return &o->max_block_len;
    case 'P':
        return &o->num_parity;
    case 'o':
        return &o->object_id;
    default:
        return NULL;
    }
}

static uint8_t *field8(struct options *o, int c)
{
    switch (c) {
    case 'F':
        return &o->fec_id;
    case 'a':
        return &o->auto_parity;
    case 'b':
        return &o->robust_factor;
    default:
        return NULL;
    }
}

static bool parse_wide(struct options *o, int c, uint64_t v)
{
    switch (c) {
    case 'n':
        o->node_id = (uint32_t)v;
        return true;
    case 'r':
        o->rate_bps = v;
        return true;
    case 'G':
        o->gsize = v;
        return true;
    case 'h':
        o->grtt = v * CP_MSEC;
        return true;
    case 'w':
        o->live_window = v * CP_MSEC;
        return true;
    case 'c':
        o->objects = (unsigned)v;
        return true;
    case 'y':
        o->passes = (unsigned)v;
        return true;
    case 'l':
        o->last_acker = (uint32_t)v;
        return true;
    case 't':
        o->timeout = v * CP_SEC;
        return true;
    case 'A':
        if (o->acker_count == ACKERS_MAX) {
            return false;
        }
        o->acker[o->acker_count++] = (uint32_t)v;
        return true;
    default:
        return false;
    }
}

static bool parse_number(struct options *o, int c, const char *text)
{
    uint16_t *wide = field16(o, c);
    uint8_t *narrow = field8(o, c);
    char *end = NULL;
    uint64_t v = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0') {
        return false;
    }
    if (wide != NULL) {
        *wide = (uint16_t)v;
        return true;
    }
    if (narrow != NULL) {
        *narrow = (uint8_t)v;
        return true;
    }
    return parse_wide(o, c, v);
}

static bool parse_word(struct options *o, int c)
{
    switch (c) {
    case 'g':
        o->group = optarg;
        return true;
    case 'i':
        o->interface = optarg;
        return true;
    case 'f':
        o->file = optarg;
        return true;
    case 'I':
        o->info = optarg;
        return true;
    case 'C':
        o->command = optarg;
        return true;
    case 'u':
        o->auth = strcmp(optarg, "first") == 0 ? AUTH_FIRST : AUTH_LAST;
        return true;
    case 'd':
        o->pad = true;
        return true;
    case 'q':
        o->fti_in_info = true;
        return true;
    case 'k':
        o->check_parity = true;
        return true;
    case 'm':
        o->multicast_nack = true;
        return true;
    case 's':
        o->silent = true;
        return true;
    default:
        return false;
    }
}

static bool parse(struct options *o, int argc, char **argv)
{
    int c;

    *o = (struct options){.interface = "eth0",
                          .segment_size = 1408,
                          .max_block_len = 128,
                          .num_parity = 32,
                          .fec_id = 129,
                          .robust_factor = 20,
                          .rate_bps = 50000000,
                          .gsize = 10,
                          .live_window = 2 * CP_SEC,
                          .objects = 1,
                          .passes = 1,
                          .timeout = 60 * CP_SEC};
    while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (!parse_word(o, c) && (optarg == NULL || !parse_number(o, c, optarg))) {
            return false;
        }
    }
    if (optind + 1 != argc) {
        return false;
    }
    o->sender = strcmp(argv[optind], "send") == 0;
    return (o->sender || strcmp(argv[optind], "receive") == 0) && o->group != NULL &&
           o->file != NULL && o->port != 0 && o->node_id != 0;
}

int main(int argc, char **argv)
{
    struct io_udp_config config = {.mode = IO_UDP_NO_GSO, .ttl = 4};
    struct io_udp *own = NULL, *group = NULL;
    struct cp_error err = {0};
    struct options o;
    cp_time end;
    int status = 1;

    if (!parse(&o, argc, argv)) {
        fprintf(stderr,
                "usage: norm_peer send|receive --group A --port N --node ID --file PATH …\n");
        return 2;
    }
    config.group = o.group;
    config.port = o.port;
    config.interface = o.interface;
    end = cp_clock_now() + o.timeout;
    if (io_udp_open_receiver(&config, &group, &err) != CP_OK ||
        (o.sender && io_udp_open_sender(&config, &own, &err) != CP_OK)) {
        printf("error %s\n", err.text);
    } else {
        status = o.sender ? peer_send(&o, own, group, end) : peer_receive(&o, group, end);
    }
    io_udp_close(own);
    io_udp_close(group);
    return status;
}
