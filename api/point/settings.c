/* SPDX-License-Identifier: Apache-2.0
 * Settings of a distribution point: what was configured and what takes effect. Touches the
 * database and asks the system whether an interface exists; thread-safe. */
#include "api/point/settings.h"

#include <stdio.h>
#include <string.h>

#include "api/access/cors.h"
#include "api/access/interface.h"
#include "api/framework/etag.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/point/live.h"
#include "api/session/ticket.h"

/* 224.0.0.0/24 never leaves its link and is full of protocols of routers and hosts. */
#define GROUP_FIRST      0xE0000100u /* 224.0.1.0 */
#define GROUP_LAST       0xEFFFFFFFu /* 239.255.255.255 */
#define SCOPE_LINK       2u          /* RFC 4291 2.7: 1 stays within the machine */
#define GROUP_WELL_KNOWN 0xffu       /* ff0x::1, ff0x::2 …: all nodes, routers, name services */
#define SPREAD_MAX       65535u      /* the table's: few enough to be looked through */

/* Bits per second; 100 Gbit/s is more than one session can send. */
#define RATE_MIN 64000
#define RATE_MAX 100000000000

#define REQUESTS_MAX      10000000
#define DELAY_MAX_MS      600000
#define GRACE_MAX_HOURS   8760
#define DAYS_MAX          3650
#define VALIDATE_RATE_MIN 1000000 /* a piece of 1 MiB takes seconds then */
#define QUOTA_MIN         1048576
#define ROOM_MAX          (INT64_C(1) << 50)
#define EXPIRY_MAX_HOURS  8760
#define SLOW_SHARE_MAX    50 /* percent: when most are slow, that is the group's pace */

static const char *const access_words[] = {"anonymous", "authenticated", NULL};
static const char *const control_words[] = {"lan", "tfmcc", "fixed", NULL};

#define FIELD(f) #f, offsetof(struct db_settings, f), sizeof(((struct db_settings *)0)->f)

/* Settings that are a number or a switch and nothing else. A number of which 0 means "none" is null
 * in JSON then. */
static const struct plain {
    const char *name;
    size_t offset, size; /* in struct db_settings; size 1: bool */
    bool null;
    int64_t min, max;
} plain_settings[] = {
    {FIELD(multicast_enabled), false, 0, 1},
    {FIELD(ttl), false, 1, 255},
    {FIELD(rate_ceiling_bps), true, RATE_MIN, RATE_MAX},
    {FIELD(rate_start_percent), false, 1, 100},
    {FIELD(slow_share_percent), false, 0, SLOW_SHARE_MAX},
    {FIELD(jumbo_frames), false, 0, 1},
    {FIELD(gathering_delay_ms), false, 0, DELAY_MAX_MS},
    {FIELD(https_rate_ceiling_bps), true, RATE_MIN, RATE_MAX},
    {FIELD(requests_per_minute), false, 0, REQUESTS_MAX},
    {FIELD(login_failures), false, 0, 1000},
    {FIELD(login_lockout_s), false, 1, 86400},
    {FIELD(library_grace_hours), false, 0, GRACE_MAX_HOURS},
    {FIELD(library_validate_days), false, 0, DAYS_MAX},
    {FIELD(library_validate_rate_bps), true, VALIDATE_RATE_MIN, RATE_MAX},
    {FIELD(history_days), false, 0, DAYS_MAX},
    {FIELD(library_quota_bytes), true, QUOTA_MIN, ROOM_MAX},
    {FIELD(library_reserve_bytes), false, 0, ROOM_MAX},
    {FIELD(upload_expiry_hours), false, 1, EXPIRY_MAX_HOURS},
    {FIELD(key_rotation_days), false, 0, 3650},
    {FIELD(key_overlap_hours), false, 0, 8760},
    {FIELD(key_repair), false, 0, 1},
};
#define PLAIN_COUNT (sizeof plain_settings / sizeof plain_settings[0])

