/* SPDX-License-Identifier: Apache-2.0
 * Error codes: look-up in the catalogue and the text that travels with a failure. Pure but for
 * cp_assert_fail, which ends the process. */
#include "common/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

static const struct cp_err_info catalogue[CP_ERR_INDEX_COUNT] = {
    [CP_ERR_INDEX_OK] = {"OK", "ok", 200, 0, 0u, "Done.", "", ""},
#define X(name, code, http, exit, hresult, title, cause, remedy)                                   \
    [CP_ERR_INDEX_##name] = {#name, code, http, exit, hresult, title, cause, remedy},
    CP_ERR_CATALOGUE(X)
#undef X
};

const struct cp_err_info *cp_err_info(enum cp_err code)
{
    int index = -(int)code;

    if (index < 0 || index >= (int)CP_ERR_INDEX_COUNT) {
        index = CP_ERR_INDEX_INTERNAL;
    }
    return &catalogue[index];
}

bool cp_err_is_database(enum cp_err code)
{
    return code == CP_ERR_DATABASE || code == CP_ERR_DATABASE_LOGIN ||
           code == CP_ERR_DATABASE_MISSING;
}

bool cp_err_is_inner(enum cp_err code)
{
    switch (code) {
    case CP_ERR_INTERNAL:
    case CP_ERR_DATABASE:
    case CP_ERR_DATABASE_LOGIN:
    case CP_ERR_DATABASE_MISSING:
    case CP_ERR_DB_RETRY:
    case CP_ERR_STORAGE:
    case CP_ERR_NETWORK:
        return true;
    default:
        return false;
    }
}

const struct cp_err_info *cp_err_info_at(size_t index)
{
    return index >= 1 && index < CP_ERR_INDEX_COUNT ? &catalogue[index] : NULL;
}

enum cp_err cp_err_from_code(const char *code)
{
    for (int i = 1; i < (int)CP_ERR_INDEX_COUNT; i++) {
        if (strcmp(catalogue[i].code, code) == 0) {
            return (enum cp_err)(-i);
        }
    }
    return CP_OK;
}

enum cp_err cp_error_set(struct cp_error *err, enum cp_err code, const char *fmt, ...)
{
    va_list args;

    if (err != NULL) {
        err->code = code;
        err->retry_after_s = 0;
        va_start(args, fmt);
        (void)vsnprintf(err->text, sizeof err->text, fmt, args);
        va_end(args);
        /* A format may have cut it within a character; it goes into the database and into JSON. */
        cp_utf8_mend(err->text);
    }
    return code;
}

void cp_error_prefix(struct cp_error *err, const char *fmt, ...)
{
    char text[CP_ERROR_TEXT_SIZE];
    va_list args;
    int len;

    if (err == NULL) {
        return;
    }
    va_start(args, fmt);
    len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof text) {
        return;
    }
    (void)snprintf(text + len, sizeof text - (size_t)len, ": %s", err->text);
    memcpy(err->text, text, sizeof err->text);
    cp_utf8_mend(err->text);
}

void cp_assert_fail(const char *expr, const char *file, int line)
{
    (void)fprintf(stderr, "castpoint: assertion failed: %s (%s:%d)\n", expr, file, line);
    abort();
}
