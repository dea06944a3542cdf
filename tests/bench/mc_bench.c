/* SPDX-License-Identifier: Apache-2.0
 * Bench of the multicast engine: one file from one sender to any number of receivers, on the façade
 * alone, set up as castpointd and castget do it. Prints one line of figures. Not a test; tests/bench/bench
 * runs it in namespaces.
 *
 *   mc_bench digests --file F --digests D
 *   mc_bench send --file F --nodes 5 [--rate BPS] …
 *   mc_bench recv --out O --size BYTES --node 1 [--digests D] … */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "multicast/seal/seal.h"
#include "multicast/session.h"
#include "server/link.h"

#define SENDER_ID  1000000u
#define SLOW_SHARE 0.1 /* castpointd's default setting */

struct options {
    const char *group, *interface, *file, *out, *digests, *secret;
    unsigned port, node, nodes, parity, parity_max, segment;
    unsigned long long rate, size;
    enum mc_rate_mode rate_mode;
    enum mc_mac mac;
    bool open, plain_text, plain_io, trace;
};

/* Options without a short letter. */
enum { OPT_RATE_MODE = 256, OPT_MAC, OPT_PARITY_MAX, OPT_TRACE };

static const struct option LONG[] = {
    {"group", required_argument, NULL, 'g'},
    {"port", required_argument, NULL, 'p'},
    {"interface", required_argument, NULL, 'i'},
    {"file", required_argument, NULL, 'f'},
    {"out", required_argument, NULL, 'o'},
    {"digests", required_argument, NULL, 'd'},
    {"secret", required_argument, NULL, 's'},
    {"node", required_argument, NULL, 'n'},
    {"nodes", required_argument, NULL, 'N'},
    {"rate", required_argument, NULL, 'r'},
    {"rate-mode", required_argument, NULL, OPT_RATE_MODE},
    {"mac", required_argument, NULL, OPT_MAC},
    {"trace", no_argument, NULL, OPT_TRACE},
    {"size", required_argument, NULL, 'S'},
    {"parity", required_argument, NULL, 'P'},
    {"parity-max", required_argument, NULL, OPT_PARITY_MAX},
    {"segment", required_argument, NULL, 'E'},
    {"no-auth", no_argument, NULL, 'A'},
    {"no-encrypt", no_argument, NULL, 'C'},
    {"plain-io", no_argument, NULL, 'I'},
    {NULL, 0, NULL, 0},
};

static struct mc_sender *running_sender;
static struct mc_receiver *running_receiver;

static void on_signal(int number)
{
    (void)number;
    if (running_sender != NULL) {
        mc_sender_stop(running_sender, false);
    }
    if (running_receiver != NULL) {
        mc_receiver_stop(running_receiver);
    }
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "mc_bench: %s: %s\n", what, why);
    exit(1);
}

/* The number of a word in a list that ends with NULL. */
static unsigned choice(const char *word, const char *const *words)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(word, words[i]) == 0) {
            return i;
        }
    }
    die("unknown word", word);
    return 0;
}

static void take_long_option(struct options *o, int c)
{
    static const char *const MODES[] = {"fixed", "lan", "tfmcc", NULL}; /* enum mc_rate_mode */
    static const char *const MACS[] = {"hmac", "gmac", NULL};           /* enum mc_mac */

    switch (c) {
    case OPT_RATE_MODE:
        o->rate_mode = (enum mc_rate_mode)choice(optarg, MODES);
        break;
    case OPT_MAC:
        o->mac = (enum mc_mac)choice(optarg, MACS);
        break;
    case OPT_PARITY_MAX:
        o->parity_max = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case OPT_TRACE:
        o->trace = true;
        break;
    default:
        die("usage", "mc_bench digests|send|recv --file F --out O --size N …");
    }
}

static void take_option(struct options *o, int c)
{
    switch (c) {
    case 'g':
        o->group = optarg;
        break;
    case 'p':
        o->port = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'i':
        o->interface = optarg;
        break;
    case 'f':
        o->file = optarg;
        break;
    case 'o':
        o->out = optarg;
        break;
    case 'd':
        o->digests = optarg;
        break;
    case 's':
        o->secret = optarg;
        break;
    case 'n':
        o->node = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'N':
        o->nodes = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'r':
        o->rate = strtoull(optarg, NULL, 10);
        break;
    case 'S':
        o->size = strtoull(optarg, NULL, 10);
        break;
    case 'P':
        o->parity = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'E':
        o->segment = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'A':
        o->open = true;
        break;
    case 'C':
        o->plain_text = true;
        break;
    case 'I':
        o->plain_io = true;
        break;
    default:
        take_long_option(o, c);
    }
}