struct settings_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct api_settings_change change;
};

/* ---- as JSON ---- */

static json_t *plain_json(const struct db_settings *s, const struct plain *p)
{
    const char *at = (const char *)s + p->offset;
    uint64_t wide = 0;
    uint32_t narrow;

    if (p->size == sizeof(bool)) {
        return json_boolean(*(const bool *)at);
    }
    if (p->size == sizeof narrow) {
        memcpy(&narrow, at, sizeof narrow);
        wide = narrow;
    } else {
        memcpy(&wide, at, sizeof wide);
    }
    return p->null && wide == 0 ? json_null() : json_integer((json_int_t)wide);
}

static json_t *origins_json(const char *origins)
{
    json_t *list = json_array();

    for (const char *at = origins; *at != '\0';) {
        size_t size = strcspn(at, " ");

        (void)json_array_append_new(list, json_stringn(at, size));
        at += size + strspn(at + size, " ");
    }
    return list;
}

json_t *api_settings_values(const struct db_settings *s)
{
    json_t *value = json_pack(
        "{s:s, s:s, s:i, s:i, s:o, s:s, s:s}", "address_first", s->address_first, "address_last",
        s->address_last, "port_first", (int)s->port_first, "port_last", (int)s->port_last,
        "interface", api_json_text(s->interface), "rate_control",
        db_rate_control_name(s->rate_control), "content_access", db_access_name(s->content_access));

    for (size_t i = 0; i < PLAIN_COUNT; i++) {
        (void)json_object_set_new(value, plain_settings[i].name, plain_json(s, &plain_settings[i]));
    }
    (void)json_object_set_new(value, "cors_origins", origins_json(s->cors_origins));
    return value;
}

static json_t *settings_json(const struct settings_tx *t, const struct db_settings *s)
{
    bool local = strcmp(t->change.node.id, t->ctx->node_id) == 0;
    struct api_link link = {.rate_mbps = 0};
    struct db_settings effective = *s;

    if (local && t->ctx->find_link != NULL) {
        t->ctx->find_link(s->interface, s->address_first, &link);
        effective.jumbo_frames = s->jumbo_frames && link.mtu >= API_SESSION_JUMBO_MTU;
    }
    if (s->rate_ceiling_bps == 0) {
        effective.rate_ceiling_bps = (uint64_t)link.rate_mbps * 1000000;
    }
    if (s->interface[0] == '\0') {
        (void)snprintf(effective.interface, sizeof effective.interface, "%s", link.interface);
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "distribution_point", t->change.node.name,
                     "configured", api_settings_values(s), "effective",
                     api_settings_values(&effective), "updated_at", api_json_time(s->updated_at));
}

/* ---- get ---- */

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct settings_tx *t = arg;

    CP_TRY(api_node_find(conn, t->ctx, t->call->params[0], &t->change.node, err));
    return db_settings_get(conn, t->change.node.id, &t->change.present, err);
}

struct api_response api_settings_get(const struct api_context *ctx, const struct api_call *call)
{
    struct settings_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-settings", get_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    /* what takes effect changes with the link */
    return api_response_moving(t.change.present.revision, settings_json(&t, &t.change.present));
}

/* ---- change ---- */

/* A multicast address that packets may leave the machine by, as a number to compare: IPv4, or the
 * low 64 bits of IPv6 beside the high ones. */
struct group {
    uint64_t high; /* 0: IPv4 */
    uint64_t low;
};

/* RFC 4291 2.7: without the flag T an address is one that IANA has assigned. Those of link scope are
 * what 224.0.0.0/24 is in IPv4; the low ones are taken in every scope. */
static bool is_well_known(const struct group *g)
{
    return (g->high & UINT64_C(0xfff0ffffffffffff)) == UINT64_C(0xff00000000000000) &&
           g->low <= GROUP_WELL_KNOWN;
}

static bool is_assigned_on_link(const struct group *g)
{
    return g->high >> 48 == 0xff02;
}

