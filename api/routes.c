/* SPDX-License-Identifier: Apache-2.0
 * The static route table: every address of docs/protocol.md section 1, who may use it, and which
 * query parameters it takes. What is not here does not exist; what has no need here cannot be
 * written. Pure data. */
#include "api/framework/router.h"

#include "api/handlers.h"

#define PACKAGE "/api/v1/packages/{package}"
#define VERSION PACKAGE "/versions/{version}"
#define DP      "/api/v1/distribution-points/{dp}"

/* The query parameters that an address takes. */
#define QUERY(...) ((const char *const[]){__VA_ARGS__, NULL})
#define PAGE       "limit", "after"
#define NO_QUERY   QUERY(NULL)

/* clang-format off */
static const struct api_route routes[] = {
    {API_GET, "/healthz", API_NEED_PUBLIC, "getHealth", NO_QUERY, api_healthz, NULL},
    {API_GET, "/readyz", API_NEED_PUBLIC, "getReadiness", NO_QUERY, api_readyz, NULL},
    {API_GET, "/api/v1", API_NEED_PUBLIC, "getService", NO_QUERY, api_service_get, NULL},
    {API_GET, "/api/v1/openapi.yaml", API_NEED_PUBLIC, "getOpenapi", NO_QUERY, api_openapi_get, NULL},
    {API_GET, "/api/docs", API_NEED_PUBLIC, "getDocs", NO_QUERY, api_docs_get, NULL},

    {API_GET, "/api/v1/packages", API_NEED_VIEWER, "listPackages",
     QUERY(PAGE, "sort", "name_prefix", "label", "multicast", "content_access"), api_packages_list, NULL},
    {API_POST, "/api/v1/packages", API_NEED_OPERATOR, "createPackage", NO_QUERY, api_packages_create, NULL},
    {API_GET, PACKAGE, API_NEED_VIEWER, "getPackage", NO_QUERY, api_packages_get, NULL},
    {API_PATCH, PACKAGE, API_NEED_OPERATOR, "updatePackage", NO_QUERY, api_packages_update, NULL},
    {API_DELETE, PACKAGE, API_NEED_OPERATOR, "deletePackage", QUERY("dry_run"), api_packages_delete, NULL},

    {API_GET, PACKAGE "/promotions", API_NEED_VIEWER, "listPromotions", QUERY(PAGE, "kind"), api_promotions_list, NULL},
    {API_POST, PACKAGE "/rollback", API_NEED_OPERATOR, "rollBackPackage", NO_QUERY, api_packages_rollback, NULL},
    {API_DELETE, PACKAGE "/current-pin", API_NEED_OPERATOR, "unpinPackage", NO_QUERY, api_packages_unpin, NULL},

    {API_GET, PACKAGE "/versions", API_NEED_VIEWER, "listVersions", QUERY(PAGE, "sort", "state"), api_versions_list, NULL},
    {API_POST, PACKAGE "/versions", API_NEED_OPERATOR, "createVersion", NO_QUERY, api_versions_create, NULL},
    {API_GET, VERSION, API_NEED_VIEWER, "getVersion", NO_QUERY, api_versions_get, NULL},
    {API_PATCH, VERSION, API_NEED_OPERATOR, "updateVersion", NO_QUERY, api_versions_update, NULL},
    {API_DELETE, VERSION, API_NEED_OPERATOR, "deleteVersion", QUERY("dry_run"), api_versions_delete, NULL},
    {API_POST, VERSION "/promote", API_NEED_OPERATOR, "promoteVersion", NO_QUERY, api_versions_promote, NULL},
    {API_POST, VERSION "/seal", API_NEED_OPERATOR, "sealVersion", NO_QUERY, api_versions_seal, NULL},
    {API_POST, VERSION "/retire", API_NEED_OPERATOR, "retireVersion", NO_QUERY, api_versions_retire, NULL},
    {API_GET, VERSION "/manifest", API_NEED_CONTENT, "getManifest", NO_QUERY, api_manifest_get, NULL},

    {API_GET, VERSION "/files", API_NEED_VIEWER, "listFiles", QUERY(PAGE, "path_prefix"), api_files_list, NULL},
    {API_GET, VERSION "/files/{path...}", API_NEED_CONTENT, "getFile", NO_QUERY, api_files_get, NULL},
    {API_PUT, VERSION "/files/{path...}", API_NEED_OPERATOR, "putFile", NO_QUERY, NULL, api_files_put},
    {API_DELETE, VERSION "/files/{path...}", API_NEED_OPERATOR, "deleteFile", NO_QUERY, api_files_delete, NULL},
    {API_GET, VERSION "/uploads", API_NEED_VIEWER, "listVersionUploads", QUERY(PAGE, "state"), api_uploads_list, NULL},
    {API_POST, VERSION "/uploads", API_NEED_OPERATOR, "createUpload", NO_QUERY, NULL, api_uploads_create},
    {API_OPTIONS, VERSION "/uploads", API_NEED_OPERATOR, "getUploadOptions", NO_QUERY, api_uploads_options, NULL},
    {API_GET, "/api/v1/uploads", API_NEED_VIEWER, "listUploads", QUERY(PAGE, "package", "state"), api_uploads_list, NULL},
    {API_GET, "/api/v1/uploads/{upload}", API_NEED_VIEWER, "getUpload", NO_QUERY, api_uploads_get, NULL},
    {API_PATCH, "/api/v1/uploads/{upload}", API_NEED_OPERATOR, "continueUpload", NO_QUERY, NULL, api_uploads_patch},
    {API_DELETE, "/api/v1/uploads/{upload}", API_NEED_OPERATOR, "deleteUpload", NO_QUERY, api_uploads_delete, NULL},
    {API_GET, "/api/v1/content/{sha256}", API_NEED_CONTENT, "getContent", NO_QUERY, api_content_get, NULL},

    {API_GET, "/api/v1/distribution-points", API_NEED_VIEWER, "listDistributionPoints", QUERY(PAGE), api_nodes_list, NULL},
    {API_GET, DP, API_NEED_VIEWER, "getDistributionPoint", NO_QUERY, api_nodes_get, NULL},
    {API_GET, DP "/settings", API_NEED_VIEWER, "getSettings", NO_QUERY, api_settings_get, NULL},
    {API_PATCH, DP "/settings", API_NEED_ADMIN, "updateSettings", NO_QUERY, api_settings_update, NULL},
    {API_GET, DP "/library", API_NEED_VIEWER, "getLibrary", NO_QUERY, api_library_get, NULL},
    {API_GET, DP "/library/blobs", API_NEED_VIEWER, "listBlobs", QUERY(PAGE, "state", "unused"), api_library_blobs, NULL},
    {API_POST, DP "/library/collect", API_NEED_OPERATOR, "collectLibrary", QUERY("dry_run"), api_library_collect, NULL},
    {API_POST, DP "/library/recount", API_NEED_OPERATOR, "recountLibrary", NO_QUERY, api_library_recount, NULL},
    {API_POST, DP "/library/validate", API_NEED_OPERATOR, "validateLibrary", NO_QUERY, api_library_validate, NULL},
    {API_GET, DP "/keys", API_NEED_VIEWER, "listKeys", QUERY(PAGE, "kind", "state"), api_keys_list, NULL},
    {API_GET, DP "/keys/{kind}", API_NEED_VIEWER, "getKeys", NO_QUERY, api_keys_get, NULL},
    {API_POST, DP "/keys/{kind}/check", API_NEED_OPERATOR, "checkKeys", NO_QUERY, api_keys_check, NULL},
    {API_POST, DP "/keys/{kind}/revoke", API_NEED_ADMIN, "revokeKey", NO_QUERY, api_keys_revoke, NULL},
    {API_POST, DP "/keys/{kind}/rotate", API_NEED_ADMIN, "rotateKey", NO_QUERY, api_keys_rotate, NULL},

    {API_GET, "/api/v1/configuration", API_NEED_ADMIN, "getConfiguration", NO_QUERY, api_configuration_get, NULL},
    {API_PUT, "/api/v1/configuration", API_NEED_ADMIN, "putConfiguration", QUERY("dry_run", "prune"), api_configuration_put, NULL},

    {API_GET, "/api/v1/accounts", API_NEED_ADMIN, "listAccounts", QUERY(PAGE, "sort", "role", "enabled"), api_accounts_list, NULL},
    {API_POST, "/api/v1/accounts", API_NEED_ADMIN, "createAccount", NO_QUERY, api_accounts_create, NULL},
    {API_GET, "/api/v1/accounts/{account}", API_NEED_ADMIN, "getAccount", NO_QUERY, api_accounts_get, NULL},
    {API_PATCH, "/api/v1/accounts/{account}", API_NEED_ADMIN, "updateAccount", NO_QUERY, api_accounts_update, NULL},
    {API_DELETE, "/api/v1/accounts/{account}", API_NEED_ADMIN, "deleteAccount", NO_QUERY, api_accounts_delete, NULL},
    {API_POST, "/api/v1/accounts/{account}/unlock", API_NEED_ADMIN, "unlockAccount", NO_QUERY, api_accounts_unlock, NULL},
    {API_GET, "/api/v1/accounts/{account}/certificates", API_NEED_ADMIN, "listCertificates", QUERY(PAGE), api_certificates_list, NULL},
    {API_POST, "/api/v1/accounts/{account}/certificates", API_NEED_ADMIN, "addCertificate", NO_QUERY, api_certificates_create, NULL},
    {API_GET, "/api/v1/certificates/{certificate}", API_NEED_ADMIN, "getCertificate", NO_QUERY, api_certificates_get, NULL},
    {API_DELETE, "/api/v1/certificates/{certificate}", API_NEED_ADMIN, "removeCertificate", NO_QUERY, api_certificates_delete, NULL},
    {API_GET, "/api/v1/accounts/{account}/tokens", API_NEED_ACCOUNT, "listTokens", QUERY(PAGE, "state"), api_tokens_list, NULL},
    {API_POST, "/api/v1/accounts/{account}/tokens", API_NEED_LOGIN, "createToken", NO_QUERY, api_tokens_create, NULL},
    {API_GET, "/api/v1/tokens", API_NEED_ADMIN, "listAllTokens", QUERY(PAGE, "account", "state"), api_tokens_list_all, NULL},
    {API_GET, "/api/v1/tokens/{token}", API_NEED_ACCOUNT, "getToken", NO_QUERY, api_tokens_get, NULL},
    {API_PATCH, "/api/v1/tokens/{token}", API_NEED_LOGIN, "updateToken", NO_QUERY, api_tokens_update, NULL},
    {API_DELETE, "/api/v1/tokens/{token}", API_NEED_LOGIN, "deleteToken", NO_QUERY, api_tokens_delete, NULL},

    {API_GET, "/api/v1/sessions", API_NEED_VIEWER, "listSessions", QUERY(PAGE, "sort", "package", "state", "live"), api_sessions_list, NULL},
    {API_GET, "/api/v1/sessions/{session}", API_NEED_VIEWER, "getSession", NO_QUERY, api_sessions_get, NULL},
    {API_POST, "/api/v1/sessions/{session}/cancel", API_NEED_OPERATOR, "cancelSession", NO_QUERY, api_sessions_cancel, NULL},
    {API_GET, "/api/v1/sessions/{session}/decisions", API_NEED_VIEWER, "listDecisions", QUERY(PAGE, "what"), api_session_decisions_list, NULL},
    {API_GET, "/api/v1/sessions/{session}/receivers", API_NEED_VIEWER, "listReceivers", QUERY(PAGE, "state"), api_session_receivers_list, NULL},

    {API_POST, "/api/v1/joins", API_NEED_CONTENT, "createJoin", NO_QUERY, api_joins_create, NULL},
    {API_GET, "/api/v1/joins/{join}", API_NEED_RECEIVER, "getJoin", NO_QUERY, api_joins_get, NULL},
    {API_PUT, "/api/v1/joins/{join}/progress", API_NEED_RECEIVER, "putProgress", NO_QUERY, api_joins_progress, NULL},
    {API_PUT, "/api/v1/joins/{join}/result", API_NEED_RECEIVER, "putResult", NO_QUERY, api_joins_result, NULL},

    {API_GET, "/api/v1/tasks", API_NEED_VIEWER, "listTasks", QUERY(PAGE, "kind", "state"), api_tasks_list, NULL},
    {API_GET, "/api/v1/tasks/{task}", API_NEED_VIEWER, "getTask", NO_QUERY, api_tasks_get, NULL},
    {API_GET, "/api/v1/tasks/{task}/log", API_NEED_VIEWER, "listTaskLog", QUERY(PAGE), api_tasks_log, NULL},
    {API_POST, "/api/v1/tasks/{task}/cancel", API_NEED_OPERATOR, "cancelTask", NO_QUERY, api_tasks_cancel, NULL},

    {API_GET, "/api/v1/events", API_NEED_VIEWER, "listEvents", QUERY(PAGE, "kind", "severity", "subject", "since"), api_events_list, NULL},
    {API_GET, "/api/v1/events/stream", API_NEED_VIEWER, "streamEvents", QUERY("after", "kind", "severity", "subject"), api_events_stream, NULL},
    {API_GET, "/api/v1/audit", API_NEED_ADMIN, "listAudit",
     QUERY(PAGE, "account", "operation", "subject", "address", "request_id", "outcome", "since", "until", "format"), api_audit_list, NULL},

    {API_GET, "/api/v1/webhooks", API_NEED_ADMIN, "listWebhooks", QUERY(PAGE, "enabled", "state"), api_webhooks_list, NULL},
    {API_POST, "/api/v1/webhooks", API_NEED_ADMIN, "createWebhook", NO_QUERY, api_webhooks_create, NULL},
    {API_GET, "/api/v1/webhooks/{webhook}", API_NEED_ADMIN, "getWebhook", NO_QUERY, api_webhooks_get, NULL},
    {API_PATCH, "/api/v1/webhooks/{webhook}", API_NEED_ADMIN, "updateWebhook", NO_QUERY, api_webhooks_update, NULL},
    {API_DELETE, "/api/v1/webhooks/{webhook}", API_NEED_ADMIN, "deleteWebhook", NO_QUERY, api_webhooks_delete, NULL},
    {API_GET, "/api/v1/webhooks/{webhook}/deliveries", API_NEED_ADMIN, "listWebhookDeliveries", QUERY(PAGE, "taken", "event"), api_webhooks_deliveries, NULL},
    {API_POST, "/api/v1/webhooks/{webhook}/test", API_NEED_ADMIN, "testWebhook", NO_QUERY, api_webhooks_test, NULL},
};
/* clang-format on */

const struct api_route *api_routes(size_t *ret_count)
{
    *ret_count = sizeof routes / sizeof routes[0];
    return routes;
}
