/* SPDX-License-Identifier: Apache-2.0
 * Joining. Touches the network through http.h, /etc/machine-id, the clock. */
#include "client/join.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <jansson.h>

#include "client/identity.h"
#include "common/clock.h"
#include "common/hex.h"
#include "common/log.h"
#include "content/object_map.h"

#define ANSWER_MAX       262144u
#define JOIN_TIMEOUT_MS  30000u
#define MANIFEST_TIME_MS 120000u

/* What the answer to a join carries; strings borrowed from the JSON. */
struct answer {
    const char *id, *token, *ticket;
    struct cl_identity identity;
};

static enum cp_err read_answer(const json_t *root, const char *known, struct answer *a,
                               struct cp_error *err)
{
    a->id = json_string_value(json_object_get(root, "id"));
    a->token = json_string_value(json_object_get(root, "receiver_token"));
    a->ticket = json_string_value(json_object_get(root, "ticket"));
    if (a->id == NULL || a->token == NULL || a->ticket == NULL) {
        return cp_error_set(err, CP_ERR_PROTOCOL, "join: a field of the answer is missing");
    }
    return cl_identity_choose(root, known, &a->identity, err);
}

/* The user's knowledge is out of date, and the day will come when it is worth nothing. */
static void warn_of_rotation(const struct cl_identity *identity)
{
    if (identity->former) {
        cp_log(CP_LOG_WARN, "identity-rotated", "identity", identity->present, "remedy",
               "give this one to --identity, once its operator has confirmed it", NULL);
    }
}

static enum cp_err post_join(struct cl_http *http, const struct cl_join_request *rq,
                             struct cl_http_answer *ret_answer, struct cp_error *err)
{
    json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:b}", "package", rq->package, "client_id",
                             rq->client_id, "client_name", rq->client_name, "client_version",
                             CASTPOINT_VERSION, "multicast", rq->multicast ? 1 : 0);
    char *text = NULL;
    enum cp_err code;

    if (body != NULL && (rq->version == 0 ||
                         json_object_set_new(body, "version", json_integer(rq->version)) == 0)) {
        text = json_dumps(body, JSON_COMPACT);
    }
    json_decref(body);
    if (text == NULL) {
        return cp_error_set(err, CP_ERR_USAGE, "the client's name must be UTF-8");
    }
    code = cl_http_call(http,
                        &(struct cl_http_call){.method = "POST",
                                               .path = "/api/v1/joins",
                                               .body = text,
                                               .answer_max = ANSWER_MAX,
                                               .timeout_ms = JOIN_TIMEOUT_MS},
                        ret_answer, err);
    free(text);
    return code;
}

/* The service's own clock judges its signatures: machines that are being imaged often have none
 * worth asking, and the Date comes over the same TLS connection as the ticket. */
static uint64_t time_of(const struct cl_http_answer *answer)
{
    return answer->date_ns != 0 ? answer->date_ns : cp_clock_wall();
}

static enum cp_err take_ticket(const struct cl_http_answer *answer,
                               const struct cl_join_request *rq, struct cl_join *join,
                               struct cp_error *err)
{
    json_t *root = json_loadb(answer->body, answer->size, JSON_REJECT_DUPLICATES, NULL);
    struct answer a;
    enum cp_err code = read_answer(root, rq->identity, &a, err);

    if (code == CP_OK) {
        struct cl_ticket_source source = {.identity_key = a.identity.key,
                                          .certificate = a.identity.certificate,
                                          .ticket = a.ticket,
                                          .now_ns = time_of(answer),
                                          .join = a.id,
                                          .package = rq->package,
                                          .version = rq->version};

        code = cl_ticket_verify(&source, &join->ticket, err);
    }
    if (code == CP_OK) {
        warn_of_rotation(&a.identity);
    }
    if (code == CP_OK && (join->token = strdup(a.token)) == NULL) {
        code = cp_error_set(err, CP_ERR_NO_MEMORY, "join");
    }
    json_decref(root);
    return code;
}

static enum cp_err check_session(const struct cl_ticket *t, const struct manifest *m,
                                 struct cp_error *err)
{
    struct object_map *map;
    const struct mc_channel *c = &t->channel;
    bool ok;

    if (!t->session) {
        return CP_OK;
    }
    if (object_map_new(m, &map) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "join");
    }
    ok = c->content_size == map->content_size &&
         c->object_size == mc_object_size(c->content_size, c->segment_size, c->max_block_len);
    object_map_free(map);
    return ok ? CP_OK
              : cp_error_set(err, CP_ERR_PROTOCOL,
                             "ticket: the session's size is not that of the manifest's content");
}

