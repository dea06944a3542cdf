/* SPDX-License-Identifier: Apache-2.0
 * Bodies from files over TLS, whose records go out in batches: nothing is lost, doubled or kept back,
 * whatever the client's protocol, the size of its records, its buffers and its patience. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <gnutls/gnutls.h>

#include "common/log.h"
#include "server/http.h"
#include "server/tls_cert.h"
#include "tests/unit/server/fake_api.h"

#define CROWD 6
#define STEP  5000 /* bytes a client reads at a time when others are served in between */

static struct {
    char dir[32];
    struct srv_tls tls;
    struct srv_http *http;
    gnutls_certificate_credentials_t none;
} f;

static int start(void **state)
{
    struct srv_http_config c = {.listen_host = "127.0.0.1", .threads = 2, .timeout_s = 30};
    struct cp_error err;

    (void)state;
    cp_log_init("test", CP_LOG_JSON, CP_LOG_ERROR, STDERR_FILENO);
    (void)snprintf(f.dir, sizeof f.dir, "/tmp/castpoint-test-XXXXXX");
    if (mkdtemp(f.dir) == NULL || srv_tls_self_signed(f.dir, "127.0.0.1", &f.tls, &err) != CP_OK ||
        gnutls_certificate_allocate_credentials(&f.none) != 0) {
        return -1;
    }
    c.cert_pem = f.tls.cert_pem;
    c.key_pem = f.tls.key_pem;
    return srv_http_start(&c, &f.http, &err) == CP_OK ? 0 : -1;
}

static int stop(void **state)
{
    static const char *const names[] = {"key.pem", "cert.pem"};
    char path[64];

    (void)state;
    srv_http_stop(f.http);
    srv_tls_done(&f.tls);
    gnutls_certificate_free_credentials(f.none);
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f.dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(f.dir);
}

/* ---- a client ---- */

struct client {
    int fd;
    gnutls_session_t tls;
    uint32_t next; /* word of "/cold" that comes next */
    size_t got;    /* bytes of the body */
    size_t part;   /* of a word */
    uint8_t word[4];
};

/* buffer: of the socket, 0: the usual. record: most bytes of one, 0: the usual. */
static void dial(struct client *c, const char *priorities, int buffer, size_t record)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(srv_http_port(f.http))};
    int rc;

    memset(c, 0, sizeof *c);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    if (buffer > 0) {
        assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer), 0);
    }
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(c->fd, (const struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(gnutls_init(&c->tls, GNUTLS_CLIENT), 0);
    assert_int_equal(gnutls_priority_set_direct(c->tls, priorities, NULL), 0);
    assert_int_equal(gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, f.none), 0);
    gnutls_transport_set_int(c->tls, c->fd);
    if (record > 0) {
        assert_true(gnutls_record_set_max_recv_size(c->tls, record) == 0);
    }
    do {
        rc = gnutls_handshake(c->tls);
    } while (rc < 0 && gnutls_error_is_fatal(rc) == 0);
    assert_int_equal(rc, 0);
}

static void hang_up(struct client *c)
{
    gnutls_deinit(c->tls);
    assert_int_equal(close(c->fd), 0);
}

static size_t receive(struct client *c, void *to, size_t room)
{
    ssize_t n;

    do {
        n = gnutls_record_recv(c->tls, to, room);
    } while (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
    assert_true(n > 0);
    return (size_t)n;
}

static void ask(struct client *c)
{
    static const char request[] = "GET /cold HTTP/1.1\r\nHost: x\r\n\r\n";
    char head[2048] = "";
    size_t at = 0;

    assert_int_equal(gnutls_record_send(c->tls, request, sizeof request - 1), sizeof request - 1);
    c->next = 0;
    c->got = 0;
    while (strstr(head, "\r\n\r\n") == NULL) { /* byte by byte: the body is not to be eaten */
        assert_true(at < sizeof head - 1);
        at += receive(c, head + at, 1);
    }
    assert_memory_equal(head, "HTTP/1.1 200 ", 13);
}

/* Reads a bit of the body and looks that it is what comes next. */
static void read_some(struct client *c, size_t room)
{
    static uint8_t bytes[1 << 16];
    size_t left = FAKE_COLD_SIZE - c->got;
    size_t n = receive(c, bytes, room < left ? room : left);

    for (size_t i = 0; i < n; i++) {
        uint32_t word;

        c->word[c->part++] = bytes[i];
        if (c->part == 4) {
            memcpy(&word, c->word, 4);
            if (word != c->next) {
                fail_msg("at byte %zu: word %u, not %u", c->got + i, word, c->next);
            }
            c->next++;
            c->part = 0;
        }
    }
    c->got += n;
}

static void read_all(struct client *c)
{
    while (c->got < FAKE_COLD_SIZE) {
        read_some(c, 1 << 16);
    }
}

/* ---- tests ---- */

static void every_kind_of_client_gets_all(void **state)
{
    static const struct {
        const char *priorities;
        int buffer;
        size_t record;
    } cases[] = {
        {"NORMAL", 0, 0},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2", 0, 0},
        {"NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305", 0, 0},
        {"NORMAL", 4096, 0},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2", 4096, 0},
        {"NORMAL", 0, 1024},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2", 4096, 700},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client c;

        dial(&c, cases[i].priorities, cases[i].buffer, cases[i].record);
        for (int round = 0; round < 2; round++) { /* the connection goes on */
            ask(&c);
            read_all(&c);
        }
        hang_up(&c);
    }
}

/* Each is served while the others' sockets are full. */
static void a_crowd_of_slow_ones_gets_all(void **state)
{
    struct client c[CROWD];
    bool more = true;

    (void)state;
    for (size_t i = 0; i < CROWD; i++) {
        dial(&c[i], "NORMAL", i % 2 == 0 ? 4096 : 0, 0);
        ask(&c[i]);
    }
    while (more) {
        more = false;
        for (size_t i = 0; i < CROWD; i++) {
            if (c[i].got < FAKE_COLD_SIZE) {
                read_some(&c[i], STEP);
                more = true;
            }
        }
    }
    for (size_t i = 0; i < CROWD; i++) {
        hang_up(&c[i]);
    }
}

/* Some leave, some stay and read no more: the service ends all the same. */
static void who_leaves_in_the_middle_is_no_trouble(void **state)
{
    struct client c[CROWD];

    (void)state;
    for (size_t i = 0; i < CROWD; i++) {
        dial(&c[i], "NORMAL", 4096, 0);
        ask(&c[i]);
        read_some(&c[i], STEP);
        if (i % 2 == 0) {
            hang_up(&c[i]);
        }
    }
    srv_http_stop(f.http);
    f.http = NULL;
    for (size_t i = 1; i < CROWD; i += 2) {
        hang_up(&c[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_of_client_gets_all, start, stop),
        cmocka_unit_test_setup_teardown(a_crowd_of_slow_ones_gets_all, start, stop),
        cmocka_unit_test_setup_teardown(who_leaves_in_the_middle_is_no_trouble, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
