/* SPDX-License-Identifier: Apache-2.0
 * Verifying and reading tickets. Pure. */
#include "client/ticket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/base64.h"
#include "common/hex.h"
#include "content/certificate.h"

#define CLOCK_GRACE (300 * CP_SEC)
/* Bounds for what a service may ask of a receiver. */
#define INTERVAL_MIN_MS 100u
#define INTERVAL_MAX_MS 60000u
#define WAIT_MAX_MS     (24u * 3600 * 1000)

/* Reads one JSON object; the first fault sticks, so a ticket is checked once at the end. */
struct reader {
    const json_t *object;
    const char *name;  /* of the object, for the text */
    const char *fault; /* field at fault, NULL none */
};

static void fail(struct reader *r, const char *field)
{
    if (r->fault == NULL) {
        r->fault = field;
    }
}

static void read_text(struct reader *r, const char *field, char *ret_text, size_t size)
{
    const char *s = json_string_value(json_object_get(r->object, field));

    if (s == NULL || strlen(s) >= size) {
        fail(r, field);
        return;
    }
    memcpy(ret_text, s, strlen(s) + 1);
}

static uint64_t read_number(struct reader *r, const char *field, uint64_t min, uint64_t max)
{
    const json_t *v = json_object_get(r->object, field);

    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) < min ||
        (uint64_t)json_integer_value(v) > max) {
        fail(r, field);
        return min;
    }
    return (uint64_t)json_integer_value(v);
}

static bool read_bool(struct reader *r, const char *field)
{
    const json_t *v = json_object_get(r->object, field);

    if (!json_is_boolean(v)) {
        fail(r, field);
    }
    return json_is_true(v);
}

static uint64_t read_time(struct reader *r, const char *field)
{
    const char *s = json_string_value(json_object_get(r->object, field));
    uint64_t ns = 0;

    if (s == NULL || certificate_time_parse(s, &ns) != CP_OK) {
        fail(r, field);
    }
    return ns;
}

/* A path of this very service: credentials go nowhere else. */
static void read_path(struct reader *r, const char *field, char ret_path[CL_PATH_SIZE])
{
    ret_path[0] = '\0';
    read_text(r, field, ret_path, CL_PATH_SIZE);
    if (strncmp(ret_path, "/api/v1/", 8) != 0 || strpbrk(ret_path, " \t\r\n#") != NULL) {
        fail(r, field);
    }
}

/* The reason why something is not offered; an unknown one counts as its class. */
static enum cp_err read_reason(const json_t *object, enum cp_err otherwise)
{
    const char *name = json_string_value(json_object_get(object, "code"));
    enum cp_err code = name == NULL ? CP_OK : cp_err_from_code(name);

    return code == CP_OK ? otherwise : code;
}

static enum cp_err finish(const struct reader *r, struct cp_error *err)
{
    return r->fault == NULL
               ? CP_OK
               : cp_error_set(err, CP_ERR_PROTOCOL, "ticket: %s%s%s is missing or not of its form",
                              r->name, r->name[0] == '\0' ? "" : ".", r->fault);
}

static struct reader open_object(const json_t *parent, const char *name)
{
    struct reader r = {.object = json_object_get(parent, name), .name = name};

    if (!json_is_object(r.object)) {
        r.fault = "(all of it)";
    }
    return r;
}

static enum cp_err read_manifest(const json_t *root, struct cl_ticket *t, struct cp_error *err)
{
    struct reader r = open_object(root, "manifest");
    char sha256[CONTENT_DIGEST_TEXT_SIZE] = "";

    read_path(&r, "url", t->manifest.url);
    read_text(&r, "sha256", sha256, sizeof sha256);
    read_text(&r, "signature", t->manifest.signature, sizeof t->manifest.signature);
    t->manifest.size = read_number(&r, "size", 1, MC_CHUNK_SIZE * (uint64_t)256);
    if (!cp_hex_decode(sha256, t->manifest.sha256, CONTENT_DIGEST_SIZE)) {
        fail(&r, "sha256");
    }
    return finish(&r, err);
}

static enum cp_err read_content(const json_t *root, struct cl_ticket *t, struct cp_error *err)
{
    struct reader r = open_object(root, "content");

