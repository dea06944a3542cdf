/* SPDX-License-Identifier: Apache-2.0
 * Error codes of the whole project and the catalogue behind them: one X-macro (err_catalogue.h)
 * gives the code's name, its HTTP status, castget's exit status, the HRESULT that Windows
 * administrators know, the cause and the remedy. Pure. */
#ifndef CP_COMMON_ERR_H
#define CP_COMMON_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err_catalogue.h"

#define CP_MUST_CHECK   __attribute__((warn_unused_result))
#define CP_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* 0 is success, codes are negative. */
enum cp_err_index {
    CP_ERR_INDEX_OK,
#define X(name, code, http, exit, hresult, title, cause, remedy) CP_ERR_INDEX_##name,
    CP_ERR_CATALOGUE(X)
#undef X
        CP_ERR_INDEX_COUNT
};

enum cp_err {
    CP_OK = 0,
#define X(name, code, http, exit, hresult, title, cause, remedy)                                   \
    CP_ERR_##name = -CP_ERR_INDEX_##name,
    CP_ERR_CATALOGUE(X)
#undef X
};

/* One row of the catalogue. The strings are static. */
struct cp_err_info {
    const char *name;   /* "VERSION_NOT_SEALED" */
    const char *code;   /* "version-not-sealed": the stable, public name */
    int http_status;    /* status of the problem+json answer */
    int exit_status;    /* castget's exit status */
    uint32_t hresult;   /* what ConfigMgr and WDS would have said, 0 when they have no word */
    const char *title;  /* one short sentence */
    const char *cause;  /* why it happens */
    const char *remedy; /* what to do */
};

/* The catalogue's row of a code; the row "internal-error" for an unknown code. */
const struct cp_err_info *cp_err_info(enum cp_err code);

/* Whether there is no database to work with now: it is away, or does not let the service in. All of
 * it passes without a restart of ours. */
bool cp_err_is_database(enum cp_err code);

/* Whether the text that comes with the code may be that of the system or of a library, and name hosts,
 * roles or paths: it is for the log; callers get the catalogue's title. */
bool cp_err_is_inner(enum cp_err code);

/* Row by position 1 … CP_ERR_INDEX_COUNT - 1, NULL outside: to list the whole catalogue. */
const struct cp_err_info *cp_err_info_at(size_t index);

/* Code by its public name ("version-not-sealed"); CP_OK when there is none. */
enum cp_err cp_err_from_code(const char *code);

/* Text for humans that travels up from the point of failure; optional last argument of functions
 * in edge modules. Plain struct, no ownership. */
#define CP_ERROR_TEXT_SIZE 512
struct cp_error {
    enum cp_err code;
    char text[CP_ERROR_TEXT_SIZE]; /* detail of this very case; empty: the catalogue's title */
    unsigned retry_after_s;        /* with 429 and 503: how long to wait; 0: as the code's usual */
};

/* Fills *err (may be NULL) and returns the code, so that "return cp_error_set(…)" reads well. */
enum cp_err cp_error_set(struct cp_error *err, enum cp_err code, const char *fmt, ...)
    CP_PRINTF(3, 4);

/* Puts "prefix: " before the text on the way up. */
void cp_error_prefix(struct cp_error *err, const char *fmt, ...) CP_PRINTF(2, 3);

/* The only macro that returns: passes a failure on. */
#define CP_TRY(expr)                                                                               \
    do {                                                                                           \
        enum cp_err cp_try_ = (expr);                                                              \
        if (cp_try_ != CP_OK) {                                                                    \
            return cp_try_;                                                                        \
        }                                                                                          \
    } while (0)

/* Our bug: on in release builds too. */
void cp_assert_fail(const char *expr, const char *file, int line) __attribute__((noreturn));
#define CP_ASSERT(expr)                                                                            \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            cp_assert_fail(#expr, __FILE__, __LINE__);                                             \
        }                                                                                          \
    } while (0)

#endif