static bool parse_group(const char *text, struct group *ret_group)
{
    struct group g = {.high = 0};
    uint32_t v4;
    uint8_t v6[16];

    if (api_ipv4_parse(text, &v4)) {
        ret_group->high = 0;
        ret_group->low = v4;
        return v4 >= GROUP_FIRST && v4 <= GROUP_LAST;
    }
    if (!api_ipv6_parse(text, v6) || v6[0] != 0xff || (v6[1] & 0x0f) < SCOPE_LINK) {
        return false;
    }
    for (size_t i = 0; i < 8; i++) {
        g.high = g.high << 8 | v6[i];
        g.low = g.low << 8 | v6[i + 8];
    }
    if (is_well_known(&g) || is_assigned_on_link(&g)) {
        return false;
    }
    *ret_group = g;
    return true;
}

static void read_group(struct api_fields *f, const char *name, char *ret_text, size_t cap)
{
    const char *text = api_field_string(f, name, API_OPTIONAL, 1, cap - 1);
    struct group group;

    if (text == NULL) {
        return;
    }
    if (!parse_group(text, &group)) {
        api_field_error(f, name,
                        "must be an IPv4 multicast address from 224.0.1.0 to 239.255.255.255, "
                        "best of 239.0.0.0/8, or an IPv6 one that is not assigned, best of "
                        "ff15::/16");
        return;
    }
    (void)snprintf(ret_text, cap, "%s", text);
}

static void read_interface(struct api_fields *f, bool local, char *ret_name, size_t cap)
{
    const char *text;

    if (api_field_null(f, "interface")) {
        ret_name[0] = '\0';
        return;
    }
    text = api_field_string(f, "interface", API_OPTIONAL, 0, cap - 1);
    if (text == NULL) {
        return;
    }
    /* another node's interfaces are not known here */
    if (local && text[0] != '\0' && !api_interface_exists(text)) {
        api_field_error(f, "interface",
                        "is not a network interface of this machine: name one that 'ip link' "
                        "lists, or null for the routing table's choice");
        return;
    }
    (void)snprintf(ret_name, cap, "%s", text);
}

static void read_port(struct api_fields *f, const char *name, uint16_t *ret_port)
{
    int64_t number;

    if (api_field_int(f, name, API_OPTIONAL, 1024, 65535, &number)) {
        *ret_port = (uint16_t)number;
    }
}

static void read_plain(struct api_fields *f, struct db_settings *s, const struct plain *p)
{
    char *at = (char *)s + p->offset;
    int64_t number = 0;
    uint32_t narrow;

    if (p->size == sizeof(bool)) {
        (void)api_field_bool(f, p->name, API_OPTIONAL, (bool *)at);
        return;
    }
    if (!(p->null && api_field_null(f, p->name)) &&
        !api_field_int(f, p->name, API_OPTIONAL, p->min, p->max, &number)) {
        return;
    }
    narrow = (uint32_t)number;
    memcpy(at, p->size == sizeof narrow ? (const void *)&narrow : (const void *)&number, p->size);
}

static void check_ranges(struct api_fields *f, const struct db_settings *s)
{
    struct group first = {.high = 0};
    struct group last = {.high = 0};

    if (parse_group(s->address_first, &first) && parse_group(s->address_last, &last) &&
        (first.high != last.high || first.low > last.low || last.low - first.low > SPREAD_MAX)) {
        api_field_error(f, "address_last",
                        "must not lie below address_first, which is %s, nor more than %u above",
                        s->address_first, SPREAD_MAX);
    }
    if (s->port_first > s->port_last) {
        api_field_error(f, "port_last", "must not lie below port_first, which is %u",
                        (unsigned)s->port_first);
    }
}

