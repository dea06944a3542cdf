/* SPDX-License-Identifier: Apache-2.0
 * The summary's JSON. */
#include "client/summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/hex.h"

static json_t *files_json(const struct manifest *m)
{
    json_t *files = json_array();
    char hex[CONTENT_DIGEST_TEXT_SIZE];

    for (size_t i = 0; files != NULL && i < m->file_count; i++) {
        cp_hex_encode(m->files[i].sha256, CONTENT_DIGEST_SIZE, hex);
        if (json_array_append_new(files,
                                  json_pack("{s:s, s:I, s:s}", "path", m->files[i].path, "size",
                                            (json_int_t)m->files[i].size, "sha256", hex)) != 0) {
            json_decref(files);
            return NULL;
        }
    }
    return files;
}

static int add_failure(json_t *root, const struct cp_error *failure)
{
    const struct cp_err_info *info = cp_err_info(failure->code);
    json_t *detail = json_string(failure->text[0] == '\0' ? info->title : failure->text);
    int failed = 0;

    detail = detail == NULL ? json_string(info->title) : detail; /* not UTF-8 */
    failed |= json_object_set_new(root, "code", json_string(info->code));
    failed |= json_object_set_new(root, "detail", detail);
    failed |= json_object_set_new(root, "exit_status", json_integer(info->exit_status));
    return failed;
}

char *cl_summary_text(const struct cl_summary *s)
{
    const struct cl_counters *c = s->counters;
    json_t *root = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "package",
                             s->package, "verified", s->failure == NULL ? 1 : 0, "bytes_total",
                             (json_int_t)c->bytes_total, "bytes_done", (json_int_t)c->bytes_done,
                             "bytes_multicast", (json_int_t)c->bytes_multicast, "bytes_repair",
                             (json_int_t)c->bytes_repair, "bytes_https", (json_int_t)c->bytes_https,
                             "duration_ms", (json_int_t)(s->duration / CP_MSEC), "transfer_ms",
                             (json_int_t)(s->transfer / CP_MSEC), "rate_bps",
                             (json_int_t)c->rate_bps, "loss_ppm", (json_int_t)c->loss_ppm);
    char *text = NULL;
    int failed = root == NULL;

    if (!failed && s->manifest != NULL) {
        failed |= json_object_set_new(root, "version", json_integer(s->manifest->version));
        failed |= json_object_set_new(root, "files", files_json(s->manifest));
    }
    if (!failed && s->failure != NULL) {
        failed |= add_failure(root, s->failure);
    }
    if (!failed) {
        text = json_dumps(root, JSON_INDENT(1));
    }
    json_decref(root);
    return text;
}

enum cp_err cl_summary_write(const char *path, const struct cl_summary *s, struct cp_error *err)
{
    char *text = cl_summary_text(s);
    FILE *f;
    int failed;

    if (text == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "summary");
    }
    f = fopen(path, "we");
    failed = f == NULL || fprintf(f, "%s\n", text) < 0;
    if (f != NULL && fclose(f) != 0) {
        failed = 1;
    }
    free(text);
    return failed ? cp_error_set(err, CP_ERR_OUTPUT, "summary %s: %s", path, strerror(errno))
                  : CP_OK;
}
