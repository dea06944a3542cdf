/* SPDX-License-Identifier: Apache-2.0
 * A ticket's payload. */
#include "api/session/ticket.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/framework/resource.h"
#include "common/base64.h"
#include "common/clock.h"

#define CONTENT_URL "/api/v1/content/"
/* A receiver that hears nothing for so long turns to HTTPS: IGMP and a slow port come up within two
 * or three seconds, and a user should not look at a standing bar for longer than five. */
#define SILENCE_MS           5000
#define PROGRESS_INTERVAL_MS 1000
#define SECRET_SIZE          32u
/* IPv4 20, UDP 8, NORM DATA with FTI, EXT_AUTH and payload id up to 64 (norm.md section 6.3). */
#define HEADERS_SIZE 92u
#define IPV6_MORE    20u /* its header is 40 */
/* No real link is narrower (RFC 791: 576); on such a one the engine says what is wrong. */
#define SEGMENT_SIZE_MIN 448u

uint32_t api_segment_size(uint32_t mtu, bool jumbo, bool ipv6)
{
    uint32_t headers = HEADERS_SIZE + (ipv6 ? IPV6_MORE : 0);
    uint32_t usual = ipv6 ? API_SESSION_IPV6_SIZE : API_SESSION_SEGMENT_SIZE;

    if (jumbo && mtu >= API_SESSION_JUMBO_MTU) {
        return ipv6 ? API_SESSION_JUMBO_IPV6_SIZE : API_SESSION_JUMBO_SIZE;
    }
    if (mtu < SEGMENT_SIZE_MIN + headers || mtu >= usual + headers) {
        return usual;
    }
    return (mtu - headers) / 32u * 32u;
}

uint64_t api_object_size(uint64_t content_size, uint32_t segment_size, uint32_t max_block_len)
{
    uint64_t block = (uint64_t)segment_size * max_block_len;
    uint64_t unit = content_size > block ? block : segment_size;

    return (content_size + unit - 1) / unit * unit;
}

static json_t *manifest_json(const struct api_ticket *t)
{
    char url[256];

    (void)snprintf(url, sizeof url, "/api/v1/packages/%s/versions/%u/manifest", t->version->package,
                   t->version->number);
    return json_pack("{s:s, s:s, s:I, s:s}", "url", url, "sha256", t->version->manifest_sha256,
                     "size", (json_int_t)t->version->manifest_size, "signature",
                     t->manifest_signature);
}

static json_t *content_json(const struct api_ticket *t)
{
    if (t->version->policy == DB_POLICY_REQUIRE) {
        return json_pack("{s:b, s:s, s:s}", "https", 0, "code",
                         cp_err_info(CP_ERR_MULTICAST_ONLY)->code, "detail",
                         cp_err_info(CP_ERR_MULTICAST_ONLY)->cause);
    }
    return json_pack("{s:b, s:s}", "https", 1, "url", CONTENT_URL);
}

static json_t *session_json(const struct api_ticket *t)
{
    const struct db_session *s = t->session;
    char secret[CP_BASE64_SIZE(SECRET_SIZE)];
    json_t *address;
    json_t *content;

    if (s == NULL) {
        return json_null();
    }
    (void)cp_base64_encode(CP_BASE64_URL, t->secret, SECRET_SIZE, secret);
    address = json_pack("{s:s, s:s, s:o, s:s, s:i, s:s, s:b, s:I, s:I}", "id", s->id, "state",
                        db_session_state_name(s->state), "starts_at", api_json_time(s->starts_at),
                        "group", s->group, "port", (int)s->port, "source", t->source, "ssm", 0,
                        "sender_id", (json_int_t)API_SESSION_SENDER_ID, "node_id",
                        (json_int_t)t->receiver->norm_node_id);
    content = json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:s}", "object_id",
                        (int)s->object_id, "fec_id", (int)s->fec_id, "segment_size",
                        (json_int_t)s->segment_size, "max_block_len", (json_int_t)s->max_block_len,
                        "num_parity", (json_int_t)s->num_parity, "content_size",
                        (json_int_t)s->content_size, "object_size", (json_int_t)s->object_size,
                        "auth", db_mac_name(s->mac), "encrypt", (int)s->encrypt, "secret", secret);
    explicit_bzero(secret, sizeof secret);
    if (address != NULL && content != NULL && json_object_update(address, content) != 0) {
        json_decref(address);
        address = NULL;
    }
    json_decref(content);
    return content == NULL ? NULL : address;
}

static void add_addresses(json_t *ticket, const char *join)
{
    char progress[96];
    char result[96];

    (void)snprintf(progress, sizeof progress, "/api/v1/joins/%s/progress", join);
    (void)snprintf(result, sizeof result, "/api/v1/joins/%s/result", join);
    (void)json_object_set_new(
        ticket, "progress",
        json_pack("{s:s, s:i}", "url", progress, "interval_ms", PROGRESS_INTERVAL_MS));
    (void)json_object_set_new(ticket, "result", json_pack("{s:s}", "url", result));
    (void)json_object_set_new(ticket, "fallback",
                              json_pack("{s:i, s:i}", "silence_ms", SILENCE_MS, "start_ms", 0));
}

static json_t *ticket_json(const struct api_ticket *t)
{
    const struct db_receiver *r = t->receiver;
    json_t *ticket =
        json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:I, s:s, s:o, s:o, s:o}", "castpoint", "ticket",
                  "join", r->id, "issued_at", api_json_time(cp_clock_wall()), "expires_at",
                  api_json_time(r->expires_at), "correlation_id", r->correlation_id, "package",
                  t->version->package, "version", (json_int_t)t->version->number, "policy",
                  db_policy_name(t->version->policy), "manifest", manifest_json(t), "content",
                  content_json(t), "session", session_json(t));

    if (ticket == NULL) {
        return NULL;
    }
    if (t->session == NULL) {
        (void)json_object_set_new(ticket, "no_session",
                                  json_pack("{s:s, s:s}", "code", cp_err_info(t->no_session)->code,
                                            "detail", t->no_session_detail));
    }
    add_addresses(ticket, r->id);
    return ticket;
}

char *api_ticket_text(const struct api_ticket *t, size_t *ret_size)
{
    json_t *ticket = ticket_json(t);
    char *text = ticket == NULL ? NULL : json_dumps(ticket, JSON_COMPACT);

    json_decref(ticket);
    if (text != NULL) {
        *ret_size = strlen(text);
    }
    return text;
}
