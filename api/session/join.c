/* SPDX-License-Identifier: Apache-2.0
 * The decisions of a join, in their order: access, version, multicast, keys, session, place. */
#include "api/session/join.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/access/access.h"
#include "api/framework/resource.h"
#include "api/session/session_json.h"
#include "api/session/ticket.h"
#include "db/access.h"
#include "db/blob.h"
#include "db/package.h"

/* A receiver token outlives the longest transfer that anybody waits for. */
#define RECEIVER_LIFETIME_MS UINT64_C(86400000)

/* Access comes first: who may not have the package learns nothing of its versions. A package that
 * does not exist is guarded by the distribution point's own setting. */
static enum cp_err check_access(struct db_conn *conn, struct api_join *j, struct cp_error *err)
{
    struct cp_error refusal = {.code = CP_OK};
    struct db_package package;
    enum cp_err found;
    enum cp_err rc;

    CP_TRY(db_settings_get(conn, j->ctx->node_id, &j->settings, err));
    found = db_package_get(conn, j->package, &package, err);
    if (found != CP_OK && found != CP_ERR_PACKAGE_NOT_FOUND) {
        return found;
    }
    rc = api_access_decide(found == CP_OK ? package.access : DB_ACCESS_INHERIT,
                           j->settings.content_access, j->call->who, "", &refusal);
    if (rc != CP_OK) {
        return cp_error_set(err, rc, "%s", refusal.text);
    }
    return found;
}

/* Multicast would send what every receiver refuses, HTTPS refuses it. */
static enum cp_err refuse_damaged(struct db_conn *conn, const struct api_join *j,
                                  struct cp_error *err)
{
    struct db_blob_place place;
    enum cp_err rc = db_blob_damaged_file(conn, j->version.id, &place, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return CP_OK; /* healed in this very moment */
    }
    CP_TRY(rc);
    return cp_error_set(err, CP_ERR_CONTENT_DAMAGED,
                        "Validation found the content of file '%.200s' of version %u of package "
                        "'%s' missing or damaged: upload the same file again.",
                        place.path, (unsigned)place.number, place.package);
}

static enum cp_err find_version(struct db_conn *conn, struct api_join *j, struct cp_error *err)
{
    CP_TRY(db_version_get(conn, j->package, j->number, &j->version, err));
    CP_TRY(api_access_decide(j->version.access, j->settings.content_access, j->call->who,
                             j->version.id, err));
    if (j->version.state == DB_VERSION_DRAFT) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_SEALED,
                            "Version %u of package '%s' is still a draft.", j->version.number,
                            j->version.package);
    }
    if (j->version.state == DB_VERSION_RETIRED) {
        return cp_error_set(err, CP_ERR_VERSION_RETIRED, "Version %u of package '%s' was retired.",
                            j->version.number, j->version.package);
    }
    return j->version.damaged ? refuse_damaged(conn, j, err) : CP_OK;
}

/* Why there can be no session; CP_OK when there can. */
static enum cp_err multicast_obstacle(struct api_join *j)
{
    if (j->version.content_size == 0) {
        j->no_session_detail = "The version consists of zeros only: there is nothing to send.";
    } else if (!j->settings.multicast_enabled) {
        j->no_session_detail = "The distribution point's settings switch multicast off.";
    } else if (j->version.policy == DB_POLICY_OFF) {
        j->no_session_detail = "The package's policy switches multicast off.";
    } else if (!j->multicast) {
        j->no_session_detail = "The client asked for HTTPS only.";
    } else {
        return CP_OK;
    }
    return CP_ERR_MULTICAST_DISABLED;
}

/* Never a ticket by which nothing could be fetched. */
static enum cp_err check_way(struct api_join *j, struct cp_error *err)
{
    j->no_session = multicast_obstacle(j);
    if (j->no_session == CP_OK || j->version.policy != DB_POLICY_REQUIRE ||
        j->version.content_size == 0) {
        return CP_OK;
    }
    return cp_error_set(err, j->multicast ? CP_ERR_MULTICAST_DISABLED : CP_ERR_MULTICAST_ONLY,
                        "Package '%s' is delivered by multicast only. %s", j->version.package,
                        j->no_session_detail);
}

/* A signature by a key that is gone could not be checked with the certificate that goes out now. */
static enum cp_err renew_signature(struct db_conn *conn, struct api_join *j, struct cp_error *err)
{
    char *manifest = NULL;
    char *signature = NULL;
    size_t size;
    enum cp_err rc;

    if (strcmp(j->version.manifest_key, j->key.fingerprint) == 0) {
        return CP_OK;
    }
    CP_TRY(db_version_manifest(conn, j->version.id, &manifest, &size, err));
    rc = keys_ring_sign_detached(&j->key, manifest, size, &signature, err);
    free(manifest);
    CP_TRY(rc);
    rc = db_version_set_signature(conn, j->version.id, signature, j->key.fingerprint, err);
    if (rc == CP_OK) {
        (void)snprintf(j->version.manifest_signature, sizeof j->version.manifest_signature, "%s",
                       signature);
        (void)snprintf(j->version.manifest_key, sizeof j->version.manifest_key, "%s",
                       j->key.fingerprint);
    }
    free(signature);
    return rc;
}

