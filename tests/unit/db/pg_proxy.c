/* SPDX-License-Identifier: Apache-2.0
 * The proxy that breaks connections at COMMIT. */
#include "tests/unit/db/pg_proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Our statements travel in one write each, so a piece that was read holds whole messages. */
#define PIECE 65536

struct pg_proxy {
    char folder[64];
    char conninfo[160];
    char server[96]; /* its socket */
    int listen_fd;
    int stop_fd;
    atomic_int cut;
    atomic_int cuts;
    pthread_t thread;
};

static struct sockaddr_un address(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    assert_true(strlen(path) < sizeof a.sun_path);
    (void)strcpy(a.sun_path, path);
    return a;
}

/* The simple query "COMMIT": its byte, its length, its text with the NUL. */
static bool is_commit(const char *piece, size_t size)
{
    static const char message[] = "Q\0\0\0\x0b"
                                  "COMMIT";

    return memmem(piece, size, message, sizeof message) != NULL;
}

static void pass_on(int fd, const char *piece, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, piece, size, MSG_NOSIGNAL);

        if (n <= 0) {
            return; /* the other side went: the next read says so */
        }
        piece += n;
        size -= (size_t)n;
    }
}

/* Until the server has answered: then the commit has happened. */
static void await_answer(int server)
{
    struct pollfd p = {.fd = server, .events = POLLIN};

    (void)poll(&p, 1, 10000);
}

/* Until one side closes, or the cut. */
static void pump(struct pg_proxy *p, int client, int server)
{
    static char piece[PIECE];
    struct pollfd fds[] = {{.fd = client, .events = POLLIN},
                           {.fd = server, .events = POLLIN},
                           {.fd = p->stop_fd, .events = POLLIN}};

    while (poll(fds, 3, -1) > 0 && fds[2].revents == 0) {
        bool from_client = fds[0].revents != 0;
        ssize_t n = read(from_client ? client : server, piece, sizeof piece);

        if (n <= 0) {
            return;
        }
        if (from_client && is_commit(piece, (size_t)n)) {
            int cut = atomic_exchange(&p->cut, PG_PROXY_NONE);

            if (cut != PG_PROXY_NONE) {
                if (cut == PG_PROXY_SWALLOW) {
                    pass_on(server, piece, (size_t)n);
                    await_answer(server);
                }
                (void)atomic_fetch_add(&p->cuts, 1);
                return;
            }
        }
        pass_on(from_client ? server : client, piece, (size_t)n);
    }
}

static void *run(void *arg)
{
    struct pg_proxy *p = arg;
    struct sockaddr_un to = address(p->server);
    struct pollfd fds[] = {{.fd = p->listen_fd, .events = POLLIN},
                           {.fd = p->stop_fd, .events = POLLIN}};

    while (poll(fds, 2, -1) > 0 && fds[1].revents == 0) {
        int client = accept(p->listen_fd, NULL, NULL);
        int server = socket(AF_UNIX, SOCK_STREAM, 0);

        if (connect(server, (const struct sockaddr *)&to, sizeof to) == 0) {
            pump(p, client, server);
        }
        (void)close(server);
        (void)close(client);
    }
    return NULL;
}

struct pg_proxy *pg_proxy_start(const char *conninfo)
{
    struct pg_proxy *p = calloc(1, sizeof *p);
    struct sockaddr_un own;
    char folder[64];
    char path[96];

    assert_non_null(p);
    assert_int_equal(sscanf(conninfo, "host=%63s ", folder), 1);
    (void)snprintf(p->server, sizeof p->server, "%s/.s.PGSQL.5432", folder);
    (void)snprintf(p->folder, sizeof p->folder, "/tmp/castpoint-proxy-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    (void)snprintf(p->conninfo, sizeof p->conninfo, "host=%s %s", p->folder,
                   strchr(conninfo, ' ') + 1);
    (void)snprintf(path, sizeof path, "%s/.s.PGSQL.5432", p->folder);
    own = address(path);
    p->stop_fd = eventfd(0, EFD_CLOEXEC);
    p->listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(p->listen_fd, (const struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(listen(p->listen_fd, 8), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, run, p), 0);
    return p;
}

void pg_proxy_stop(struct pg_proxy *p)
{
    char path[96];

    assert_int_equal(eventfd_write(p->stop_fd, 1), 0);
    assert_int_equal(pthread_join(p->thread, NULL), 0);
    (void)close(p->listen_fd);
    (void)close(p->stop_fd);
    (void)snprintf(path, sizeof path, "%s/.s.PGSQL.5432", p->folder);
    (void)unlink(path);
    (void)rmdir(p->folder);
    free(p);
}

const char *pg_proxy_conninfo(const struct pg_proxy *p)
{
    return p->conninfo;
}

void pg_proxy_arm(struct pg_proxy *p, enum pg_proxy_cut cut)
{
    atomic_store(&p->cut, (int)cut);
}

int pg_proxy_cuts(const struct pg_proxy *p)
{
    return atomic_load(&p->cuts);
}
