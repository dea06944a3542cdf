/* SPDX-License-Identifier: Apache-2.0
 * One line a message: event name and key=value, as text or JSON lines, with level, time and
 * correlation id. Thread-safe (one write(2) a line). Secrets never go in; nothing on the packet
 * path logs. */
#ifndef CP_COMMON_LOG_H
#define CP_COMMON_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

enum cp_log_level { CP_LOG_DEBUG, CP_LOG_INFO, CP_LOG_WARN, CP_LOG_ERROR };
/* CMTrace is the log form of Configuration Manager, read by its viewer of that name. */
enum cp_log_format { CP_LOG_TEXT, CP_LOG_JSON, CP_LOG_CMTRACE };

/* Process-wide; call before the first thread starts. component (static string) names the program
 * in CMTrace and JSON lines; fd is where lines go. */
void cp_log_init(const char *component, enum cp_log_format format, enum cp_log_level level, int fd);

/* Correlation id of the calling thread's lines (copied, at most 63 characters); NULL clears. */
void cp_log_correlation(const char *id);

/* event: a short fixed name ("session-started"); then pairs of key, value (both C strings),
 * ended by NULL. A NULL value is left out. Values are escaped. */
void cp_log(enum cp_log_level level, const char *event, ...) __attribute__((sentinel));

/* A number as text for cp_log, in one of a few rotating thread-local buffers: valid until eight
 * further calls on this thread. */
const char *cp_log_u64(uint64_t value);

/* Logs a failure: its code, the text of *err and the catalogue's remedy. */
void cp_log_error(enum cp_log_level level, const char *event, const struct cp_error *err);

#endif