static void read_origins(struct api_fields *f, char ret_origins[DB_ORIGINS_SIZE])
{
    const json_t *list = api_field_array(f, "cors_origins", API_OPTIONAL);
    char origins[DB_ORIGINS_SIZE] = "";
    size_t at = 0;

    if (list == NULL) {
        return;
    }
    if (json_array_size(list) > API_CORS_ORIGINS_MAX) {
        api_field_error(f, "cors_origins", "must not be more than %d", API_CORS_ORIGINS_MAX);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *origin = json_string_value(json_array_get(list, i));

        if (origin == NULL || !api_cors_is_origin(origin)) {
            api_field_error(f, "cors_origins",
                            "has at place %zu something that is no origin: give each exactly as "
                            "browsers send it, 'https://host' or 'https://host:port' in lower "
                            "case, without a path; there is no '*'",
                            i + 1);
            return;
        }
        at += (size_t)snprintf(origins + at, sizeof origins - at, "%s%s", i > 0 ? " " : "", origin);
    }
    (void)snprintf(ret_origins, DB_ORIGINS_SIZE, "%s", origins);
}

void api_settings_read(struct api_fields *f, bool local, struct db_settings *s)
{
    int access, control;

    read_group(f, "address_first", s->address_first, sizeof s->address_first);
    read_group(f, "address_last", s->address_last, sizeof s->address_last);
    read_port(f, "port_first", &s->port_first);
    read_port(f, "port_last", &s->port_last);
    read_interface(f, local, s->interface, sizeof s->interface);
    access = api_field_word(f, "content_access", API_OPTIONAL, access_words);
    control = api_field_word(f, "rate_control", API_OPTIONAL, control_words);
    for (size_t i = 0; i < PLAIN_COUNT; i++) {
        read_plain(f, s, &plain_settings[i]);
    }
    if (access >= 0) {
        (void)db_access_parse(access_words[access], &s->content_access);
    }
    if (control >= 0) {
        (void)db_rate_control_parse(control_words[control], &s->rate_control);
    }
    read_origins(f, s->cors_origins);
    check_ranges(f, s);
}

enum cp_err api_settings_change(struct db_conn *conn, const struct api_context *ctx,
                                const struct api_call *call, struct api_settings_change *c,
                                struct cp_error *err)
{
    bool access = c->wanted.content_access != c->present.content_access && !c->settle_later;
    char subject[DB_TEXT_SIZE];

    if (access) {
        CP_TRY(api_access_change_begin(conn, err));
    }
    CP_TRY(db_settings_update(conn, &c->wanted, &c->result, err));
    if (access) {
        CP_TRY(api_access_change_settle(conn, ctx, call, &c->consequences, err));
    }
    (void)snprintf(subject, sizeof subject, "distribution-point %s", c->node.name);
    return api_event_write(conn, ctx, call,
                           &(struct api_event){.kind = "settings-changed",
                                               .subject = subject,
                                               .detail = api_settings_values(&c->result),
                                               .before = api_settings_values(&c->present)},
                           err);
}

static enum cp_err update_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct settings_tx *t = arg;

    return api_settings_change(conn, t->ctx, t->call, &t->change, err);
}

struct api_response api_settings_update(const struct api_context *ctx, const struct api_call *call)
{
    struct settings_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_fields f;
    json_t *value;

    err.code = db_run_read(ctx->db, "get-settings", get_body, &t, &err);
    if (err.code == CP_OK) {
        err.code = api_etag_require(call->rq, t.change.present.revision, &err);
    }
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    t.change.wanted = t.change.present;
    api_fields_body(&f, call);
    api_settings_read(&f, strcmp(t.change.node.id, ctx->node_id) == 0, &t.change.wanted);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    /* the row's lock decides; a change of access must see the joins that it waited for */
    err.code = db_run_tx_locking(ctx->db, "update-settings", update_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    api_live_changed(ctx);
    value = settings_json(&t, &t.change.result);
    (void)json_object_set_new(value, "consequences", api_consequences_json(&t.change.consequences));
    return api_response_resource(call->rq, t.change.result.revision, value);
}
