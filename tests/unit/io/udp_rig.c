/* SPDX-License-Identifier: Apache-2.0
 * The rig of UDP tests. */
#include "tests/unit/io/udp_rig.h"

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

bool udp_own_namespace;

/* ---- the namespace ---- */

static void lo_request(unsigned long name, struct ifreq *request)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    memcpy(request->ifr_name, "lo", 3);
    assert_int_equal(ioctl(fd, name, request), 0);
    close(fd);
}

void udp_lo_set_up(bool up)
{
    struct ifreq request = {0};

    lo_request(SIOCGIFFLAGS, &request);
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    lo_request(SIOCSIFFLAGS, &request);
}

bool udp_veth_add(void)
{
    return udp_own_namespace &&
           system("{ ip link add cpt0 type veth peer name cpt1 && ip link set cpt0 up && "
                  "ip link set cpt1 up && ip addr add 10.77.77.1/24 dev cpt0 && "
                  "ip addr add fd77::1/64 dev cpt0 nodad; } 2>/dev/null") == 0;
}

void udp_veth_remove(void)
{
    assert_int_equal(system("ip link del cpt0"), 0);
}

int udp_enter_namespace(void **state)
{
    (void)state;
    udp_own_namespace = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
    if (udp_own_namespace) {
        struct ifreq request = {.ifr_mtu = UDP_NAMESPACE_MTU};

        lo_request(SIOCSIFMTU, &request);
        udp_lo_set_up(true);
    }
    return 0;
}

/* ---- helpers ---- */

struct io_udp_config udp_config(enum io_udp_mode mode)
{
    return (struct io_udp_config){.group = UDP_GROUP,
                                  .port = UDP_PORT,
                                  .interface = "lo",
                                  .mode = mode,
                                  .ttl = 1,
                                  .dscp = 8,
                                  .loopback = true};
}

struct io_udp *udp_open_sender(enum io_udp_mode mode)
{
    const struct io_udp_config config = udp_config(mode);
    struct cp_error err = {0};
    struct io_udp *u = NULL;

    if (io_udp_open_sender(&config, &u, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
    return u;
}

struct io_udp *udp_open_receiver(enum io_udp_mode mode)
{
    const struct io_udp_config config = udp_config(mode);
    struct cp_error err = {0};
    struct io_udp *u = NULL;

    if (io_udp_open_receiver(&config, &u, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
    return u;
}

void udp_drain(struct io_udp *u, struct udp_inbox *box)
{
    const struct io_udp_packet *packet;
    struct cp_error err = {0};
    size_t count;

    do {
        assert_int_equal(io_udp_receive(u, &packet, &count, &err), CP_OK);
        for (size_t i = 0; i < count; i++) {
            assert_true(box->count < UDP_PACKETS_MAX && packet[i].size <= UDP_PAYLOAD_MAX);
            memcpy(box->data[box->count], packet[i].data, packet[i].size);
            box->size[box->count] = packet[i].size;
            box->from[box->count++] = *packet[i].from;
        }
    } while (count > 0);
}

void udp_await(struct io_udp *u, struct udp_inbox *box, size_t count)
{
    struct pollfd p = {.fd = io_udp_fd(u), .events = POLLIN};

    while (box->count < count) {
        if (poll(&p, 1, UDP_WAIT_MS) != 1) {
            fail_msg("only %zu of %zu packets came", box->count, count);
        }
        udp_drain(u, box);
    }
}

void udp_send_text(struct io_udp *u, const struct io_address *to, const char *text)
{
    struct cp_error err = {0};

    if (io_udp_send(u, to, (const uint8_t *)text, strlen(text), 1400, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
}

void udp_assert_text(const struct udp_inbox *box, size_t i, const char *text)
{
    assert_true(i < box->count);
    assert_int_equal(box->size[i], strlen(text));
    assert_memory_equal(box->data[i], text, strlen(text));
}

struct udp_inbox udp_inbox;
uint8_t udp_out[UDP_PACKETS_MAX * 1000];

void udp_fill_out(void)
{
    for (size_t i = 0; i < sizeof udp_out; i++) {
        udp_out[i] = (uint8_t)(i * 31 + i / 251);
    }
}

void udp_assert_round_trip(struct io_udp *tx, struct io_udp *rx, size_t size)
{
    const size_t count = (size + 999) / 1000;
    struct cp_error err = {0};

    udp_inbox.count = 0;
    udp_fill_out();
    assert_int_equal(io_udp_send(tx, NULL, udp_out, size, 1000, &err), CP_OK);
    udp_await(rx, &udp_inbox, count);
    assert_int_equal(udp_inbox.count, count);
    for (size_t i = 0; i < count; i++) {
        const size_t want = size - i * 1000 < 1000 ? size - i * 1000 : 1000;

        assert_int_equal(udp_inbox.size[i], want);
        assert_memory_equal(udp_inbox.data[i], udp_out + i * 1000, want);
        assert_true(io_address_equal(&udp_inbox.from[i], io_udp_local(tx)));
    }
}

void udp_assert_refused(const struct io_udp_config *config, bool sender, enum cp_err code,
                        const char *word)
{
    struct io_udp *u = NULL;
    struct cp_error err = {0};

    assert_int_equal(sender ? io_udp_open_sender(config, &u, &err)
                            : io_udp_open_receiver(config, &u, &err),
                     code);
    assert_null(u);
    assert_int_equal(err.code, code);
    if (strstr(err.text, word) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, word);
    }
    /* Nobody has to ask for the text. */
    assert_int_equal(sender ? io_udp_open_sender(config, &u, NULL)
                            : io_udp_open_receiver(config, &u, NULL),
                     code);
}
