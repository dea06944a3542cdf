/* SPDX-License-Identifier: Apache-2.0
 * Our side of the interoperation tests: a sender or receiver on the engine's façade. Says on
 * standard output what happens. SIGTERM withdraws a sender's object; SIGALRM after --timeout. */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "multicast/session.h"

#define ACKERS_MAX 8u

struct options {
    bool sender;
    struct mc_channel channel;
    const char *file;
    uint32_t node_id;
    uint64_t size; /* receiver: of the content */
    uint64_t rate_bps;
    enum mc_rate_mode rate_mode;
    uint8_t auto_parity;
    uint32_t acker[ACKERS_MAX];
    size_t acker_count;
    bool multicast_nack, plain_io, hold;
    unsigned timeout;
};

/* What the signal handler stops: one of both. */
static struct mc_sender *the_sender;
static struct mc_receiver *the_receiver;

static void on_signal(int number)
{
    if (the_sender != NULL) {
        mc_sender_stop(the_sender, number == SIGTERM);
    }
    if (the_receiver != NULL) {
        mc_receiver_stop(the_receiver);
    }
}

static int finish(enum cp_err rc, const struct cp_error *err)
{
    if (rc != CP_OK) {
        printf("error %s %s\n", cp_err_info(rc)->code, err->text);
    }
    fflush(stdout);
    return rc == CP_OK ? 0 : 1;
}

/* The sender's decisions, for who reads of a test that failed. */
static void on_trace(void *arg, const struct mc_trace *t)
{
    (void)arg;
    printf("decision %s %s: %llu to %llu, node %u\n", t->what, t->reason,
           (unsigned long long)t->before, (unsigned long long)t->after, t->node_id);
    fflush(stdout);
}

static int send_file(struct options *o, const struct mc_extent *extent)
{
    const struct mc_sender_config config = {
        .channel = o->channel,
        .instance_id = (uint16_t)getpid(),
        .extents = extent,
        .extent_count = 1,
        .ttl = 4,
        .rate_bps = o->rate_bps,
        .rate_mode = o->rate_mode,
        .trace = on_trace,
        .auto_parity = o->auto_parity,
        .gsize = 10,
        .multicast_nack = o->multicast_nack,
        .force_plain_io = o->plain_io,
    };
    struct mc_sender_stats stats;
    struct cp_error err = {0};
    struct mc_sender *s = NULL;
    enum cp_err rc = mc_sender_open(&config, &s, &err);

    if (rc != CP_OK) {
        return finish(rc, &err);
    }
    for (size_t i = 0; i < o->acker_count; i++) {
        mc_sender_add_receiver(s, o->acker[i]);
    }
    mc_sender_hold(s, o->hold);
    the_sender = s;
    mc_sender_get_stats(s, &stats);
    printf("ready %s %u\n", stats.source, stats.source_port);
    fflush(stdout);
    rc = mc_sender_run(s, &err);
    mc_sender_get_stats(s, &stats);
    printf("stats packets=%llu source=%llu parity=%llu repair=%llu nacks=%llu gso=%d\n",
           (unsigned long long)stats.packets_sent, (unsigned long long)stats.source_bytes,
           (unsigned long long)stats.parity_bytes, (unsigned long long)stats.repair_bytes,
           (unsigned long long)stats.nacks, stats.gso);
    the_sender = NULL;
    mc_sender_close(s);
    return finish(rc, &err);
}

static int receive_file(struct options *o, const struct mc_extent *extent)
{
    const struct mc_receiver_config config = {
        .channel = o->channel,
        .node_id = o->node_id,
        .extents = extent,
        .extent_count = 1,
        .silence = 20 * CP_SEC,
        .multicast_nack = o->multicast_nack,
        .force_plain_io = o->plain_io,
    };
    struct mc_receiver_stats stats;
    struct cp_error err = {0};
    struct mc_receiver *r = NULL;
    enum cp_err rc = mc_receiver_open(&config, &r, &err);

    if (rc != CP_OK) {
        return finish(rc, &err);
    }
    the_receiver = r;
    printf("ready\n");
    fflush(stdout);
    rc = mc_receiver_run(r, &err);
    mc_receiver_get_stats(r, &stats);
    printf("stats packets=%llu lost=%llu expected=%llu repair=%llu nacks=%llu drops=%llu\n",
           (unsigned long long)stats.packets_received, (unsigned long long)stats.symbols_lost,
           (unsigned long long)stats.symbols_expected, (unsigned long long)stats.repair_bytes,
           (unsigned long long)stats.nacks, (unsigned long long)stats.socket_drops);
    if (rc == CP_OK) {
        printf("completed %llu\n", (unsigned long long)stats.content_size);
    }
    the_receiver = NULL;
    mc_receiver_close(r);
    return finish(rc, &err);
}

