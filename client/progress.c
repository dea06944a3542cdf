/* SPDX-License-Identifier: Apache-2.0
 * Display of progress. */
#include "client/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SAMPLE_INTERVAL (100 * CP_MSEC)
#define BAR_INTERVAL    (200 * CP_MSEC)
/* Elsewhere than on a terminal: each tenth, or a sign of life. */
#define LINE_INTERVAL (10 * CP_SEC)
#define LINE_PERCENT  10u
#define LINE_SIZE     512u
#define BAR_MAX       40u

void cl_rate_add(struct cl_rate *r, cp_time now, uint64_t bytes)
{
    size_t last = (r->count + CL_RATE_SAMPLES - 1) % CL_RATE_SAMPLES;

    if (r->count == 1 && bytes == r->bytes[0]) {
        r->when[0] = now; /* nothing has come yet: waiting does not count */
        return;
    }
    if (r->count > 0 && now < cp_time_add(r->when[last], SAMPLE_INTERVAL)) {
        return;
    }
    r->when[r->count % CL_RATE_SAMPLES] = now;
    r->bytes[r->count % CL_RATE_SAMPLES] = bytes;
    r->count++;
}

uint64_t cl_rate_bps(const struct cl_rate *r)
{
    size_t newest, oldest;
    uint64_t bytes;
    cp_time time;

    if (r->count < 2) {
        return 0;
    }
    newest = (r->count - 1) % CL_RATE_SAMPLES;
    oldest = r->count <= CL_RATE_SAMPLES ? 0 : r->count % CL_RATE_SAMPLES;
    bytes = r->bytes[newest] - r->bytes[oldest];
    time = r->when[newest] - r->when[oldest];
    /* In double: bytes times 8e9 would overflow 64 bits beyond 2 GB. */
    return time == 0 ? 0 : (uint64_t)((double)bytes * 8.0 * 1e9 / (double)time);
}

static unsigned percent(const struct cl_counters *c)
{
    return c->bytes_total == 0 ? 100
                               : (unsigned)((double)c->bytes_done * 100.0 / (double)c->bytes_total);
}

/* "[####....]" of `columns` in all, NUL; nothing when there is no room for one. */
static void make_bar(unsigned done, size_t columns, char ret_bar[BAR_MAX + 4])
{
    size_t inner = columns > BAR_MAX + 2 ? BAR_MAX : columns < 6 ? 0 : columns - 2;
    size_t filled = inner * done / 100;

    if (inner == 0) {
        ret_bar[0] = '\0';
        return;
    }
    ret_bar[0] = '[';
    memset(ret_bar + 1, '#', filled);
    memset(ret_bar + 1 + filled, '.', inner - filled);
    ret_bar[inner + 1] = ']';
    ret_bar[inner + 2] = ' ';
    ret_bar[inner + 3] = '\0';
}

char *cl_progress_text(const char *package, const struct cl_counters *c, const char *how,
                       size_t width, char *ret_text, size_t size)
{
    char figures[LINE_SIZE], bar[BAR_MAX + 4] = "";
    char eta[32] = "";
    unsigned done = percent(c);
    size_t fixed;

    if (c->rate_bps > 0 && c->bytes_done < c->bytes_total) {
        uint64_t left =
            (uint64_t)((double)(c->bytes_total - c->bytes_done) * 8.0 / (double)c->rate_bps);

        (void)snprintf(eta, sizeof eta, "  ETA %llu:%02u", (unsigned long long)(left / 60),
                       (unsigned)(left % 60));
    }
    (void)snprintf(figures, sizeof figures, "%3u %%  %.1f MB/s  loss %.2f %%%s  %s", done,
                   (double)c->rate_bps / 8e6, (double)c->loss_ppm / 1e4, eta, how);
    fixed = strlen(package) + 1 + strlen(figures) + 1;
    if (width > fixed) {
        make_bar(done, width - fixed, bar);
    }
    (void)snprintf(ret_text, size, "%s %s%s", package, bar, figures);
    if (width > 0 && width < size && strlen(ret_text) > width) {
        ret_text[width] = '\0';
    }
    return ret_text;
}

void cl_progress_init(struct cl_progress *p, const char *package, int fd, bool quiet)
{
    *p = (struct cl_progress){
        .package = package, .fd = fd, .quiet = quiet, .terminal = isatty(fd) == 1};
}

/* The service's words are part of some texts: they give no control characters to the terminal. */
static void put(const struct cl_progress *p, const char *start, const char *text, const char *end)
{
    char clean[LINE_SIZE], line[LINE_SIZE + 32];
    int size;

    (void)snprintf(clean, sizeof clean, "%s", text);
    for (char *c = clean; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = ' ';
        }
    }
    size = snprintf(line, sizeof line, "%s%s%s", start, clean, end);
    if (size > 0 &&
        write(p->fd, line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1) < 0) {
        return; /* nobody is there to see it */
    }
}

static size_t columns(int fd)
{
    struct winsize w;

    return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20 ? w.ws_col - 1u : 79u;
}

/* Whether a line is due elsewhere than on a terminal. */
static bool line_due(const struct cl_progress *p, cp_time now, unsigned done)
{
    return p->last == 0 || done / LINE_PERCENT != p->last_percent / LINE_PERCENT ||
           now >= cp_time_add(p->last, LINE_INTERVAL);
}

void cl_progress_show(struct cl_progress *p, cp_time now, const struct cl_counters *c,
                      const char *how)
{
    char text[LINE_SIZE];
    unsigned done = percent(c);

    if (p->quiet) {
        return;
    }
    if (p->terminal ? p->last != 0 && now < cp_time_add(p->last, BAR_INTERVAL)
                    : !line_due(p, now, done)) {
        return;
    }
    p->last = now;
    p->last_percent = done;
    if (p->terminal) {
        (void)cl_progress_text(p->package, c, how, columns(p->fd), text, sizeof text);
        put(p, "\r\x1b[K", text, ""); /* erase to the end of the line */
        p->open = true;
    } else {
        (void)cl_progress_text(p->package, c, how, 0, text, sizeof text);
        put(p, "castget: ", text, "\n");
    }
}

void cl_progress_end(struct cl_progress *p)
{
    if (p->open) {
        put(p, "\r\x1b[K", "", "");
        p->open = false;
    }
}

void cl_progress_note(struct cl_progress *p, const char *text)
{
    if (!p->quiet) {
        cl_progress_end(p);
        put(p, "castget: ", text, "\n");
    }
}
