/* SPDX-License-Identifier: Apache-2.0
 * Log lines: text, JSON lines, CMTrace. Touches one file descriptor and the wall clock. */
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/utf8.h"

#define LINE_SIZE        4096
#define CORRELATION_SIZE 64

static struct {
    const char *component;
    enum cp_log_format format;
    enum cp_log_level level;
    int fd;
} config = {"castpoint", CP_LOG_TEXT, CP_LOG_INFO, STDERR_FILENO};

static _Thread_local char correlation[CORRELATION_SIZE];

struct line {
    char text[LINE_SIZE];
    size_t at;
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void cp_log_init(const char *component, enum cp_log_format format, enum cp_log_level level, int fd)
{
    config.component = component;
    config.format = format;
    config.level = level;
    config.fd = fd;
}

void cp_log_correlation(const char *id)
{
    (void)snprintf(correlation, sizeof correlation, "%s", id == NULL ? "" : id);
}

/* Keeps two bytes free for the line's end. */
static void put(struct line *l, const char *s)
{
    size_t left = sizeof l->text - 2 - l->at;
    size_t size = strlen(s);

    size = size < left ? size : left;
    memcpy(l->text + l->at, s, size);
    l->at += size;
}

/* A value in quotes: JSON's escapes serve the other forms too, so no value can forge a line, nor
 * end an entry of CMTrace, and what is not UTF-8 does not spoil the JSON. */
static void put_quoted(struct line *l, const char *s)
{
    char c[8];
    size_t size;

    put(l, "\"");
    for (; *s != '\0' && l->at + 16 < sizeof l->text; s += size) {
        unsigned char u = (unsigned char)*s;
        bool ends = config.format == CP_LOG_CMTRACE && strncmp(s, "]LOG]", 5) == 0;

        size = cp_utf8_size(s);
        if (size == 0) {
            size = 1;
            (void)snprintf(c, sizeof c, "\\ufffd");
        } else if (u < 0x20 || u == 0x7f || ends) {
            (void)snprintf(c, sizeof c, "\\u%04x", u);
        } else if (u == '"' || u == '\\') {
            (void)snprintf(c, sizeof c, "\\%c", u);
        } else {
            (void)snprintf(c, sizeof c, "%.*s", (int)size, s);
        }
        put(l, c);
    }
    put(l, "\"");
}

static void put_pair(struct line *l, const char *key, const char *value)
{
    if (config.format == CP_LOG_JSON) {
        put(l, ",");
        put_quoted(l, key);
        put(l, ":");
        put_quoted(l, value);
        return;
    }
    put(l, " ");
    put(l, key);
    put(l, "=");
    put_quoted(l, value);
}

static void put_start(struct line *l, enum cp_log_level level, const char *event)
{
    char when[CP_RFC3339_SIZE];

    cp_clock_rfc3339(cp_clock_wall(), when);
    if (config.format == CP_LOG_JSON) {
        put(l, "{\"time\":");
        put_quoted(l, when);
        put_pair(l, "level", level_names[level]);
        put_pair(l, "component", config.component);
        put_pair(l, "event", event);
    } else if (config.format == CP_LOG_CMTRACE) {
        put(l, "<![LOG[");
        put(l, event);
    } else {
        put(l, when);
        put(l, " ");
        put(l, level_names[level]);
        put(l, " ");
        put(l, event);
    }
    if (correlation[0] != '\0') {
        put_pair(l, "correlation_id", correlation);
    }
}

static void put_end(struct line *l, enum cp_log_level level)
{
    char end[256];
    uint64_t wall = cp_clock_wall();
    time_t seconds = (time_t)(wall / CP_SEC);
    struct tm tm;
    int type = level >= CP_LOG_ERROR ? 3 : level == CP_LOG_WARN ? 2 : 1;

    if (config.format == CP_LOG_JSON) {
        put(l, "}");
    } else if (config.format == CP_LOG_CMTRACE) {
        (void)gmtime_r(&seconds, &tm);
        (void)snprintf(end, sizeof end,
                       "]LOG]!><time=\"%02d:%02d:%02d.%03u+000\" date=\"%02d-%02d-%04d\" "
                       "component=\"%s\" context=\"\" type=\"%d\" thread=\"%d\" file=\"\">",
                       tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(wall % CP_SEC / CP_MSEC),
                       tm.tm_mon + 1, tm.tm_mday, tm.tm_year + 1900, config.component, type,
                       (int)getpid());
        if (l->at + strlen(end) + 2 > sizeof l->text) {
            l->at = sizeof l->text - strlen(end) - 2;
        }
        put(l, end);
    }
    l->text[l->at++] = '\n';
}

void cp_log(enum cp_log_level level, const char *event, ...)
{
    struct line l = {.at = 0};
    va_list args;
    const char *key;

    if (level < config.level) {
        return;
    }
    put_start(&l, level, event);
    va_start(args, event);
    while ((key = va_arg(args, const char *)) != NULL) {
        const char *value = va_arg(args, const char *);

        if (value != NULL && l.at + 64 < sizeof l.text) {
            put_pair(&l, key, value);
        }
    }
    va_end(args);
    put_end(&l, level);
    if (write(config.fd, l.text, l.at) < 0) {
        return; /* nowhere left to say it */
    }
}

const char *cp_log_u64(uint64_t value)
{
    static _Thread_local char buffers[8][24];
    static _Thread_local unsigned next;
    char *b = buffers[next++ % 8];

    (void)snprintf(b, sizeof buffers[0], "%" PRIu64, value);
    return b;
}

void cp_log_error(enum cp_log_level level, const char *event, const struct cp_error *err)
{
    const struct cp_err_info *info = cp_err_info(err->code);

    cp_log(level, event, "code", info->code, "detail",
           err->text[0] == '\0' ? info->title : err->text, "remedy", info->remedy, NULL);
}
