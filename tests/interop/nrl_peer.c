/* SPDX-License-Identifier: Apache-2.0
 * The other side of the interoperation tests: a sender or receiver on the reference implementation,
 * libnorm. Says on standard output, line by line, what happens; ends by itself when the transfer
 * is over (a receiver: when, besides, standard input is closed), and after --timeout at the latest. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/interop/norm_api.h"

#define ACKERS_MAX   8u
#define OBJECT_FILE  2 /* NORM_OBJECT_FILE */
#define PATH_SIZE    512u
#define BUFFER_SPACE (32u * 1024 * 1024)

struct options {
    bool sender;
    const char *group, *interface, *file, *cache, *info;
    uint16_t port;
    uint32_t node_id;
    uint16_t segment_size, max_block_len, num_parity;
    uint8_t fec_id, auto_parity;
    double rate_bps, grtt, tx_loss, rx_loss;
    uint32_t acker[ACKERS_MAX];
    size_t acker_count;
    bool data_object, unicast_nack, sync_current, probe_passive;
    bool fti_in_info, congestion_control, silent;
    bool cancel; /* the object, when something comes on standard input */
    unsigned objects;
    double timeout;
};

struct peer {
    struct options opt;
    const void *instance;
    const void *session;
    const void *object; /* sender's */
    const void *halved; /* receiver's object that was seen to be half there */
    unsigned completed;
    char *data; /* sender's data object */
    bool done;
    int status;
};

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void fail(struct peer *p, const char *what)
{
    printf("error %s\n", what);
    p->done = true;
    p->status = 1;
}

/* The whole file in memory, for NORM_OBJECT_DATA; NULL on failure. */
static char *load(const char *path, uint32_t *ret_size)
{
    FILE *f = fopen(path, "rb");
    char *data = NULL;
    long size;

    if (f == NULL) {
        return NULL;
    }
    if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) > 0 && fseek(f, 0, SEEK_SET) == 0) {
        data = malloc((size_t)size);
        if (data != NULL && fread(data, 1, (size_t)size, f) != (size_t)size) {
            free(data);
            data = NULL;
        }
        *ret_size = (uint32_t)size;
    }
    fclose(f);
    return data;
}

static bool start_sender(struct peer *p)
{
    const struct options *o = &p->opt;
    unsigned info_size = o->info == NULL ? 0 : (unsigned)strlen(o->info);
    uint32_t size;

    NormSetTxCacheBounds(p->session, INT32_MAX, 1, 8);
    NormLimitObjectInfo(p->session, o->fti_in_info);
    NormSetGrttEstimate(p->session, o->grtt);
    NormSetTxRate(p->session, o->rate_bps);
    if (o->congestion_control) {
        NormSetCongestionControl(p->session, true, true);
        NormSetTxRateBounds(p->session, -1, o->rate_bps);
    }
    if (o->probe_passive) {
        NormSetGrttProbingMode(p->session, NRL_PROBE_PASSIVE);
    }
    for (size_t i = 0; i < o->acker_count; i++) {
        NormAddAckingNode(p->session, o->acker[i]);
    }
    if (!NormStartSender(p->session, (uint16_t)getpid(), BUFFER_SPACE, o->segment_size,
                         o->max_block_len, o->num_parity, o->fec_id)) {
        return false;
    }
    NormSetTxSocketBuffer(p->session, 1024 * 1024);
    NormSetAutoParity(p->session, o->auto_parity);
    if (o->data_object) {
        p->data = load(o->file, &size);
        p->object =
            p->data == NULL ? NULL : NormDataEnqueue(p->session, p->data, size, o->info, info_size);
    } else {
        p->object = NormFileEnqueue(p->session, o->file, o->info, info_size);
    }
    if (p->object == NULL) {
        return false;
    }
    return o->acker_count == 0 || NormSetWatermark(p->session, p->object, false);
}

/* Room for the first data: libnorm allocates its block buffers when they arrive, and is away for
 * tens of milliseconds then. */
static bool start_receiver(struct peer *p)
{
    NormSetDefaultUnicastNack(p->session, p->opt.unicast_nack);
    NormSetSilentReceiver(p->session, p->opt.silent, -1);
    NormSetDefaultSyncPolicy(p->session, p->opt.sync_current ? NRL_SYNC_CURRENT : NRL_SYNC_ALL);
    return NormSetCacheDirectory(p->instance, p->opt.cache) &&
           NormStartReceiver(p->session, BUFFER_SPACE) &&
           NormSetRxSocketBuffer(p->session, 4 * 1024 * 1024);
}

static bool start(struct peer *p)
{
    p->instance = NormCreateInstance(false);
    if (p->instance == NULL) {
        return false;
    }
    p->session = NormCreateSession(p->instance, p->opt.group, p->opt.port, p->opt.node_id);
    if (p->session == NULL || !NormSetMulticastInterface(p->session, p->opt.interface) ||
        !NormSetTTL(p->session, 4)) {
        return false;
    }
    NormSetTxLoss(p->session, p->opt.tx_loss);
    NormSetRxLoss(p->session, p->opt.rx_loss);
    return p->opt.sender ? start_sender(p) : start_receiver(p);
}