static int open_file(const char *path, int flags)
{
    int fd = path == NULL ? -1 : open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0) {
        die(path == NULL ? "a file is missing" : path, strerror(errno));
    }
    return fd;
}

static uint64_t file_size(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        die("fstat", strerror(errno));
    }
    return (uint64_t)st.st_size;
}

static void write_digests(const struct options *o)
{
    int in = open_file(o->file, O_RDONLY);
    int out = open_file(o->digests, O_WRONLY | O_CREAT | O_TRUNC);
    uint8_t *chunk = malloc(MC_CHUNK_SIZE);
    uint8_t digest[SEAL_DIGEST_SIZE];
    ssize_t got;

    while (chunk != NULL && (got = read(in, chunk, MC_CHUNK_SIZE)) > 0) {
        if (seal_sha256(chunk, (size_t)got, digest) != CP_OK ||
            write(out, digest, sizeof(digest)) != (ssize_t)sizeof(digest)) {
            die(o->digests, "not written");
        }
    }
    free(chunk);
    close(in);
    close(out);
}

static struct mc_channel make_channel(const struct options *o, uint64_t size)
{
    struct mc_channel c = {
        .port = (uint16_t)o->port,
        .object_id = 1,
        .fec_id = 129,
        .segment_size = (uint16_t)o->segment,
        .max_block_len = 128,
        .num_parity = 32,
        .content_size = size,
        .object_size = mc_object_size(size, (uint16_t)o->segment, 128),
        .auth = !o->open,
        .mac = o->mac,
        .encrypt = !o->plain_text,
        .sender_id = SENDER_ID,
    };
    snprintf(c.group, sizeof(c.group), "%s", o->group);
    snprintf(c.interface, sizeof(c.interface), "%s", o->interface);
    if (o->secret != NULL) {
        int fd = open_file(o->secret, O_RDONLY);
        if (read(fd, c.secret, sizeof(c.secret)) != (ssize_t)sizeof(c.secret)) {
            die(o->secret, "has fewer than 32 bytes");
        }
        close(fd);
    }
    return c;
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* UDP payload bits per second. Nobody names a rate: the ceiling is what the interface's link carries,
 * as for castpointd without a configured one. */
static uint64_t rate_ceiling(const struct options *o)
{
    uint64_t wire_bps = srv_link_ceiling(0, srv_link_speed(o->interface));

    return o->rate > 0 ? o->rate : srv_link_payload(wire_bps, o->segment, o->group);
}

static void print_trace(void *arg, const struct mc_trace *t)
{
    (void)arg;
    fprintf(stderr, "%.6f %s %s node=%u %llu->%llu loss=%.4f rate_mbps=%.1f\n", (double)t->at / 1e9,
            t->what, t->reason, t->node_id, (unsigned long long)t->before,
            (unsigned long long)t->after, t->loss, (double)t->rate_bps / 1e6);
}

static void print_sent(const struct mc_sender_stats *st, enum cp_err code)
{
    double s = (double)(st->ended - st->started) / 1e9;

    printf("send code=%s seconds=%.3f goodput_mbps=%.1f wire_ratio=%.4f repair=%llu parity=%llu "
           "nacks=%llu forged=%llu rate_mbps=%.1f reason=%s auto_parity=%u over_budget=%u gso=%d "
           "cpu=%.2f\n",
           cp_err_info(code)->code, s, (double)st->content_size * 8 / s / 1e6,
           (double)st->bytes_sent / (double)st->content_size, (unsigned long long)st->repair_bytes,
           (unsigned long long)st->parity_bytes, (unsigned long long)st->nacks,
           (unsigned long long)st->forged, (double)st->rate_bps / 1e6,
           st->rate_reason != NULL ? st->rate_reason : "-", st->auto_parity, st->over_budget,
           st->gso, cpu_seconds());
}

static int send_file(const struct options *o)
{
    int fd = open_file(o->file, O_RDONLY);
    struct mc_extent extent = {.fd = fd, .size = file_size(fd)};
    struct mc_sender_config config = {
        .channel = make_channel(o, extent.size),
        .instance_id = (uint16_t)(cp_clock_wall() / CP_SEC),
        .extents = &extent,
        .extent_count = 1,
        .ttl = 1,
        .loopback = true,
        .rate_bps = rate_ceiling(o),
        .rate_mode = o->rate_mode,
        .slow_share = SLOW_SHARE,
        .budget = true,
        .auto_parity = (uint8_t)o->parity,
        .auto_parity_max = (uint8_t)o->parity_max,
        .trace = o->trace ? print_trace : NULL,
        .gsize = o->nodes,
        .force_plain_io = o->plain_io,
    };
    struct cp_error err = {0};
    struct mc_sender_stats st;

    if (mc_sender_open(&config, &running_sender, &err) != CP_OK) {
        die("open", err.text[0] != '\0' ? err.text : cp_err_info(err.code)->title);
    }
    for (unsigned i = 1; i <= o->nodes; i++) {
        mc_sender_add_receiver(running_sender, i);
    }
    enum cp_err code = mc_sender_run(running_sender, &err);
    mc_sender_get_stats(running_sender, &st);
    print_sent(&st, code);
    mc_sender_close(running_sender);
    close(fd);
    return code == CP_OK ? 0 : 1;
}

static int receive_file(const struct options *o)
{
    int fd = open_file(o->out, O_RDWR | O_CREAT | O_TRUNC);
    struct mc_extent extent = {.fd = fd, .size = o->size};
    struct mc_receiver_config config = {
        .channel = make_channel(o, o->size),
        .node_id = o->node,
        .extents = &extent,
        .extent_count = 1,
        .silence = 20 * CP_SEC,
        .force_plain_io = o->plain_io,
    };
    struct cp_error err = {0};
    struct mc_receiver_stats st;
    uint8_t *digests = NULL;

    if (o->digests != NULL) {
        int in = open_file(o->digests, O_RDONLY);
        size_t size = (size_t)file_size(in);
        digests = malloc(size + 1);
        if (digests == NULL || read(in, digests, size) != (ssize_t)size) {
            die(o->digests, "not read");
        }
        config.chunk_digests = digests;
        config.chunk_count = size / SEAL_DIGEST_SIZE;
        close(in);
    }
    if (mc_receiver_open(&config, &running_receiver, &err) != CP_OK) {
        die("open", err.text[0] != '\0' ? err.text : cp_err_info(err.code)->title);
    }
    enum cp_err code = mc_receiver_run(running_receiver, &err);
    mc_receiver_get_stats(running_receiver, &st);
    double s = (double)(st.ended - st.started) / 1e9;
    printf("recv code=%s seconds=%.3f goodput_mbps=%.1f lost=%llu/%llu repair=%llu nacks=%llu "
           "drops=%llu forged=%llu bad=%llu gro=%d rmem=%u cpu=%.2f\n",
           cp_err_info(code)->code, s, (double)o->size * 8 / s / 1e6,
           (unsigned long long)st.symbols_lost, (unsigned long long)st.symbols_expected,
           (unsigned long long)st.repair_bytes, (unsigned long long)st.nacks,
           (unsigned long long)st.socket_drops, (unsigned long long)st.forged,
           (unsigned long long)st.chunks_bad, st.gro, st.rmem, cpu_seconds());
    mc_receiver_close(running_receiver);
    free(digests);
    close(fd);
    return code == CP_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options o = {.group = "239.77.7.7",
                        .interface = "eth0",
                        .port = 7777,
                        .node = 1,
                        .nodes = 1,
                        .parity = 2,
                        .parity_max = 32,
                        .segment = 1408,
                        .rate_mode = MC_RATE_LAN,
                        .mac = MC_MAC_AES256_GMAC};
    int c;

    if (argc < 2) {
        die("usage", "mc_bench digests|send|recv …");
    }
    while ((c = getopt_long(argc - 1, argv + 1, "", LONG, NULL)) != -1) {
        take_option(&o, c);
    }
    setvbuf(stdout, NULL, _IOLBF,
            0); /* who reads it through a pipe takes the time of the last line */
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (strcmp(argv[1], "digests") == 0) {
        write_digests(&o);
        return 0;
    }
    (void)prctl(PR_SET_NAME, argv[1]); /* a profile tells sender and receivers apart */
    if (strcmp(argv[1], "send") == 0) {
        return send_file(&o);
    }
    if (strcmp(argv[1], "recv") == 0) {
        return receive_file(&o);
    }
    die("usage", "mc_bench digests|send|recv …");
    return 1;
}
