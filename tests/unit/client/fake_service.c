/* SPDX-License-Identifier: Apache-2.0
 * The fake distribution point: functions with the names of api/api.h; the linker chooses them. */
#include "tests/unit/client/fake_service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <jansson.h>

#include "api/api.h"
#include "api/framework/respond.h"
#include "common/base64.h"
#include "common/clock.h"
#include "common/hex.h"
#include "common/prng.h"
#include "content/certificate.h"

#define MIB       ((size_t)CONTENT_CHUNK_SIZE)
#define JOIN      "0191e3a4-1111-7222-8333-444455556666"
#define RECEIVER  "Bearer cpr_receiver"
#define SENDER_ID 1u

static const size_t sizes[FAKE_FILES] = {MIB + 1000, 2 * MIB + 500, 2 * MIB + 77};
static const char *const paths[FAKE_FILES] = {"a", "sub/b", "sub/c"};

static struct fake_service *service; /* the one that runs */

/* ---- answers ---- */

size_t api_body_max(const struct api_request *rq)
{
    (void)rq;
    return 65536;
}

bool api_is_prompt(const struct api_request *rq)
{
    (void)rq;
    return false;
}

enum cp_err api_method_override(struct api_request *rq, struct cp_error *err)
{
    (void)rq;
    (void)err;
    return CP_OK;
}

bool api_is_upload(const struct api_request *rq)
{
    (void)rq;
    return false;
}

bool api_upload_start(const struct api_context *ctx, const struct api_request *rq,
                      struct api_upload **ret_upload, struct api_response *ret_response)
{
    (void)ctx;
    (void)rq;
    (void)ret_upload;
    (void)ret_response;
    return false;
}

bool api_upload_data(struct api_upload *u, const void *data, size_t size)
{
    (void)u;
    (void)data;
    (void)size;
    return true;
}

struct api_response api_upload_finish(struct api_upload *u, bool complete)
{
    (void)u;
    (void)complete;
    return api_response_empty(500);
}

struct api_response api_problem(const struct api_request *rq, const struct cp_error *err)
{
    const struct cp_err_info *info = cp_err_info(err->code);
    char body[1024];

    (void)rq;
    (void)snprintf(body, sizeof body, "{\"title\":\"%s\",\"detail\":\"%s\",\"code\":\"%s\"}",
                   info->title, err->text, info->code);
    return api_response_bytes(info->http_status, "application/problem+json", body, strlen(body));
}

static struct api_response refuse(const struct api_request *rq, enum cp_err code, const char *text)
{
    struct cp_error err = {.code = CP_OK};

    (void)cp_error_set(&err, code, "%s", text);
    return api_problem(rq, &err);
}

static const char *header(const struct api_request *rq, const char *name)
{
    for (size_t i = 0; i < rq->header_count; i++) {
        if (strcasecmp(rq->headers[i].name, name) == 0) {
            return rq->headers[i].value;
        }
    }
    return "";
}

/* ---- joins ---- */

static void put_time(json_t *object, const char *key, int64_t offset_ms)
{
    char text[CP_RFC3339_SIZE];

    cp_clock_rfc3339(cp_clock_wall() + (uint64_t)offset_ms * CP_MSEC, text);
    (void)json_object_set_new(object, key, json_string(text));
}

static json_t *session_json(const struct fake_service *s)
{
    const struct mc_channel *c = &s->channel;
    char secret[CP_BASE64_SIZE(MC_SECRET_SIZE)];
    json_t *j;

    if (!s->session) {
        return json_null();
    }
    (void)cp_base64_encode(CP_BASE64_URL, c->secret, MC_SECRET_SIZE, secret);
    j = json_pack("{s:s, s:s, s:s, s:i, s:s, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:s,"
                  " s:b, s:s}",
                  "id", JOIN, "state", "waiting", "group", c->group, "port", (int)c->port, "source",
                  "127.0.0.1", "ssm", 0, "sender_id", (int)SENDER_ID, "node_id", 2, "object_id",
                  (int)c->object_id, "fec_id", 129, "segment_size", (int)c->segment_size,
                  "max_block_len", (int)c->max_block_len, "num_parity", (int)c->num_parity,
                  "content_size", (json_int_t)c->content_size, "object_size",
                  (json_int_t)c->object_size, "auth",
                  c->mac == MC_MAC_AES256_GMAC ? "aes-256-gmac" : "hmac-sha256-128", "encrypt", 1,
                  "secret", secret);
    put_time(j, "starts_at", s->sending ? 300 : 0);
    return j;
}