enum cp_err cl_manifest_verify(const struct cl_ticket *ticket, const char *text, size_t size,
                               struct manifest **ret_manifest, struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    struct manifest *m;
    enum cp_err code;

    if (content_sha256(text, size, digest) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "manifest");
    }
    if (size != ticket->manifest.size ||
        memcmp(digest, ticket->manifest.sha256, sizeof digest) != 0) {
        return cp_error_set(err, CP_ERR_SIGNATURE, "the manifest is not the one of the ticket");
    }
    code = jws_verify_detached(ticket->multicast_key, ticket->manifest.signature, text, size, err);
    if (code != CP_OK) {
        cp_error_prefix(err, "manifest");
        return code;
    }
    CP_TRY(manifest_parse(text, size, &m, err));
    if (strcmp(m->package, ticket->package) != 0 || m->version != ticket->version) {
        code = cp_error_set(err, CP_ERR_SIGNATURE,
                            "the manifest is of another package or version than the ticket");
    } else {
        code = check_session(ticket, m, err);
    }
    if (code != CP_OK) {
        manifest_free(m);
        return code;
    }
    *ret_manifest = m;
    return CP_OK;
}

static enum cp_err fetch_manifest(struct cl_http *http, struct cl_join *join, struct cp_error *err)
{
    struct cl_http_answer answer;
    struct cl_http_call call = {.method = "GET",
                                .path = join->ticket.manifest.url,
                                .answer_max = (size_t)join->ticket.manifest.size,
                                .timeout_ms = MANIFEST_TIME_MS};
    enum cp_err code = cl_http_call(http, &call, &answer, err);

    if (code != CP_OK) {
        cp_error_prefix(err, "manifest");
        return code;
    }
    code = cl_manifest_verify(&join->ticket, answer.body, answer.size, &join->manifest, err);
    free(answer.body);
    return code;
}

enum cp_err cl_join(struct cl_http *http, const struct cl_join_request *request,
                    struct cl_join *ret_join, struct cp_error *err)
{
    struct cl_join join = {.manifest = NULL};
    struct cl_http_answer answer;
    enum cp_err code;

    CP_TRY(post_join(http, request, &answer, err));
    code = take_ticket(&answer, request, &join, err);
    explicit_bzero(answer.body, answer.size);
    free(answer.body);
    if (code == CP_OK && cl_http_use_token(http, join.token) != CP_OK) {
        code = cp_error_set(err, CP_ERR_NO_MEMORY, "join");
    }
    if (code == CP_OK) {
        code = fetch_manifest(http, &join, err);
    }
    if (code != CP_OK) {
        cl_join_done(&join);
        return code;
    }
    *ret_join = join;
    return CP_OK;
}

void cl_join_done(struct cl_join *j)
{
    cl_ticket_done(&j->ticket);
    manifest_free(j->manifest);
    j->manifest = NULL;
    if (j->token != NULL) {
        explicit_bzero(j->token, strlen(j->token));
        free(j->token);
        j->token = NULL;
    }
}

/* The machine's id, or random bytes where there is none (an installer's first boot). */
static size_t machine_id(char *ret_bytes, size_t size)
{
    FILE *f = fopen("/etc/machine-id", "re");
    size_t n = f == NULL ? 0 : fread(ret_bytes, 1, size, f);

    if (f != NULL) {
        (void)fclose(f);
    }
    if (n < 32) {
        ssize_t random = getrandom(ret_bytes, size, 0);

        n = random < 0 ? 0 : (size_t)random;
    }
    return n;
}

enum cp_err cl_client_id(const char *output, char ret_id[65])
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char machine[33], host[256] = "";
    char *folder = output[0] == '/' ? NULL : getcwd(NULL, 0);
    struct content_sha256 *hash;
    size_t n = machine_id(machine, sizeof machine);

    if (content_sha256_new(&hash) != CP_OK) {
        free(folder);
        return CP_ERR_NO_MEMORY;
    }
    (void)gethostname(host, sizeof host - 1);
    content_sha256_add(hash, "castget client", sizeof "castget client");
    content_sha256_add(hash, machine, n);
    content_sha256_add(hash, host, strlen(host) + 1);
    if (folder != NULL) {
        content_sha256_add(hash, folder, strlen(folder));
        content_sha256_add(hash, "/", 1);
    }
    content_sha256_add(hash, output, strlen(output));
    content_sha256_finish(hash, digest);
    content_sha256_free(hash);
    free(folder);
    cp_hex_encode(digest, sizeof digest, ret_id);
    return CP_OK;
}

void cl_correlation_id(char ret_id[33])
{
    uint8_t random[16] = {0};

    /* Only a name: where the kernel has no random bytes yet, zeros do no harm. */
    (void)!getrandom(random, sizeof random, GRND_NONBLOCK);
    cp_hex_encode(random, sizeof random, ret_id);
}