    t->https = read_bool(&r, "https");
    if (t->https) {
        read_path(&r, "url", t->content_url);
    } else {
        t->no_https = read_reason(r.object, CP_ERR_MULTICAST_ONLY);
    }
    return finish(&r, err);
}

/* A packet MAC that this program does not know: nothing of the session could be trusted. */
static enum cp_err read_mac(struct reader *r, struct mc_channel *c, struct cp_error *err)
{
    char name[64] = "";

    read_text(r, "auth", name, sizeof name);
    c->auth = true;
    if (strcmp(name, "aes-256-gmac") == 0) {
        c->mac = MC_MAC_AES256_GMAC;
    } else if (strcmp(name, "hmac-sha256-128") == 0) {
        c->mac = MC_MAC_HMAC_SHA256;
    } else if (name[0] == '\0') {
        fail(r, "auth");
    } else {
        return cp_error_set(err, CP_ERR_PROTOCOL,
                            "the session's packets are authenticated by '%s', which this castget "
                            "does not know: use a newer castget, or --no-multicast",
                            name);
    }
    return CP_OK;
}

static void read_channel(struct reader *r, struct mc_channel *c)
{
    char text[64] = "";
    size_t size = 0;

    read_text(r, "group", c->group, sizeof c->group);
    c->port = (uint16_t)read_number(r, "port", 1, UINT16_MAX);
    read_text(r, "source", c->source, sizeof c->source);
    c->ssm = read_bool(r, "ssm");
    c->sender_id = (uint32_t)read_number(r, "sender_id", 1, UINT32_MAX - 1);
    c->object_id = (uint16_t)read_number(r, "object_id", 0, UINT16_MAX);
    c->fec_id = (uint8_t)read_number(r, "fec_id", 129, 129);
    c->segment_size = (uint16_t)read_number(r, "segment_size", 64, 9000);
    c->max_block_len = (uint16_t)read_number(r, "max_block_len", 1, 255);
    c->num_parity = (uint16_t)read_number(r, "num_parity", 0, 255);
    c->content_size = read_number(r, "content_size", 1, INT64_MAX);
    c->object_size = read_number(r, "object_size", c->content_size, INT64_MAX);
    c->encrypt = read_bool(r, "encrypt");
    read_text(r, "secret", text, sizeof text);
    if (!cp_base64_decode(CP_BASE64_URL, text, strlen(text), c->secret, sizeof c->secret, &size) ||
        size != sizeof c->secret) {
        fail(r, "secret");
    }
    explicit_bzero(text, sizeof text);
    if (c->max_block_len + c->num_parity > 255) {
        fail(r, "num_parity");
    }
}

static enum cp_err read_session(const json_t *root, uint64_t issued_at, struct cl_ticket *t,
                                struct cp_error *err)
{
    const json_t *session = json_object_get(root, "session");
    const json_t *reason = json_object_get(root, "no_session");
    struct reader r = {.object = session, .name = "session"};
    char state[32] = "";
    uint64_t starts_at;

    if (json_is_null(session)) {
        const char *detail = json_string_value(json_object_get(reason, "detail"));

        t->no_session = read_reason(reason, CP_ERR_MULTICAST_DISABLED);
        (void)snprintf(t->no_session_text, sizeof t->no_session_text, "%s",
                       detail == NULL ? "" : detail);
        return CP_OK;
    }
    if (!json_is_object(session)) {
        return cp_error_set(err, CP_ERR_PROTOCOL, "ticket: session is missing");
    }
    t->session = true;
    CP_TRY(read_mac(&r, &t->channel, err));
    read_channel(&r, &t->channel);
    t->node_id = (uint32_t)read_number(&r, "node_id", 2, UINT32_MAX - 1);
    read_text(&r, "state", state, sizeof state);
    if (strcmp(state, "waiting") == 0) {
        starts_at = read_time(&r, "starts_at");
        t->starts_in = starts_at > issued_at ? starts_at - issued_at : 0;
        if (t->starts_in > WAIT_MAX_MS * CP_MSEC) {
            fail(&r, "starts_at");
        }
    }
    return finish(&r, err);
}

static enum cp_err read_reporting(const json_t *root, struct cl_ticket *t, struct cp_error *err)
{
    struct reader progress = open_object(root, "progress");
    struct reader result = open_object(root, "result");
    struct reader fallback = open_object(root, "fallback");