static void report_acks(struct peer *p)
{
    p->done = true;
    for (size_t i = 0; i < p->opt.acker_count; i++) {
        bool ok = NormGetAckingStatus(p->session, p->opt.acker[i]) == NRL_ACK_SUCCESS;

        printf("ack %u %s\n", p->opt.acker[i], ok ? "success" : "failure");
        p->status |= ok ? 0 : 1;
    }
}

static bool save(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    bool ok = f != NULL && fwrite(data, 1, size, f) == size;

    return (f == NULL || fclose(f) == 0) && ok;
}

/* The second object and those behind it get their number as a suffix. */
static void keep_object(struct peer *p, const void *object)
{
    char name[PATH_SIZE], target[PATH_SIZE];
    long long size = (long long)NormObjectGetSize(object);
    bool ok;

    snprintf(target, sizeof(target), p->completed == 0 ? "%s" : "%s.%u", p->opt.file, p->completed);
    if (NormObjectGetType(object) == OBJECT_FILE) {
        ok = NormFileGetName(object, name, sizeof(name)) && rename(name, target) == 0;
    } else {
        ok = save(target, NormDataAccessData(object), (size_t)size);
    }
    if (!ok) {
        fail(p, "the object could not be kept");
        return;
    }
    printf("completed %lld\n", size);
    p->completed++;
    p->done = p->completed == p->opt.objects;
}

static void show_progress(struct peer *p, const void *object)
{
    if (object != p->halved && 2 * NormObjectGetBytesPending(object) <= NormObjectGetSize(object)) {
        p->halved = object;
        printf("half\n");
    }
}

static void show_info(const void *object)
{
    char info[64] = "";
    uint16_t size = NormObjectGetInfo(object, info, sizeof(info) - 1);

    printf("info %u %s\n", size, info);
}

static void show_command(const void *sender)
{
    char text[64] = "";
    unsigned size = sizeof(text) - 1;

    if (NormNodeGetCommand(sender, text, &size)) {
        printf("command %u %s\n", size, text);
    }
}

static void on_event(struct peer *p, const struct nrl_event *e)
{
    switch (e->type) {
    case NRL_TX_FLUSH_COMPLETED:
        printf("flushed\n");
        p->done = p->done || p->opt.acker_count == 0;
        break;
    case NRL_TX_WATERMARK_COMPLETED:
        report_acks(p);
        break;
    case NRL_TX_OBJECT_SENT:
        printf("sent\n");
        break;
    case NRL_CC_ACTIVE:
        printf("cc\n");
        break;
    case NRL_REMOTE_SENDER_NEW:
        printf("sender\n");
        break;
    case NRL_REMOTE_SENDER_RESET:
        printf("sender-reset\n");
        break;
    case NRL_REMOTE_SENDER_INACTIVE:
        printf("sender-inactive\n");
        break;
    case NRL_RX_CMD_NEW:
        show_command(e->sender);
        break;
    case NRL_RX_OBJECT_NEW:
        printf("object %lld\n", (long long)NormObjectGetSize(e->object));
        break;
    case NRL_RX_OBJECT_INFO:
        show_info(e->object);
        break;
    case NRL_RX_OBJECT_UPDATED:
        show_progress(p, e->object);
        break;
    case NRL_RX_OBJECT_COMPLETED:
        keep_object(p, e->object);
        break;
    case NRL_RX_OBJECT_ABORTED:
        printf("aborted\n");
        break;
    default:
        break;
    }
}

/* What standard input says: its end is a receiver's sign to go; a word cancels a sender's object. */
static void on_input(struct peer *p, bool *closed)
{
    char c;

    if (read(STDIN_FILENO, &c, 1) > 0) {
        if (p->object != NULL) {
            NormObjectCancel(p->object);
            p->object = NULL;
            printf("cancelled\n");
        }
        return;
    }
    *closed = true;
    if (!p->done && !p->opt.cancel) {
        fail(p, "told to end before the object was complete");
    }
    p->done = true;
}

/* Events until the transfer is over. A receiver goes on until its standard input closes, so that
 * the sender's wish for an acknowledgement is still answered. */
static void run(struct peer *p)
{
    double end = now() + p->opt.timeout;
    bool deaf = p->opt.sender && !p->opt.cancel;
    struct pollfd fds[] = {{.fd = NormGetDescriptor(p->instance), .events = POLLIN},
                           {.fd = deaf ? -1 : STDIN_FILENO, .events = POLLIN}};
    bool closed = deaf;

    while (!(p->done && (closed || p->status != 0))) {
        int left = (int)((end - now()) * 1000);
        struct nrl_event e;

        fflush(stdout);
        if (left <= 0) {
            fail(p, "timeout");
            break;
        }
        if (poll(fds, 2, left) < 0 && errno != EINTR) {
            fail(p, "poll");
            break;
        }
        if (fds[1].revents != 0) {
            on_input(p, &closed);
            fds[1].fd = closed ? -1 : STDIN_FILENO;
        }
        if (fds[0].revents != 0 && NormGetNextEvent(p->instance, &e, false)) {
            on_event(p, &e);
        }
    }
    fflush(stdout);
}

