/* SPDX-License-Identifier: Apache-2.0
 * Checks of file paths. Pure. */
#include "content/path.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the well-formed UTF-8 sequence at s (RFC 3629: no overlong form, no surrogate, nothing
 * beyond U+10FFFF); 0 when there is none. The NUL at the end stops every read. */
static size_t utf8_size(const unsigned char *s)
{
    uint32_t code;
    size_t size;

    if (s[0] < 0x80) {
        return 1;
    }
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        size = 2;
        code = s[0] & 0x1fu;
    } else if ((s[0] & 0xf0) == 0xe0) {
        size = 3;
        code = s[0] & 0x0fu;
    } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        size = 4;
        code = s[0] & 0x07u;
    } else {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (s[i] & 0x3fu);
    }
    if ((size == 3 && code < 0x800) || (size == 4 && code < 0x10000) || code > 0x10ffff ||
        (code >= 0xd800 && code <= 0xdfff)) {
        return 0;
    }
    return size;
}

/* A path as it may be shown in a message: foreign bytes as '?', cut after some. */
struct shown {
    char text[160];
};

static struct shown show(const char *path)
{
    struct shown s;
    size_t at = 0;

    while (path[at] != '\0' && at < sizeof s.text - 4) {
        unsigned char c = (unsigned char)path[at];

        s.text[at] = c < 0x20 || c >= 0x7f ? '?' : path[at];
        at++;
    }
    memcpy(s.text + at, path[at] == '\0' ? "" : "...", path[at] == '\0' ? 1 : 4);
    return s;
}

/* What is wrong with the bytes, NULL nothing. */
static const char *bytes_fault(const char *path)
{
    const unsigned char *s = (const unsigned char *)path;

    if (*s == '\0') {
        return "it is empty";
    }
    if (strnlen(path, CONTENT_PATH_MAX + 1) > CONTENT_PATH_MAX) {
        return "it is longer than 1024 bytes";
    }
    while (*s != '\0') {
        size_t size = utf8_size(s);

        if (size == 0) {
            return "it is not UTF-8";
        }
        /* U+0080 … U+009F are control characters too: C2 80 … C2 9F. */
        if (*s < 0x20 || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0)) {
            return "it has a control character";
        }
        if (*s == '\\') {
            return "it has a backslash";
        }
        s += size;
    }
    return NULL;
}

static const char *parts_fault(const char *path)
{
    if (path[0] == '/') {
        return "it is absolute";
    }
    for (;;) {
        size_t size = strcspn(path, "/");

        if (size == 0) {
            return "it has an empty part";
        }
        if ((size == 1 && path[0] == '.') || (size == 2 && path[0] == '.' && path[1] == '.')) {
            return "it has a '.' or '..' part";
        }
        if (size > CONTENT_PATH_PART_MAX) {
            return "it has a part longer than 255 bytes";
        }
        if (path[size] == '\0') {
            return NULL;
        }
        path += size + 1;
    }
}

enum cp_err content_path_check(const char *path, struct cp_error *err)
{
    const char *fault = bytes_fault(path);

    if (fault == NULL) {
        fault = parts_fault(path);
    }
    if (fault != NULL) {
        return cp_error_set(err, CP_ERR_PATH_INVALID, "path '%s': %s", show(path).text, fault);
    }
    return CP_OK;
}

/* ASCII only, whatever the locale. */
static unsigned char fold(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* Order key of a byte: '/' before everything, so that in sorted order a folder's files follow
 * directly after a file of the folder's name. */
static int rank(char c)
{
    return c == '\0' ? 0 : c == '/' ? 1 : fold(c) + 1;
}

static int compare(const char *a, const char *b)
{
    while (*a != '\0' && rank(*a) == rank(*b)) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

bool content_path_conflicts(const char *a, const char *b)
{
    while (*a != '\0' && *b != '\0' && fold(*a) == fold(*b)) {
        a++;
        b++;
    }
    return (*a == '\0' && (*b == '\0' || *b == '/')) || (*b == '\0' && *a == '/');
}

enum cp_err content_path_check_pair(const char *path, const char *other, struct cp_error *err)
{
    if (!content_path_conflicts(path, other)) {
        return CP_OK;
    }
    if (strcmp(path, other) == 0) {
        return cp_error_set(err, CP_ERR_PATH_DUPLICATE, "path '%s' is there already",
                            show(path).text);
    }
    return cp_error_set(err, CP_ERR_PATH_DUPLICATE, "path '%s' cannot lie next to '%s'",
                        show(path).text, show(other).text);
}

static int compare_entries(const void *a, const void *b)
{
    return compare(*(const char *const *)a, *(const char *const *)b);
}

enum cp_err content_paths_check(const char *const *paths, size_t count, struct cp_error *err)
{
    enum cp_err code = CP_OK;
    const char **sorted;

    if (count == 0) {
        return CP_OK;
    }
    sorted = malloc(count * sizeof *sorted);
    if (sorted == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "checking %zu paths", count);
    }
    for (size_t i = 0; i < count && code == CP_OK; i++) {
        sorted[i] = paths[i];
        code = content_path_check(paths[i], err);
    }
    if (code == CP_OK) {
        qsort(sorted, count, sizeof *sorted, compare_entries);
    }
    for (size_t i = 1; i < count && code == CP_OK; i++) {
        code = content_path_check_pair(sorted[i], sorted[i - 1], err);
    }
    free(sorted);
    return code;
}