static const struct option long_options[] = {
    {"group", required_argument, NULL, 'g'},
    {"port", required_argument, NULL, 'p'},
    {"interface", required_argument, NULL, 'i'},
    {"node", required_argument, NULL, 'n'},
    {"sender", required_argument, NULL, 's'},
    {"file", required_argument, NULL, 'f'},
    {"size", required_argument, NULL, 'z'},
    {"object", required_argument, NULL, 'o'},
    {"segment", required_argument, NULL, 'E'},
    {"block", required_argument, NULL, 'B'},
    {"parity", required_argument, NULL, 'P'},
    {"fec", required_argument, NULL, 'F'},
    {"rate", required_argument, NULL, 'r'},
    {"rate-mode", required_argument, NULL, 'R'},
    {"auto-parity", required_argument, NULL, 'a'},
    {"ack", required_argument, NULL, 'A'},
    {"secret", required_argument, NULL, 'k'},
    {"multicast-nack", no_argument, NULL, 'm'},
    {"plain-io", no_argument, NULL, 'l'},
    {"hold", no_argument, NULL, 'h'},
    {"auth", required_argument, NULL, 'u'},
    {"timeout", required_argument, NULL, 't'},
    {NULL, 0, NULL, 0},
};

static bool parse_number(struct options *o, int c, uint64_t v)
{
    struct mc_channel *ch = &o->channel;

    switch (c) {
    case 'p':
        ch->port = (uint16_t)v;
        return true;
    case 'n':
        o->node_id = (uint32_t)v;
        return true;
    case 's':
        ch->sender_id = (uint32_t)v;
        return true;
    case 'z':
        o->size = v;
        return true;
    case 'o':
        ch->object_id = (uint16_t)v;
        return true;
    case 'E':
        ch->segment_size = (uint16_t)v;
        return true;
    case 'B':
        ch->max_block_len = (uint16_t)v;
        return true;
    case 'P':
        ch->num_parity = (uint16_t)v;
        return true;
    case 'F':
        ch->fec_id = (uint8_t)v;
        return true;
    case 'r':
        o->rate_bps = v;
        return true;
    case 'a':
        o->auto_parity = (uint8_t)v;
        return true;
    case 't':
        o->timeout = (unsigned)v;
        return true;
    case 'A':
        if (o->acker_count < ACKERS_MAX) {
            o->acker[o->acker_count++] = (uint32_t)v;
            return true;
        }
        return false;
    default:
        return false;
    }
}

static bool parse_word(struct options *o, int c)
{
    switch (c) {
    case 'g':
        snprintf(o->channel.group, sizeof(o->channel.group), "%s", optarg);
        return true;
    case 'i':
        snprintf(o->channel.interface, sizeof(o->channel.interface), "%s", optarg);
        return true;
    case 'f':
        o->file = optarg;
        return true;
    case 'k': /* authenticated and encrypted, or authenticated only, with this secret */
    case 'u':
        o->channel.auth = true;
        o->channel.encrypt = c == 'k';
        memset(o->channel.secret, atoi(optarg), sizeof(o->channel.secret));
        return true;
    case 'R':
        o->rate_mode = strcmp(optarg, "tfmcc") == 0 ? MC_RATE_TFMCC
                       : strcmp(optarg, "lan") == 0 ? MC_RATE_LAN
                                                    : MC_RATE_FIXED;
        return true;
    case 'm':
        o->multicast_nack = true;
        return true;
    case 'l':
        o->plain_io = true;
        return true;
    case 'h':
        o->hold = true;
        return true;
    default:
        return false;
    }
}

static bool parse(struct options *o, int argc, char **argv)
{
    int c;

    *o = (struct options){.rate_bps = 100000000, .timeout = 60};
    o->channel = (struct mc_channel){.interface = "eth0",
                                     .fec_id = 129,
                                     .segment_size = 1408,
                                     .max_block_len = 128,
                                     .num_parity = 32};
    while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        char *end = NULL;
        uint64_t v = optarg == NULL ? 0 : strtoull(optarg, &end, 10);

        if (!parse_word(o, c) && (end == NULL || *end != '\0' || !parse_number(o, c, v))) {
            return false;
        }
    }
    if (optind + 1 != argc) {
        return false;
    }
    o->sender = strcmp(argv[optind], "send") == 0;
    if (o->sender) {
        o->channel.sender_id = o->node_id;
    }
    return (o->sender || strcmp(argv[optind], "receive") == 0) && o->channel.group[0] != '\0' &&
           o->file != NULL && o->channel.port != 0 && o->node_id != 0;
}

int main(int argc, char **argv)
{
    const struct sigaction action = {.sa_handler = on_signal};
    struct options o;
    struct mc_extent extent = {0};
    struct stat st;
    int rc;

    if (!parse(&o, argc, argv)) {
        fprintf(stderr, "usage: mc_peer send|receive --group A --port N --node ID --file PATH …\n");
        return 2;
    }
    extent.fd = open(o.file, o.sender ? O_RDONLY : O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (extent.fd < 0 || fstat(extent.fd, &st) != 0) {
        perror(o.file);
        return 2;
    }
    extent.size = o.sender ? (uint64_t)st.st_size : o.size;
    o.channel.content_size = extent.size;
    o.channel.object_size =
        mc_object_size(extent.size, o.channel.segment_size, o.channel.max_block_len);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    alarm(o.timeout);
    rc = o.sender ? send_file(&o, &extent) : receive_file(&o, &extent);
    close(extent.fd);
    return rc;
}
