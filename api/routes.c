/* SPDX-License-Identifier: Apache-2.0
 * The static route table: every address of docs/protocol.md section 1 and who may use it. What is
 * not here does not exist; what has no need here cannot be written. Pure data. */
#include "api/framework/router.h"

#include "api/handlers.h"

#define PACKAGE "/api/v1/packages/{package}"
#define VERSION PACKAGE "/versions/{version}"
#define DP      "/api/v1/distribution-points/{dp}"

/* clang-format off */
static const struct api_route routes[] = {
    {API_GET, "/healthz", API_NEED_PUBLIC, "getHealth", api_healthz, NULL},
    {API_GET, "/readyz", API_NEED_PUBLIC, "getReadiness", api_readyz, NULL},
    {API_GET, "/api/v1", API_NEED_PUBLIC, "getService", api_service_get, NULL},
    {API_GET, "/api/v1/openapi.yaml", API_NEED_PUBLIC, "getOpenapi", api_openapi_get, NULL},
    {API_GET, "/api/docs", API_NEED_PUBLIC, "getDocs", api_docs_get, NULL},

    {API_GET, "/api/v1/packages", API_NEED_VIEWER, "listPackages", api_packages_list, NULL},
    {API_POST, "/api/v1/packages", API_NEED_OPERATOR, "createPackage", api_packages_create, NULL},
    {API_GET, PACKAGE, API_NEED_VIEWER, "getPackage", api_packages_get, NULL},
    {API_PATCH, PACKAGE, API_NEED_OPERATOR, "updatePackage", api_packages_update, NULL},
    {API_DELETE, PACKAGE, API_NEED_OPERATOR, "deletePackage", api_packages_delete, NULL},

    {API_GET, PACKAGE "/promotions", API_NEED_VIEWER, "listPromotions", api_promotions_list, NULL},
    {API_POST, PACKAGE "/rollback", API_NEED_OPERATOR, "rollBackPackage", api_packages_rollback, NULL},
    {API_DELETE, PACKAGE "/current-pin", API_NEED_OPERATOR, "unpinPackage", api_packages_unpin, NULL},

    {API_GET, PACKAGE "/versions", API_NEED_VIEWER, "listVersions", api_versions_list, NULL},
    {API_POST, PACKAGE "/versions", API_NEED_OPERATOR, "createVersion", api_versions_create, NULL},
    {API_GET, VERSION, API_NEED_VIEWER, "getVersion", api_versions_get, NULL},
    {API_PATCH, VERSION, API_NEED_OPERATOR, "updateVersion", api_versions_update, NULL},
    {API_DELETE, VERSION, API_NEED_OPERATOR, "deleteVersion", api_versions_delete, NULL},
    {API_POST, VERSION "/promote", API_NEED_OPERATOR, "promoteVersion", api_versions_promote, NULL},
    {API_POST, VERSION "/seal", API_NEED_OPERATOR, "sealVersion", api_versions_seal, NULL},
    {API_POST, VERSION "/retire", API_NEED_OPERATOR, "retireVersion", api_versions_retire, NULL},
    {API_GET, VERSION "/manifest", API_NEED_CONTENT, "getManifest", api_manifest_get, NULL},

    {API_GET, VERSION "/files", API_NEED_VIEWER, "listFiles", api_files_list, NULL},
    {API_GET, VERSION "/files/{path...}", API_NEED_CONTENT, "getFile", api_files_get, NULL},
    {API_PUT, VERSION "/files/{path...}", API_NEED_OPERATOR, "putFile", NULL, api_files_put},
    {API_DELETE, VERSION "/files/{path...}", API_NEED_OPERATOR, "deleteFile", api_files_delete, NULL},
    {API_GET, VERSION "/uploads", API_NEED_VIEWER, "listVersionUploads", api_uploads_list, NULL},
    {API_POST, VERSION "/uploads", API_NEED_OPERATOR, "createUpload", NULL, api_uploads_create},
    {API_OPTIONS, VERSION "/uploads", API_NEED_OPERATOR, "getUploadOptions", api_uploads_options, NULL},
    {API_GET, "/api/v1/uploads", API_NEED_VIEWER, "listUploads", api_uploads_list, NULL},
    {API_GET, "/api/v1/uploads/{upload}", API_NEED_VIEWER, "getUpload", api_uploads_get, NULL},
    {API_PATCH, "/api/v1/uploads/{upload}", API_NEED_OPERATOR, "continueUpload", NULL, api_uploads_patch},
    {API_DELETE, "/api/v1/uploads/{upload}", API_NEED_OPERATOR, "deleteUpload", api_uploads_delete, NULL},
    {API_GET, "/api/v1/content/{sha256}", API_NEED_CONTENT, "getContent", api_content_get, NULL},

    {API_GET, "/api/v1/distribution-points", API_NEED_VIEWER, "listDistributionPoints", api_nodes_list, NULL},
    {API_GET, DP, API_NEED_VIEWER, "getDistributionPoint", api_nodes_get, NULL},
    {API_GET, DP "/settings", API_NEED_VIEWER, "getSettings", api_settings_get, NULL},
    {API_PATCH, DP "/settings", API_NEED_ADMIN, "updateSettings", api_settings_update, NULL},
    {API_GET, DP "/library", API_NEED_VIEWER, "getLibrary", api_library_get, NULL},
    {API_GET, DP "/library/blobs", API_NEED_VIEWER, "listBlobs", api_library_blobs, NULL},
    {API_POST, DP "/library/collect", API_NEED_OPERATOR, "collectLibrary", api_library_collect, NULL},
    {API_POST, DP "/library/recount", API_NEED_OPERATOR, "recountLibrary", api_library_recount, NULL},
    {API_POST, DP "/library/validate", API_NEED_OPERATOR, "validateLibrary", api_library_validate, NULL},
    {API_GET, DP "/keys", API_NEED_VIEWER, "listKeys", api_keys_list, NULL},
    {API_GET, DP "/keys/{kind}", API_NEED_VIEWER, "getKeys", api_keys_get, NULL},
    {API_POST, DP "/keys/{kind}/check", API_NEED_OPERATOR, "checkKeys", api_keys_check, NULL},
    {API_POST, DP "/keys/{kind}/revoke", API_NEED_ADMIN, "revokeKey", api_keys_revoke, NULL},
    {API_POST, DP "/keys/{kind}/rotate", API_NEED_ADMIN, "rotateKey", api_keys_rotate, NULL},

    {API_GET, "/api/v1/configuration", API_NEED_ADMIN, "getConfiguration", api_configuration_get, NULL},
    {API_PUT, "/api/v1/configuration", API_NEED_ADMIN, "putConfiguration", api_configuration_put, NULL},

    {API_GET, "/api/v1/accounts", API_NEED_ADMIN, "listAccounts", api_accounts_list, NULL},
    {API_POST, "/api/v1/accounts", API_NEED_ADMIN, "createAccount", api_accounts_create, NULL},
    {API_GET, "/api/v1/accounts/{account}", API_NEED_ADMIN, "getAccount", api_accounts_get, NULL},
    {API_PATCH, "/api/v1/accounts/{account}", API_NEED_ADMIN, "updateAccount", api_accounts_update, NULL},
    {API_DELETE, "/api/v1/accounts/{account}", API_NEED_ADMIN, "deleteAccount", api_accounts_delete, NULL},
    {API_POST, "/api/v1/accounts/{account}/unlock", API_NEED_ADMIN, "unlockAccount", api_accounts_unlock, NULL},
    {API_GET, "/api/v1/accounts/{account}/certificates", API_NEED_ADMIN, "listCertificates", api_certificates_list, NULL},
    {API_POST, "/api/v1/accounts/{account}/certificates", API_NEED_ADMIN, "addCertificate", api_certificates_create, NULL},
    {API_GET, "/api/v1/certificates/{certificate}", API_NEED_ADMIN, "getCertificate", api_certificates_get, NULL},
    {API_DELETE, "/api/v1/certificates/{certificate}", API_NEED_ADMIN, "removeCertificate", api_certificates_delete, NULL},
    {API_GET, "/api/v1/accounts/{account}/tokens", API_NEED_ACCOUNT, "listTokens", api_tokens_list, NULL},
    {API_POST, "/api/v1/accounts/{account}/tokens", API_NEED_LOGIN, "createToken", api_tokens_create, NULL},
    {API_GET, "/api/v1/tokens", API_NEED_ADMIN, "listAllTokens", api_tokens_list_all, NULL},
    {API_GET, "/api/v1/tokens/{token}", API_NEED_ACCOUNT, "getToken", api_tokens_get, NULL},
    {API_PATCH, "/api/v1/tokens/{token}", API_NEED_LOGIN, "updateToken", api_tokens_update, NULL},
    {API_DELETE, "/api/v1/tokens/{token}", API_NEED_LOGIN, "deleteToken", api_tokens_delete, NULL},

    {API_GET, "/api/v1/sessions", API_NEED_VIEWER, "listSessions", api_sessions_list, NULL},
    {API_GET, "/api/v1/sessions/{session}", API_NEED_VIEWER, "getSession", api_sessions_get, NULL},
    {API_POST, "/api/v1/sessions/{session}/cancel", API_NEED_OPERATOR, "cancelSession", api_sessions_cancel, NULL},
    {API_GET, "/api/v1/sessions/{session}/decisions", API_NEED_VIEWER, "listDecisions", api_session_decisions_list, NULL},
    {API_GET, "/api/v1/sessions/{session}/receivers", API_NEED_VIEWER, "listReceivers", api_session_receivers_list, NULL},

    {API_POST, "/api/v1/joins", API_NEED_CONTENT, "createJoin", api_joins_create, NULL},
    {API_GET, "/api/v1/joins/{join}", API_NEED_RECEIVER, "getJoin", api_joins_get, NULL},
    {API_PUT, "/api/v1/joins/{join}/progress", API_NEED_RECEIVER, "putProgress", api_joins_progress, NULL},
    {API_PUT, "/api/v1/joins/{join}/result", API_NEED_RECEIVER, "putResult", api_joins_result, NULL},

    {API_GET, "/api/v1/tasks", API_NEED_VIEWER, "listTasks", api_tasks_list, NULL},
    {API_GET, "/api/v1/tasks/{task}", API_NEED_VIEWER, "getTask", api_tasks_get, NULL},
    {API_GET, "/api/v1/tasks/{task}/log", API_NEED_VIEWER, "listTaskLog", api_tasks_log, NULL},
    {API_POST, "/api/v1/tasks/{task}/cancel", API_NEED_OPERATOR, "cancelTask", api_tasks_cancel, NULL},

    {API_GET, "/api/v1/events", API_NEED_VIEWER, "listEvents", api_events_list, NULL},
    {API_GET, "/api/v1/events/stream", API_NEED_VIEWER, "streamEvents", api_events_stream, NULL},
    {API_GET, "/api/v1/audit", API_NEED_ADMIN, "listAudit", api_audit_list, NULL},

    {API_GET, "/api/v1/webhooks", API_NEED_ADMIN, "listWebhooks", api_webhooks_list, NULL},
    {API_POST, "/api/v1/webhooks", API_NEED_ADMIN, "createWebhook", api_webhooks_create, NULL},
    {API_GET, "/api/v1/webhooks/{webhook}", API_NEED_ADMIN, "getWebhook", api_webhooks_get, NULL},
    {API_PATCH, "/api/v1/webhooks/{webhook}", API_NEED_ADMIN, "updateWebhook", api_webhooks_update, NULL},
    {API_DELETE, "/api/v1/webhooks/{webhook}", API_NEED_ADMIN, "deleteWebhook", api_webhooks_delete, NULL},
    {API_GET, "/api/v1/webhooks/{webhook}/deliveries", API_NEED_ADMIN, "listWebhookDeliveries", api_webhooks_deliveries, NULL},
    {API_POST, "/api/v1/webhooks/{webhook}/test", API_NEED_ADMIN, "testWebhook", api_webhooks_test, NULL},
};
/* clang-format on */

const struct api_route *api_routes(size_t *ret_count)
{
    *ret_count = sizeof routes / sizeof routes[0];
    return routes;
}