static enum cp_err random_instance(uint16_t *ret_instance, struct cp_error *err)
{
    enum cp_err rc;

    do {
        rc = keys_random(ret_instance, sizeof *ret_instance);
    } while (rc == CP_OK && *ret_instance == 0);
    return rc == CP_OK ? CP_OK : cp_error_set(err, rc, "No random numbers.");
}

static enum cp_err find_session(struct db_conn *conn, struct api_join *j, struct cp_error *err)
{
    char id[DB_ID_SIZE];
    uint8_t sealed[DB_SEALED_SIZE];
    struct db_session_new in = {
        .id = id,
        .node_id = j->ctx->node_id,
        .version_id = j->version.id,
        .secret_sealed = sealed,
        .object_id = API_SESSION_OBJECT_ID,
        .fec_id = API_SESSION_FEC_ID,
        .segment_size = api_segment_size(j->link.mtu, j->settings.jumbo_frames,
                                         strchr(j->settings.address_first, ':') != NULL),
        .max_block_len = API_SESSION_MAX_BLOCK_LEN,
        .num_parity = API_SESSION_NUM_PARITY,
        .content_size = j->version.content_size,
        .encrypt = j->version.encrypt,
        .mac = API_SESSION_MAC,
        .gathering_delay_ms = j->settings.gathering_delay_ms,
    };

    in.object_size = api_object_size(in.content_size, in.segment_size, in.max_block_len);
    CP_TRY(db_uuid(conn, id, err));
    CP_TRY(random_instance(&in.instance_id, err));
    CP_TRY(keys_ring_secret_new(j->ctx->keyring, id, sealed, &in.secret_sealed_size, err));
    return db_session_find_or_create(conn, &in, &j->session, &j->session_made, err);
}

static enum cp_err open_secret(struct api_join *j, struct cp_error *err)
{
    return keys_ring_secret_open(j->ctx->keyring, j->session.id, j->session.secret_sealed,
                                 j->session.secret_sealed_size, j->secret, err);
}

/* A session whose secret cannot be read any more (another master key, a damaged row) is ended, and
 * another one takes its place: no state that needs a ritual. */
static enum cp_err enter_session(struct db_conn *conn, struct api_join *j, struct cp_error *err)
{
    struct cp_error why = {.code = CP_OK};
    bool changed;

    if (j->ctx->find_link != NULL) {
        j->ctx->find_link(j->settings.interface, j->settings.address_first, &j->link);
    }
    CP_TRY(find_session(conn, j, err));
    if (open_secret(j, &why) == CP_OK) {
        return CP_OK;
    }
    CP_TRY(db_session_end(conn, j->session.id, DB_SESSION_FAILED,
                          cp_err_info(CP_ERR_KEY_UNUSABLE)->code, why.text, &changed, err));
    CP_TRY(
        api_session_event(conn, &j->session, "session-failed", CP_ERR_KEY_UNUSABLE, why.text, err));
    CP_TRY(find_session(conn, j, err));
    return open_secret(j, err);
}

static enum cp_err take_place(struct db_conn *conn, struct api_join *j, struct cp_error *err)
{
    struct db_receiver_new in = {
        .node_id = j->ctx->node_id,
        .session_id = j->session.id[0] == '\0' ? NULL : j->session.id,
        .version_id = j->version.id,
        .account_id = j->call->who->account_id,
        .client_id = j->client_id,
        .client_name = j->client_name,
        .client_version = j->client_version,
        .address = j->call->rq->remote,
        .correlation_id = j->call->rq->request_id,
        .token_hash = j->token_hash,
        .lifetime_ms = RECEIVER_LIFETIME_MS,
    };

    return db_receiver_join(conn, &in, &j->receiver, &j->rejoined, err);
}

enum cp_err api_join_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct api_join *j = arg;

    memset(&j->session, 0, sizeof j->session);
    j->session_made = false;
    CP_TRY(db_access_joining(conn, err));
    CP_TRY(check_access(conn, j, err));
    CP_TRY(find_version(conn, j, err));
    CP_TRY(check_way(j, err));
    keys_multicast_done(&j->key);
    CP_TRY(keys_ring_multicast(j->ctx->keyring, conn, j->call->rq->request_id, &j->key, err));
    CP_TRY(renew_signature(conn, j, err));
    if (j->no_session == CP_OK) {
        CP_TRY(enter_session(conn, j, err));
    }
    return take_place(conn, j, err);
}

void api_join_done(struct api_join *j)
{
    keys_multicast_done(&j->key);
    keys_wipe(j->secret, sizeof j->secret);
}