static const struct option long_options[] = {
    {"group", required_argument, NULL, 'g'},
    {"port", required_argument, NULL, 'p'},
    {"interface", required_argument, NULL, 'i'},
    {"node", required_argument, NULL, 'n'},
    {"file", required_argument, NULL, 'f'},
    {"cache", required_argument, NULL, 'c'},
    {"segment", required_argument, NULL, 'E'},
    {"block", required_argument, NULL, 'B'},
    {"parity", required_argument, NULL, 'P'},
    {"fec", required_argument, NULL, 'F'},
    {"auto-parity", required_argument, NULL, 'a'},
    {"rate", required_argument, NULL, 'r'},
    {"grtt", required_argument, NULL, 'G'},
    {"tx-loss", required_argument, NULL, 'T'},
    {"rx-loss", required_argument, NULL, 'R'},
    {"ack", required_argument, NULL, 'A'},
    {"info", required_argument, NULL, 'I'},
    {"data", no_argument, NULL, 'd'},
    {"unicast-nack", no_argument, NULL, 'u'},
    {"sync-current", no_argument, NULL, 's'},
    {"probe-passive", no_argument, NULL, 'q'},
    {"fti-in-info", no_argument, NULL, 'l'},
    {"congestion-control", no_argument, NULL, 'C'},
    {"silent", no_argument, NULL, 'S'},
    {"cancel", no_argument, NULL, 'x'},
    {"objects", required_argument, NULL, 'o'},
    {"timeout", required_argument, NULL, 't'},
    {NULL, 0, NULL, 0},
};

static bool parse_number(struct options *o, int c, double v)
{
    switch (c) {
    case 'p':
        o->port = (uint16_t)v;
        return true;
    case 'n':
        o->node_id = (uint32_t)v;
        return true;
    case 'E':
        o->segment_size = (uint16_t)v;
        return true;
    case 'B':
        o->max_block_len = (uint16_t)v;
        return true;
    case 'P':
        o->num_parity = (uint16_t)v;
        return true;
    case 'F':
        o->fec_id = (uint8_t)v;
        return true;
    case 'a':
        o->auto_parity = (uint8_t)v;
        return true;
    case 'r':
        o->rate_bps = v;
        return true;
    case 'G':
        o->grtt = v;
        return true;
    case 'T':
        o->tx_loss = v;
        return true;
    case 'R':
        o->rx_loss = v;
        return true;
    case 't':
        o->timeout = v;
        return true;
    case 'o':
        o->objects = (unsigned)v;
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
        o->group = optarg;
        return true;
    case 'i':
        o->interface = optarg;
        return true;
    case 'f':
        o->file = optarg;
        return true;
    case 'c':
        o->cache = optarg;
        return true;
    case 'I':
        o->info = optarg;
        return true;
    case 'd':
        o->data_object = true;
        return true;
    case 'u':
        o->unicast_nack = true;
        return true;
    case 's':
        o->sync_current = true;
        return true;
    case 'q':
        o->probe_passive = true;
        return true;
    case 'l':
        o->fti_in_info = true;
        return true;
    case 'C':
        o->congestion_control = true;
        return true;
    case 'S':
        o->silent = true;
        return true;
    case 'x':
        o->cancel = true;
        return true;
    default:
        return false;
    }
}

static bool parse(struct options *o, int argc, char **argv)
{
    int c;

    *o = (struct options){.interface = "eth0",
                          .cache = "/tmp/",
                          .segment_size = 1408,
                          .max_block_len = 128,
                          .num_parity = 32,
                          .fec_id = 129,
                          .rate_bps = 100e6,
                          .grtt = 0.01,
                          .objects = 1,
                          .timeout = 60};
    while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        char *end = NULL;
        double v = optarg == NULL ? 0 : strtod(optarg, &end);

        if (!parse_word(o, c) && (end == NULL || *end != '\0' || !parse_number(o, c, v))) {
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
    struct peer p = {0};

    if (!parse(&p.opt, argc, argv)) {
        fprintf(stderr,
                "usage: nrl_peer send|receive --group A --port N --node ID --file PATH …\n");
        return 2;
    }
    if (start(&p)) {
        printf("ready\n");
        run(&p);
    } else {
        fail(&p, "libnorm refused to start");
    }
    if (p.session != NULL) {
        NormDestroySession(p.session);
    }
    if (p.instance != NULL) {
        NormDestroyInstance(p.instance);
    }
    free(p.data);
    return p.status;
}