static char *ticket_text(const struct fake_service *s)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    json_t *t;
    char *text;

    assert_int_equal(content_sha256(s->manifest_text, s->manifest_size, digest), CP_OK);
    cp_hex_encode(digest, sizeof digest, hex);
    t = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:s, s:{s:s, s:s, s:I, s:s}, s:o, s:{s:s, s:i}, s:{s:s},"
        " s:{s:i, s:i}}",
        "castpoint", "ticket", "join", JOIN, "correlation_id", "fake-1", "package", FAKE_PACKAGE,
        "version", 7, "policy", s->no_https ? "require" : "prefer", "manifest", "url",
        "/api/v1/packages/image/versions/7/manifest", "sha256", hex, "size",
        (json_int_t)s->manifest_size, "signature", s->manifest_signature, "session",
        session_json(s), "progress", "url", "/api/v1/joins/" JOIN "/progress", "interval_ms",
        s->late ? 60000 : 100, "result", "url", "/api/v1/joins/" JOIN "/result", "fallback",
        "silence_ms", (int)s->silence_ms, "start_ms", 0);
    put_time(t, "issued_at", 0);
    put_time(t, "expires_at", 60000);
    (void)json_object_set_new(t, "content",
                              s->no_https
                                  ? json_pack("{s:b, s:s}", "https", 0, "code", "multicast-only")
                                  : json_pack("{s:b, s:s}", "https", 1, "url", "/api/v1/content/"));
    if (!s->session) {
        (void)json_object_set_new(t, "no_session",
                                  json_pack("{s:s, s:s}", "code", "multicast-disabled", "detail",
                                            "multicast is switched off here"));
    }
    text = json_dumps(t, JSON_COMPACT);
    json_decref(t);
    return text;
}

static struct api_response join(struct fake_service *s, const struct api_request *rq)
{
    const char *auth = header(rq, "Authorization");
    char identity[CP_BASE64_SIZE(JWS_KEY_SIZE)];
    char body[16384];
    char *text, *jws;

    s->joins++;
    (void)snprintf(s->join_body, sizeof s->join_body, "%s", rq->body == NULL ? "" : rq->body);
    if (s->join_refusals > 0) {
        s->join_refusals--;
        return refuse(rq, CP_ERR_UNAVAILABLE, "starting");
    }
    if (s->join_problem != 0) {
        return refuse(rq, (enum cp_err)s->join_problem, "as the test ordered");
    }
    if (s->authenticated && auth[0] == '\0') {
        return refuse(rq, CP_ERR_AUTH_REQUIRED, "this package wants an account");
    }
    if (s->authenticated && strcmp(auth, "Basic Ym9iOnNlY3JldA==") != 0 &&
        strcmp(auth, "Bearer cpt_x") != 0) {
        return refuse(rq, CP_ERR_AUTH_FAILED, "wrong password");
    }
    text = ticket_text(s);
    assert_int_equal(jws_sign(&s->multicast, text, strlen(text), &jws), CP_OK);
    (void)cp_base64_encode(CP_BASE64_URL, s->identity.public_key, JWS_KEY_SIZE, identity);
    (void)snprintf(body, sizeof body,
                   "{\"id\":\"" JOIN "\",\"receiver_token\":\"cpr_receiver\",\"ticket\":\"%s\","
                   "\"certificate\":\"%s\",\"identity_key\":\"%s\"}",
                   jws, s->certificate, identity);
    free(text);
    free(jws);
    return api_response_bytes(201, "application/json", body, strlen(body));
}

/* ---- content ---- */

