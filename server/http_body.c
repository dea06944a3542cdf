/* SPDX-License-Identifier: Apache-2.0
 * A file's bytes for libmicrohttpd. Its own file responses read 16 KiB at a time, know neither
 * several pieces nor a ceiling, and a mapped file would end the process when its disk fails. What
 * is not in memory yet a worker reads, with the connection suspended. */
#include "server/http_body.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server/http_answer.h"
#include "server/http_peer.h"
#include "server/http_throttle.h"
#include "server/http_work.h"

/* One read. Each download that is under way has a buffer of this size. Measured with 20 clients, in
 * processor seconds for each GiB: 1.77 with 16 KiB, 1.39 with 32, 1.34 with 64, 1.47 with 128. */
#define BLOCK (64u * 1024u)

struct stream {
    struct srv_turn turn; /* first: a turn is its stream */
    struct MHD_Connection *connection;
    struct srv_peer *peer;
    struct srv_throttle *throttle;
    struct api_response rs; /* owned */
    size_t segment;         /* the present one: text and piece in turn, then the last text */
    uint64_t done;          /* bytes of it that were handed over */
    size_t text_at;         /* where its text begins, if it is one */
    size_t allowed;         /* by the ceiling, and not handed over yet */

    struct srv_work *work;
    struct srv_job job; /* a read that has to wait for the disk, into … */
    char *slow;         /* … this, of which these bytes are left */
    size_t slow_at, slow_size;
    bool failed;
};

/* A run of bytes of the body or of the file. */
struct segment {
    bool text;
    uint64_t offset, size;
};

/* False at the end. */
static bool present_segment(const struct stream *s, struct segment *ret_segment)
{
    const struct api_response *rs = &s->rs;
    size_t pieces = rs->pieces == NULL ? 1 : rs->piece_count;
    size_t piece = s->segment / 2;

    if (s->segment > 2 * pieces) {
        return false;
    }
    ret_segment->text = s->segment % 2 == 0;
    if (!ret_segment->text) {
        ret_segment->offset = rs->pieces == NULL ? rs->fd_offset : rs->pieces[piece].offset;
        ret_segment->size = rs->pieces == NULL ? rs->fd_size : rs->pieces[piece].size;
    } else {
        ret_segment->offset = s->text_at;
        ret_segment->size = piece == pieces      ? rs->body_size - s->text_at
                            : rs->pieces == NULL ? 0
                                                 : rs->pieces[piece].text_size;
    }
    return true;
}

/* ---- the file ---- */

/* Bytes that are in memory already; -1 with EAGAIN when the disk would have to be waited for. Some
 * file systems cannot tell, and are read all the same. */
