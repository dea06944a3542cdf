/* SPDX-License-Identifier: Apache-2.0
 * The management API without a web server: request and response structs, the route table's types
 * and the context that handlers work in. server/ turns HTTP into these; tests call them directly.
 * Handlers run on any thread; a context's parts are thread-safe. */
#ifndef API_API_H
#define API_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct api_auth_cache; /* api/access/auth.h */
struct api_live;       /* api/point/live.h */
struct api_lockout;    /* api/access/lockout.h */
struct api_negotiate;  /* api/access/negotiate.h */
struct api_gate;       /* api/access/gate.h */
struct keys_ring;      /* keys/keyring.h */
struct api_audit;      /* api/events/audit.h */
struct api_stream;     /* api/events/stream.h */
struct api_feed;       /* api/events/stream.h */
struct api_progress;   /* api/session/progress.h */
struct blob_store;     /* content/blob.h */
struct db_pool;        /* db/db.h */
struct json_t;         /* jansson */

enum api_method {
    API_GET,
    API_HEAD,
    API_POST,
    API_PUT,
    API_PATCH,
    API_DELETE,
    API_OPTIONS,
    API_METHOD_COUNT
};

struct api_pair {
    const char *name;
    const char *value;
};

/* What server/ found out about the certificate that a client showed in the TLS handshake. */
enum api_certificate_state {
    API_CERTIFICATE_VALID,   /* of --client-ca, in its time, not revoked */
    API_CERTIFICATE_EXPIRED, /* or not valid yet */
    API_CERTIFICATE_REVOKED,
    API_CERTIFICATE_UNCHECKED, /* the revocation list is out of date */
    API_CERTIFICATE_FOREIGN    /* of another authority, or not for clients */
};
#define API_NAME_SIZE 256
struct api_certificate {
    enum api_certificate_state state;
    char sha256[65];             /* of the DER form, lower-case hex */
    char subject[API_NAME_SIZE]; /* RFC 4514, "" when it is longer */
    char issuer[API_NAME_SIZE];
};

/* Everything a handler may know of a request. All strings are borrowed until the response. */
struct api_request {
    enum api_method method;
    const char *path;               /* as received, without query, still percent-encoded */
    const struct api_pair *headers; /* names compared without case */
    size_t header_count;
    const struct api_pair *query; /* decoded */
    size_t query_count;
    const char *body; /* whole JSON body, NUL-terminated; NULL for none */
    size_t body_size;
    uint64_t content_length; /* announced; UINT64_MAX when chunked or absent */
    const char *remote;      /* client's address as text */
    const char *request_id;  /* correlation id: from X-Request-Id when well-formed, else made */
    const struct api_certificate *certificate; /* NULL: the client showed none */
    bool plain; /* came without TLS: content and manifests only, no credentials */
};

/* Headers a response carries besides Content-Type and Content-Length. */
#define API_HEADERS_MAX 16
struct api_header {
    char name[40];
    char value[1536]; /* the longest: Upload-Metadata */
};

/* Of a multipart/byteranges body: so much of `body`, then a piece of the file. */
struct api_piece {
    size_t text_size;
    uint64_t offset, size;
};

/* What to send. `body` (malloced, owned by the response), or a piece of a file, or, with pieces,
 * both in turn, what is left of `body` last. */
struct api_response {
    int status;
    const char *content_type; /* static string; NULL when there is no body */
    char *body;
    size_t body_size;
    int fd; /* -1: none; else the file is the body, owned by the response */
    uint64_t fd_offset, fd_size;
    struct api_piece *pieces; /* malloced; NULL: the file from fd_offset on, fd_size bytes */
    size_t piece_count;
    char boundary[33];     /* with pieces: the parameter of content_type */
    struct api_feed *feed; /* NULL; else the body comes from it, without end; owned */
    struct api_header headers[API_HEADERS_MAX];
    size_t header_count;
    char *link; /* value of the header Link, malloced, owned by the response; NULL: none */
};

void api_response_done(struct api_response *rs);
/* Bytes of what is sent (for HEAD: would be). */
uint64_t api_response_size(const struct api_response *rs);

/* Who asks; filled by authentication before the handler runs. */
enum api_role {
    API_ROLE_NONE,
    API_ROLE_CONTENT,
    API_ROLE_VIEWER,
    API_ROLE_OPERATOR,
    API_ROLE_ADMIN
};
/* How it was found out who asks. */
enum api_auth_method {
    API_AUTH_NONE, /* anonymous */
    API_AUTH_PASSWORD,
    API_AUTH_TOKEN,
    API_AUTH_RECEIVER, /* receiver token of a join */
    API_AUTH_CERTIFICATE,
    API_AUTH_NEGOTIATE /* Kerberos */
};
/* "none", "password", "token", "receiver", "certificate", "kerberos". */
const char *api_auth_method_name(enum api_auth_method method);