/* Offset of the file of a digest in the stream; false: none. */
static bool find_file(const struct fake_service *s, const char *hex, size_t *ret_index)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];

    for (size_t i = 0; cp_hex_decode(hex, digest, sizeof digest) && i < FAKE_FILES; i++) {
        if (memcmp(s->manifest->files[i].sha256, digest, sizeof digest) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static struct api_response content(struct fake_service *s, const struct api_request *rq)
{
    const char *hex = rq->path + strlen("/api/v1/content/");
    unsigned long long first, last;
    struct api_response rs;
    const uint8_t *data;
    size_t index;

    s->content_requests++;
    if (!find_file(s, hex, &index) ||
        sscanf(header(rq, "Range"), "bytes=%llu-%llu", &first, &last) != 2 || last < first ||
        last >= s->manifest->files[index].size) {
        return refuse(rq, CP_ERR_RANGE, "not a range of a file");
    }
    if (s->content_refusals > 0) {
        s->content_refusals--;
        return refuse(rq, CP_ERR_UNAVAILABLE, "busy for a moment");
    }
    data = s->data + s->manifest->files[index].stream_offset + first;
    s->content_bytes += last - first + 1;
    rs = api_response_bytes(206, "application/octet-stream", data, (size_t)(last - first + 1));
    if (s->content_corrupt > 0) {
        s->content_corrupt--;
        rs.body[rs.body_size / 2] ^= 1;
    }
    if (s->content_cut > 0) {
        s->content_cut--;
        rs.body_size = rs.body_size * 2 / 3;
    }
    return rs;
}

/* ---- reports ---- */

static struct api_response progress(struct fake_service *s, const struct api_request *rq)
{
    static const char leave[] =
        "{\"command\":\"leave\",\"code\":\"cancelled\",\"detail\":\"an operator says so\"}";
    static const char slow[] = "{\"command\":\"leave\",\"code\":\"receiver-too-slow\","
                               "\"detail\":\"The receiver asked for 99 repair symbols.\"}";
    const char *command = s->too_slow ? slow : leave;
    json_t *root = json_loads(rq->body == NULL ? "" : rq->body, 0, NULL);
    const char *state = json_string_value(json_object_get(root, "state"));
    const char *reason = json_string_value(json_object_get(root, "reason"));
    bool came;

    s->progress_puts++;
    (void)pthread_cond_signal(&s->came);
    (void)snprintf(s->last_progress, sizeof s->last_progress, "%s",
                   rq->body == NULL ? "" : rq->body);
    if (state != NULL && strcmp(state, "moved") == 0) {
        (void)snprintf(s->moved_reason, sizeof s->moved_reason, "%s", reason == NULL ? "" : reason);
    }
    came = json_integer_value(json_object_get(root, "bytes_multicast")) > 0;
    json_decref(root);
    return (s->leave || s->too_slow) && (!s->late || came)
               ? api_response_bytes(200, "application/json", command, strlen(command))
               : api_response_empty(204);
}

static struct api_response route(struct fake_service *s, const struct api_request *rq)
{
    bool receiver = strcmp(header(rq, "Authorization"), RECEIVER) == 0;

    if (rq->method == API_POST && strcmp(rq->path, "/api/v1/joins") == 0) {
        return join(s, rq);
    }
    if (!receiver) {
        return refuse(rq, CP_ERR_AUTH_REQUIRED, "the receiver token is missing");
    }
    if (strcmp(rq->path, "/api/v1/packages/image/versions/7/manifest") == 0) {
        return api_response_bytes(200, "application/json", s->manifest_text, s->manifest_size);
    }
    if (strncmp(rq->path, "/api/v1/content/", 16) == 0) {
        return content(s, rq);
    }
    if (rq->method == API_PUT && strcmp(rq->path, "/api/v1/joins/" JOIN "/progress") == 0) {
        return progress(s, rq);
    }
    if (rq->method == API_PUT && strcmp(rq->path, "/api/v1/joins/" JOIN "/result") == 0) {
        s->results++;
        (void)snprintf(s->result, sizeof s->result, "%s", rq->body == NULL ? "" : rq->body);
        return api_response_empty(204);
    }
    return refuse(rq, CP_ERR_NOT_FOUND, rq->path);
}

struct api_response api_handle(const struct api_context *ctx, const struct api_request *rq)
{
    struct api_response rs;

    (void)ctx;
    (void)pthread_mutex_lock(&service->lock);
    rs = route(service, rq);
    (void)pthread_mutex_unlock(&service->lock);
    return rs;
}

/* ---- making it ---- */

static void make_stream(struct fake_service *s, size_t zero_chunk, size_t *ret_size)
{
    size_t size = sizes[0] + sizes[1] + sizes[2];
    struct cp_prng prng;

    s->data = calloc(1, size);
    cp_prng_seed(&prng, 42);
    for (size_t i = 0; i < size && zero_chunk != SIZE_MAX - 1; i++) {
        if (i / MIB != zero_chunk) {
            s->data[i] = (uint8_t)cp_prng_u64(&prng);
        }
    }
    *ret_size = size;
}

static void make_manifest(struct fake_service *s, size_t stream_size)
{
    struct manifest_file files[FAKE_FILES];
    struct manifest_parts parts = {
        .package = FAKE_PACKAGE, .version = 7, .files = files, .file_count = FAKE_FILES};
    struct content_chunker *chunker;
    struct content_chunk *chunks;
    size_t at = 0;

    for (size_t i = 0; i < FAKE_FILES; i++) {
        files[i] = (struct manifest_file){.path = paths[i], .size = sizes[i], .mode = 0644};
        assert_int_equal(content_sha256(s->data + at, sizes[i], files[i].sha256), CP_OK);
        at += sizes[i];
    }
    assert_int_equal(content_chunker_new(&chunker), CP_OK);
    assert_int_equal(content_chunker_add(chunker, s->data, stream_size), CP_OK);
    assert_int_equal(content_chunker_finish(chunker, &chunks, &parts.chunk_count), CP_OK);
    content_chunker_free(chunker);
    parts.chunks = chunks;
    assert_int_equal(manifest_new(&parts, &s->manifest, NULL), CP_OK);
    free(chunks);
    assert_int_equal(manifest_encode(s->manifest, &s->manifest_text, &s->manifest_size), CP_OK);
    assert_int_equal(object_map_new(s->manifest, &s->map), CP_OK);
}

static void make_keys(struct fake_service *s)
{
    struct certificate c = {
        .node = JOIN, .not_before = "2020-01-01T00:00:00Z", .not_after = "2120-01-01T00:00:00Z"};
    const struct jws_key *signer;

    assert_int_equal(jws_key_make(&s->identity), CP_OK);
    assert_int_equal(jws_key_make(&s->multicast), CP_OK);
    memcpy(c.public_key, s->multicast.public_key, JWS_KEY_SIZE);
    assert_int_equal(certificate_sign(&s->identity, &c, &s->certificate), CP_OK);
    signer = s->foreign_manifest_key ? &s->identity : &s->multicast;
    assert_int_equal(
        jws_sign_detached(signer, s->manifest_text, s->manifest_size, &s->manifest_signature),
        CP_OK);
}

/* Breaks off in the middle. */
static void *stop_at_half(void *arg)
{
    struct mc_sender *sender = arg;
    const struct timespec pause = {.tv_nsec = 1000000};
    struct mc_sender_stats stats;

    do {
        (void)nanosleep(&pause, NULL);
        mc_sender_get_stats(sender, &stats);
    } while (stats.content_sent < stats.content_size / 2 && stats.phase < MC_DONE);
    mc_sender_stop(sender, false);
    return NULL;
}

static void send_object(const struct fake_service *s, struct mc_sender *sender)
{
    pthread_t stopper;
    bool stops = s->half && pthread_create(&stopper, NULL, stop_at_half, sender) == 0;

    mc_sender_add_receiver(sender, 2);
    (void)!mc_sender_run(sender, NULL);
    if (stops) {
        (void)pthread_join(stopper, NULL);
    }
}

/* The gathering delay: whoever reports progress has joined, and listens a moment later; what
 * it misses is repaired. False: the service stops before anybody came. */
static bool wait_for_receiver(struct fake_service *s)
{
    bool came;

    (void)pthread_mutex_lock(&s->lock);
    while (s->progress_puts == 0 && !s->stopping) {
        (void)pthread_cond_wait(&s->came, &s->lock);
    }
    came = s->progress_puts > 0;
    (void)pthread_mutex_unlock(&s->lock);
    return came;
}

static void *send_all(void *arg)
{
    struct fake_service *s = arg;
    struct mc_extent *extents = calloc(s->map->piece_count, sizeof *extents);
    struct mc_sender_config config = {.channel = s->channel,
                                      .instance_id = 1,
                                      .extents = extents,
                                      .extent_count = s->map->piece_count,
                                      .ttl = 1,
                                      .loopback = true,
                                      .rate_bps = s->half ? 20000000 : 200000000,
                                      .auto_parity = 2,
                                      .gsize = 1};
    struct mc_sender *sender;

    for (size_t i = 0; i < s->map->piece_count; i++) {
        const struct object_piece *p = &s->map->pieces[i];

        extents[i] = (struct mc_extent){
            .fd = s->data_fd,
            .file_offset = s->manifest->files[p->file_index].stream_offset + p->file_offset,
            .object_offset = p->object_offset,
            .size = p->size};
    }
    if (wait_for_receiver(s) && mc_sender_open(&config, &sender, NULL) == CP_OK) {
        send_object(s, sender);
        mc_sender_close(sender);
    }
    free(extents);
    return NULL;
}

static void start_session(struct fake_service *s, size_t stream_size)
{
    s->channel = (struct mc_channel){.group = "239.77.9.1",
                                     .port = 7990,
                                     .interface = "lo",
                                     .object_id = 1,
                                     .fec_id = 129,
                                     .segment_size = 1408,
                                     .max_block_len = 128,
                                     .num_parity = 32,
                                     .content_size = s->map->content_size,
                                     .auth = true,
                                     .mac = s->gmac ? MC_MAC_AES256_GMAC : MC_MAC_HMAC_SHA256,
                                     .encrypt = true,
                                     .secret = {9, 8, 7},
                                     .sender_id = SENDER_ID};
    s->channel.object_size = mc_object_size(s->map->content_size, 1408, 128);
    s->data_fd = memfd_create("stream", MFD_CLOEXEC);
    assert_int_equal(write(s->data_fd, s->data, stream_size), (ssize_t)stream_size);
    if (s->sending) {
        assert_int_equal(pthread_create(&s->sender_thread, NULL, send_all, s), 0);
        s->sender_runs = true;
    }
}

void fake_service_start(struct fake_service *s, size_t zero_chunk)
{
    struct srv_http_config config = {.listen_host = "127.0.0.1", .threads = 4};
    size_t stream_size;

    assert_null(service);
    service = s;
    s->data_fd = -1;
    s->silence_ms = s->silence_ms == 0 ? 300 : s->silence_ms;
    assert_int_equal(pthread_mutex_init(&s->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&s->came, NULL), 0);
    make_stream(s, zero_chunk, &stream_size);
    make_manifest(s, stream_size);
    make_keys(s);
    if (s->session) {
        start_session(s, stream_size);
    }
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/castget-service-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    (void)snprintf(s->cacert, sizeof s->cacert, "%s/cert.pem", s->dir);
    assert_int_equal(srv_tls_self_signed(s->dir, "127.0.0.1", &s->tls, NULL), CP_OK);
    config.cert_pem = s->tls.cert_pem;
    config.key_pem = s->tls.key_pem;
    assert_int_equal(srv_http_start(&config, &s->http, NULL), CP_OK);
    (void)snprintf(s->url, sizeof s->url, "https://127.0.0.1:%u", srv_http_port(s->http));
}

void fake_service_stop(struct fake_service *s)
{
    char key[96];

    srv_http_stop(s->http);
    if (s->sender_runs) {
        (void)pthread_mutex_lock(&s->lock);
        s->stopping = true;
        (void)pthread_cond_signal(&s->came);
        (void)pthread_mutex_unlock(&s->lock);
        (void)pthread_join(s->sender_thread, NULL);
    }
    srv_tls_done(&s->tls);
    (void)snprintf(key, sizeof key, "%s/key.pem", s->dir);
    (void)unlink(key);
    (void)unlink(s->cacert);
    (void)rmdir(s->dir);
    if (s->data_fd >= 0) {
        (void)close(s->data_fd);
    }
    manifest_free(s->manifest);
    object_map_free(s->map);
    free(s->manifest_text);
    free(s->manifest_signature);
    free(s->certificate);
    free(s->data);
    (void)pthread_cond_destroy(&s->came);
    (void)pthread_mutex_destroy(&s->lock);
    service = NULL;
}
