/* SPDX-License-Identifier: Apache-2.0
 * What the kinds of uploads share: the struct that server/ carries from the headers to the end of the
 * body. An upload belongs to one thread at a time. */
#ifndef API_UPLOAD_UPLOAD_PRIVATE_H
#define API_UPLOAD_UPLOAD_PRIVATE_H

#include "api/access/cors.h"

struct api_upload_kind {
    /* A piece of the body, until the first failure. */
    enum cp_err (*take)(struct api_upload *u, const void *data, size_t size, struct cp_error *err);
    /* The body ended, `complete` or not, with u->err or without. Frees what is the kind's own. */
    struct api_response (*end)(struct api_upload *u, bool complete);
};

/* Embedded first in the struct of each kind. */
struct api_upload {
    const struct api_upload_kind *kind;
    const struct api_context *ctx;
    struct api_principal who;
    struct api_request
        rq; /* of its headers only Origin, no query and body: those are gone by the end */
    struct api_pair origin;
    char origin_text[API_CORS_ORIGIN_MAX + 1];
    struct api_call call; /* of who and rq; without path parameters */
    uint64_t announced;   /* bytes of the body; UINT64_MAX: not known */
    uint64_t received;
    uint64_t reserve;    /* of the file system, that must stay free */
    uint64_t looked_at;  /* `received` when the file system was last looked at */
    struct cp_error err; /* the first failure */
};

/* A struct of `size` bytes for a kind, zeroed but for its upload. NULL: no memory. */
struct api_upload *api_upload_new(size_t size, const struct api_upload_kind *kind,
                                  const struct api_context *ctx, const struct api_call *call);

/* Every 8 MiB, whether there still is room. unforeseen as api_room_during has it. */
CP_MUST_CHECK enum cp_err api_upload_look(struct api_upload *u, uint64_t unforeseen,
                                          struct cp_error *err);

#endif
