/* SPDX-License-Identifier: Apache-2.0
 * Secrets out of files. */
#include "client/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET_MAX 4096u

static enum cp_err first_line(char *text, size_t size, const char *option, const char *path,
                              struct cp_error *err)
{
    size_t end = 0;

    while (end < size && text[end] != '\n') {
        end++;
    }
    end -= end > 0 && text[end - 1] == '\r' ? 1 : 0;
    if (end == 0 || end > SECRET_MAX) {
        return cp_error_set(err, CP_ERR_USAGE, "%s '%s': the first line must have 1 to %u bytes",
                            option, path, SECRET_MAX);
    }
    for (size_t i = 0; i < end; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return cp_error_set(err, CP_ERR_USAGE, "%s '%s': a control character", option, path);
        }
    }
    text[end] = '\0';
    return CP_OK;
}

enum cp_err cl_secret_read(const char *option, const char *path, char **ret_secret,
                           struct cp_error *err)
{
    char *text = calloc(1, SECRET_MAX + 3);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 || text == NULL ? -1 : read(fd, text, SECRET_MAX + 2);
    enum cp_err code;

    if (text == NULL) {
        code = cp_error_set(err, CP_ERR_NO_MEMORY, "%s", option);
    } else if (n < 0) {
        code = cp_error_set(err, CP_ERR_USAGE, "%s '%s': %s", option, path, strerror(errno));
    } else {
        code = first_line(text, (size_t)n, option, path, err);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (code != CP_OK) {
        cl_secret_free(text);
        return code;
    }
    *ret_secret = text;
    return CP_OK;
}

void cl_secret_free(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}