    read_path(&progress, "url", t->progress_url);
    t->progress_interval =
        read_number(&progress, "interval_ms", INTERVAL_MIN_MS, INTERVAL_MAX_MS) * CP_MSEC;
    read_path(&result, "url", t->result_url);
    t->silence = read_number(&fallback, "silence_ms", 1, WAIT_MAX_MS) * CP_MSEC;
    t->https_delay = read_number(&fallback, "start_ms", 0, WAIT_MAX_MS) * CP_MSEC;
    CP_TRY(finish(&progress, err));
    CP_TRY(finish(&result, err));
    return finish(&fallback, err);
}

static enum cp_err check_time(uint64_t issued_at, uint64_t expires_at, uint64_t now_ns,
                              struct cp_error *err)
{
    if (now_ns > cp_time_add(expires_at, CLOCK_GRACE)) {
        return cp_error_set(err, CP_ERR_SIGNATURE, "the ticket has expired");
    }
    if (cp_time_add(now_ns, CLOCK_GRACE) < issued_at) {
        return cp_error_set(err, CP_ERR_SIGNATURE, "the ticket is from the future");
    }
    return CP_OK;
}

static enum cp_err read_ticket(const json_t *root, const struct cl_ticket_source *source,
                               struct cl_ticket *t, struct cp_error *err)
{
    struct reader r = {.object = root, .name = ""};
    char kind[32] = "";
    uint64_t issued_at, expires_at;

    read_text(&r, "castpoint", kind, sizeof kind);
    if (strcmp(kind, "ticket") != 0) {
        return cp_error_set(err, CP_ERR_SIGNATURE, "signed, but not a ticket");
    }
    read_text(&r, "join", t->join, sizeof t->join);
    read_text(&r, "correlation_id", t->correlation_id, sizeof t->correlation_id);
    read_text(&r, "package", t->package, sizeof t->package);
    t->version = (uint32_t)read_number(&r, "version", 1, UINT32_MAX);
    issued_at = read_time(&r, "issued_at");
    expires_at = read_time(&r, "expires_at");
    CP_TRY(finish(&r, err));
    CP_TRY(check_time(issued_at, expires_at, source->now_ns, err));
    if (strcmp(t->join, source->join) != 0 || strcmp(t->package, source->package) != 0 ||
        (source->version != 0 && t->version != source->version)) {
        return cp_error_set(err, CP_ERR_SIGNATURE,
                            "the ticket is for another join, package or version");
    }
    CP_TRY(read_manifest(root, t, err));
    CP_TRY(read_content(root, t, err));
    CP_TRY(read_session(root, issued_at, t, err));
    return read_reporting(root, t, err);
}

enum cp_err cl_ticket_verify(const struct cl_ticket_source *source, struct cl_ticket *ret_ticket,
                             struct cp_error *err)
{
    struct cl_ticket ticket = {.no_https = CP_OK};
    struct certificate certificate;
    char *payload;
    size_t size;
    json_t *root;
    enum cp_err code;

    code = certificate_verify(source->identity_key, source->certificate, source->now_ns,
                              &certificate, err);
    if (code != CP_OK) {
        cp_error_prefix(err, "certificate of the multicast key");
        return code;
    }
    code = jws_verify(certificate.public_key, source->ticket, &payload, &size, err);
    if (code != CP_OK) {
        cp_error_prefix(err, "ticket");
        return code;
    }
    root = json_loadb(payload, size, JSON_REJECT_DUPLICATES, NULL);
    explicit_bzero(payload, size);
    free(payload);
    if (!json_is_object(root)) {
        json_decref(root);
        return cp_error_set(err, CP_ERR_PROTOCOL, "ticket: not a JSON object");
    }
    memcpy(ticket.multicast_key, certificate.public_key, JWS_KEY_SIZE);
    code = read_ticket(root, source, &ticket, err);
    json_decref(root);
    if (code == CP_OK) {
        *ret_ticket = ticket;
    }
    cl_ticket_done(&ticket);
    return code;
}

void cl_ticket_done(struct cl_ticket *t)
{
    explicit_bzero(&t->channel, sizeof t->channel);
}