static ssize_t read_now(int fd, char *to, size_t size, uint64_t offset)
{
    struct iovec into = {.iov_base = to, .iov_len = size};
    ssize_t n;

    do {
        n = preadv2(fd, &into, 1, (off_t)offset, RWF_NOWAIT);
        if (n < 0 && errno == EOPNOTSUPP) {
            n = pread(fd, to, size, (off_t)offset);
        }
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Waits for the disk, into the stream's own buffer. */
static void read_slowly(struct stream *s)
{
    struct segment g;
    ssize_t n = -1;

    if (s->slow == NULL) {
        s->slow = malloc(BLOCK);
    }
    if (s->slow != NULL && present_segment(s, &g)) {
        uint64_t left = g.size - s->done;

        do {
            n = pread(s->rs.fd, s->slow, left < BLOCK ? (size_t)left : BLOCK,
                      (off_t)(g.offset + s->done));
        } while (n < 0 && errno == EINTR);
    }
    s->slow_at = 0;
    s->slow_size = n > 0 ? (size_t)n : 0;
    s->failed = n <= 0;
}

static void slow_job(struct srv_job *job)
{
    struct stream *s = (struct stream *)(void *)((char *)job - offsetof(struct stream, job));

    read_slowly(s);
    MHD_resume_connection(s->connection);
}

/* Other connections of this thread go on meanwhile. False: it is read already. */
static bool wait_for_disk(struct stream *s)
{
    if (!srv_work_reserve(s->work)) {
        read_slowly(s); /* the service stops: nobody may be suspended any more */
        return false;
    }
    s->job.fn = slow_job;
    MHD_suspend_connection(s->connection);
    srv_work_submit(s->work, &s->job);
    return true;
}

static ssize_t read_piece(struct stream *s, char *to, size_t size, uint64_t offset)
{
    if (s->slow_size == 0) {
        return read_now(s->rs.fd, to, size, offset);
    }
    size = size < s->slow_size ? size : s->slow_size;
    memcpy(to, s->slow + s->slow_at, size);
    s->slow_at += size;
    s->slow_size -= size;
    return (ssize_t)size;
}

/* ---- the body ---- */

/* Fills as much as can be had at once; the stream fails when the file has less than it had, or
 * cannot be read. */
static size_t fill(struct stream *s, char *to, size_t room)
{
    struct segment g;
    size_t at = 0;

    while (at < room && present_segment(s, &g)) {
        uint64_t left = g.size - s->done;
        size_t want = left < room - at ? (size_t)left : room - at;

        if (want == 0) {
            s->text_at += g.text ? (size_t)g.size : 0;
            s->segment++;
            s->done = 0;
            continue;
        }
        if (g.text) {
            memcpy(to + at, s->rs.body + g.offset + s->done, want);
        } else {
            ssize_t n = read_piece(s, to + at, want, g.offset + s->done);

            if (n <= 0) {
                s->failed = n == 0 || errno != EAGAIN;
                break;
            }
            want = (size_t)n;
        }
        s->done += want;
        at += want;
    }
    return at;
}

/* MHD wants so many bytes at most; 0 with the connection suspended: it asks again when resumed. */
static ssize_t on_read(void *cls, uint64_t pos, char *to, size_t room)
{
    struct stream *s = cls;
    size_t n = 0;

    (void)pos; /* always behind what it got last */
    if (s->allowed == 0) {
        s->allowed = srv_throttle_take(s->throttle, &s->turn, room);
        if (s->allowed == 0) {
            return 0;
        }
    }
    while (n == 0 && !s->failed) {
        n = fill(s, to, room < s->allowed ? room : s->allowed);
        if (n == 0 && !s->failed && wait_for_disk(s)) {
            return 0;
        }
    }
    s->allowed = 0;
    srv_peer_sends(s->peer, n);
    return n > 0 ? (ssize_t)n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void on_free(void *cls)
{
    struct stream *s = cls;

    srv_throttle_leave(s->throttle, &s->turn);
    api_response_done(&s->rs);
    free(s->slow);
    free(s);
}

static void suspend(struct srv_turn *turn)
{
    MHD_suspend_connection(((struct stream *)turn)->connection);
}

static void resume(struct srv_turn *turn)
{
    MHD_resume_connection(((struct stream *)turn)->connection);
}

struct MHD_Response *srv_body_new(const struct srv_asker *asker, struct api_response *rs)
{
    uint64_t size = api_response_size(rs);
    struct stream *s = calloc(1, sizeof *s);
    struct MHD_Response *out;

    if (s == NULL) {
        return NULL;
    }
    s->turn.suspend = suspend;
    s->turn.resume = resume;
    s->connection = asker->connection;
    s->peer = srv_peer_of(asker->connection);
    s->throttle = asker->throttle;
    s->work = asker->work;
    s->rs = (struct api_response){.fd = rs->fd,
                                  .fd_offset = rs->fd_offset,
                                  .fd_size = rs->fd_size,
                                  .body = rs->body,
                                  .body_size = rs->body_size,
                                  .pieces = rs->pieces,
                                  .piece_count = rs->piece_count};
    out = MHD_create_response_from_callback(size, size < BLOCK ? (size_t)size + 1 : BLOCK, on_read,
                                            s, on_free);
    if (out == NULL) {
        free(s);
        return NULL;
    }
    /* The kernel reads ahead further; it may refuse, which costs speed only. */
    (void)posix_fadvise(rs->fd, (off_t)rs->fd_offset, (off_t)rs->fd_size, POSIX_FADV_SEQUENTIAL);
    rs->fd = -1;
    rs->body = NULL;
    rs->pieces = NULL;
    return out;
}