struct api_principal {
    enum api_role role; /* NONE: anonymous */
    enum api_auth_method method;
    const char *ways;     /* credentials that are taken here, for refusals; static */
    char account_id[37];  /* uuid text, "" when anonymous */
    char account[64];     /* its name */
    char token_id[37];    /* the token used, "" with Basic */
    uint64_t expires_at;  /* of that token, wall-clock nanoseconds; 0: never */
    char receiver_id[37]; /* set when a receiver token of a join was used; role is NONE then */
    char receiver_version_id[37]; /* the version that join was for */
    char negotiated[1024];        /* Kerberos: what proves this service to the client, base64 */
};

/* The link that multicast leaves by. */
struct api_link {
    char interface[16]; /* "" unknown */
    char source[46];    /* address that packets come from, "" unknown */
    uint32_t mtu;       /* bytes, 0 unknown */
    uint32_t rate_mbps; /* what it is used for when no ceiling is configured, 0 unknown */
};
/* By that interface ("": by the routing table), to that group. */
typedef void api_find_link(const char *interface, const char *group, struct api_link *ret_link);

/* Everything the handlers share; made by the composition root (server/) or a test. */
struct api_context {
    struct db_pool *db;
    struct blob_store *blobs;
    struct keys_ring *keyring;
    const char *node_id; /* uuid text of this distribution point */
    const char *node_name;
    const char *base_url;              /* "https://host:port", for absolute links and ticket */
    const char *tls_fingerprint;       /* "sha256//…" as curl's --pinnedpubkey wants it */
    const char *version;               /* castpoint's version */
    struct api_auth_cache *auth_cache; /* may be NULL: every password is verified anew */
    struct api_lockout *lockout;       /* may be NULL: addresses are not counted */
    struct api_negotiate *negotiate;   /* NULL: no Kerberos */
    bool client_certificates;          /* there is a --client-ca */
    struct api_audit *audit;           /* may be NULL: every refusal is written */
    struct api_stream *stream;         /* may be NULL: nobody can listen to events */
    struct api_progress *progress;     /* may be NULL: every report is written at once */
    api_find_link *find_link;          /* NULL: nothing is known of links */
    struct api_live *live; /* NULL: requests are not counted, no page of another site may ask */
    struct api_gate *gate; /* NULL: open. While it is shut the other parts may be missing */
};

/* One streamed upload in progress: made by an upload route's begin. */
struct api_upload;
struct api_call;

/* A route's handler: path parameters and principal are in the call. */
typedef struct api_response api_handler(const struct api_context *ctx, const struct api_call *call);
/* Begins an upload. NULL: refused, *ret_response is the answer. */
typedef struct api_upload *api_upload_begin(const struct api_context *ctx,
                                            const struct api_call *call,
                                            struct api_response *ret_response);

#define API_PARAMS_MAX 4
struct api_call {
    const struct api_request *rq;
    const struct api_principal *who;
    const char *operation;              /* of openapi.yaml; static */
    const char *params[API_PARAMS_MAX]; /* decoded path parameters, in the route's order */
    size_t param_count;
};

/* ---- what server/ calls ---- */

/* Once the headers are here, before anything else: tus 1.0.0 has X-HTTP-Method-Override, where a
 * client, or what is on its way, knows no PATCH. A POST to /api/v1/uploads/{upload} becomes the
 * PATCH, DELETE or HEAD that it names. CP_ERR_INVALID anywhere else, and for any other method. */
CP_MUST_CHECK enum cp_err api_method_override(struct api_request *rq, struct cp_error *err);

/* Whole request with its body collected (at most api_body_max(rq) bytes): routing, authentication,
 * handler, problem. Always returns a response. */
struct api_response api_handle(const struct api_context *ctx, const struct api_request *rq);

/* Whether the answer needs nothing that may take its time: it does not wait for a worker then. */
bool api_is_prompt(const struct api_request *rq);

/* Whether a request is a streamed upload, by its address and method alone. */
bool api_is_upload(const struct api_request *rq);

/* How to treat a request once its headers are here, before any body byte:
 * true: it is a streamed upload: *ret_upload is set, or it is NULL and *ret_response refuses it.
 * false: collect the body (≤ api_body_max(rq)) and call api_handle. */
bool api_upload_start(const struct api_context *ctx, const struct api_request *rq,
                      struct api_upload **ret_upload, struct api_response *ret_response);
/* A piece of the body. Errors are remembered and answered by finish; false: there was one, and what
 * follows is dropped. */
bool api_upload_data(struct api_upload *u, const void *data, size_t size);
/* complete: the whole announced body arrived. Frees the upload. */
struct api_response api_upload_finish(struct api_upload *u, bool complete);

/* By its address and method alone: 1 MiB, for a configuration 16 MiB. */
size_t api_body_max(const struct api_request *rq);

/* problem+json (RFC 9457) of a failure, for refusals that server/ makes itself. */
struct api_response api_problem(const struct api_request *rq, const struct cp_error *err);

#endif
