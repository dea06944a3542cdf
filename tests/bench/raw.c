/* SPDX-License-Identifier: Apache-2.0
 * What the machine allows: a bare UDP_SEGMENT multicast sender, and receivers that drain their socket
 * with recvmmsg on a timer. No protocol, no repair, no file. Prints one line of figures.
 * Not a test; tests/bench/bench runs it in namespaces ("bench raw").
 *
 *   raw send --payload 1472 --seconds 2 [--segments 44]
 *   raw recv                              until the sender's end mark, or two seconds of silence */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BATCH       32
#define SLOT        65536        /* a packet as UDP_GRO may merge it */
#define DRAIN_NS    500000       /* as castget's receiver: on a timer, not a wake-up per packet */
#define BUFFER      (32 << 20)   /* of the receiving socket */
#define SEND_BUFFER (1 << 20)    /* small enough for a shaped link to hold the sender back */
#define SILENCE_NS  2000000000LL /* after the first packet */
#define END_MARKS   20

struct options {
    const char *group, *interface;
    unsigned port, payload, segments;
    double seconds;
};

static const struct option LONG[] = {
    {"group", required_argument, NULL, 'g'},
    {"interface", required_argument, NULL, 'i'},
    {"port", required_argument, NULL, 'p'},
    {"payload", required_argument, NULL, 'b'},
    {"seconds", required_argument, NULL, 's'},
    {"segments", required_argument, NULL, 'n'},
    {NULL, 0, NULL, 0},
};

/* Counted by a receiver. */
struct tally {
    uint64_t bytes, packets;
    int64_t first, last; /* ns; 0 none yet */
    bool ended;
};

static void die(const char *what)
{
    fprintf(stderr, "raw: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void set(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof value) != 0) {
        die("setsockopt");
    }
}

static struct sockaddr_in group_address(const struct options *o)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o->port)};

    if (inet_pton(AF_INET, o->group, &a.sin_addr) != 1) {
        die(o->group);
    }
    return a;
}

static struct ip_mreqn membership(const struct options *o)
{
    struct ip_mreqn m = {.imr_multiaddr = group_address(o).sin_addr,
                         .imr_ifindex = (int)if_nametoindex(o->interface)};

    if (m.imr_ifindex == 0) {
        die(o->interface);
    }
    return m;
}

static int open_sender(const struct options *o)
{
    struct sockaddr_in to = group_address(o);
    struct ip_mreqn m = membership(o);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof m) != 0) {
        die("socket");
    }
    set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    set(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        die("connect");
    }
    return fd;
}

/* A datagram of one byte tells receivers that this was all. */
static void send_end(int fd)
{
    const struct timespec pause = {.tv_nsec = 5000000};

    set(fd, SOL_UDP, UDP_SEGMENT, 0);
    for (int i = 0; i < END_MARKS; i++) {
        if (send(fd, "", 1, 0) < 0 && errno != ENOBUFS) {
            die("send");
        }
        nanosleep(&pause, NULL);
    }
}

static int send_all(const struct options *o)
{
    size_t size = (size_t)o->payload * o->segments;
    uint8_t *bytes = calloc(1, size);
    int fd = open_sender(o);
    uint64_t sent = 0;
    int64_t start = now();
    int64_t end = start + (int64_t)(o->seconds * 1e9);
    int64_t at = start;

    if (bytes == NULL) {
        die("memory");
    }
    set(fd, SOL_UDP, UDP_SEGMENT, (int)o->payload);
    while (at < end) {
        ssize_t n = send(fd, bytes, size, 0);
        if (n > 0) {
            sent += (uint64_t)n;
        } else if (errno != ENOBUFS) {
            die("send");
        }
        at = now();
    }
    send_end(fd);
    printf("raw-send bytes=%llu seconds=%.6f cpu=%.2f\n", (unsigned long long)sent,
           (double)(at - start) / 1e9, cpu_seconds());
    free(bytes);
    close(fd);
    return 0;
}

static int open_receiver(const struct options *o)
{
    struct sockaddr_in at = group_address(o);
    struct ip_mreqn m = membership(o);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        die("socket");
    }
    set(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER);
    set(fd, SOL_UDP, UDP_GRO, 1);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m) != 0) {
        die("bind");
    }
    return fd;
}

static void count(struct tally *t, const struct mmsghdr *messages, int got, unsigned payload)
{
    for (int i = 0; i < got; i++) {
        if (messages[i].msg_len <= 1) {
            t->ended = true;
        } else {
            t->bytes += messages[i].msg_len;
            t->packets += (messages[i].msg_len + payload - 1) / payload;
            t->last = now();
            t->first = t->first == 0 ? t->last : t->first;
        }
    }
}

/* Everything that waits in the socket. */
static void drain(int fd, struct mmsghdr *messages, struct tally *t, unsigned payload)
{
    int got;

    do {
        got = recvmmsg(fd, messages, BATCH, 0, NULL);
        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            die("recvmmsg");
        }
        count(t, messages, got, payload);
    } while (got == BATCH);
}

static int receive_all(const struct options *o)
{
    const struct timespec pause = {.tv_nsec = DRAIN_NS};
    struct mmsghdr messages[BATCH] = {0};
    struct iovec parts[BATCH];
    struct tally t = {0};
    uint8_t *slots = malloc((size_t)BATCH * SLOT);
    int fd = open_receiver(o);

    if (slots == NULL) {
        die("memory");
    }
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){.iov_base = slots + (size_t)i * SLOT, .iov_len = SLOT};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    while (!t.ended && (t.first == 0 || now() - t.last < SILENCE_NS)) {
        drain(fd, messages, &t, o->payload);
        nanosleep(&pause, NULL);
    }
    printf("raw-recv bytes=%llu packets=%llu seconds=%.6f cpu=%.2f\n", (unsigned long long)t.bytes,
           (unsigned long long)t.packets, (double)(t.last - t.first) / 1e9, cpu_seconds());
    free(slots);
    close(fd);
    return t.bytes > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options o = {.group = "239.77.7.8",
                        .interface = "eth0",
                        .port = 7788,
                        .payload = 1472,
                        .segments = 44,
                        .seconds = 2};
    bool sending = argc > 1 && strcmp(argv[1], "send") == 0;
    int c;

    while (argc > 1 && (c = getopt_long(argc - 1, argv + 1, "", LONG, NULL)) != -1) {
        switch (c) {
        case 'g':
            o.group = optarg;
            break;
        case 'i':
            o.interface = optarg;
            break;
        case 'p':
            o.port = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'b':
            o.payload = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            o.segments = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            o.seconds = strtod(optarg, NULL);
            break;
        default:
            argc = 0;
        }
    }
    if (argc < 2 || o.payload == 0 || o.segments == 0 ||
        (!sending && strcmp(argv[1], "recv") != 0)) {
        fprintf(stderr, "usage: raw send|recv [--payload N] [--segments N] [--seconds S] …\n");
        return 2;
    }
    return sending ? send_all(&o) : receive_all(&o);
}
