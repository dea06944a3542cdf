/* SPDX-License-Identifier: Apache-2.0
 * Every handler of the route table (routes.c), one list. A handler runs after authentication and
 * the route's check of the role; path parameters come in the pattern's order. Thread-safe. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "api/api.h"

/* service.c */
api_handler api_healthz;
api_handler api_readyz;
api_handler api_service_get;
api_handler api_openapi_get, api_docs_get;

/* packages.c: {package} */
api_handler api_packages_list;
api_handler api_packages_create;
api_handler api_packages_get;
api_handler api_packages_update;
api_handler api_packages_delete;

/* configuration.c, configuration_import.c */
api_handler api_configuration_get;
api_handler api_configuration_put;

/* promotions.c: {package}, {version} */
api_handler api_versions_promote;
api_handler api_packages_rollback;
api_handler api_packages_unpin;
api_handler api_promotions_list;

/* versions.c, seal.c: {package} {version} */
api_handler api_versions_list;
api_handler api_versions_create;
api_handler api_versions_get;
api_handler api_versions_update;
api_handler api_versions_delete;
api_handler api_versions_seal;
api_handler api_versions_retire;

/* manifest.c: {package} {version} */
api_handler api_manifest_get;

/* files.c, upload_put.c: {package} {version} {path} */
api_handler api_files_list;
api_handler api_files_get;
api_upload_begin api_files_put;
api_handler api_files_delete;

/* tus.c, tus_uploads.c: {package} {version}, {upload} or nothing */
api_handler api_uploads_list;
api_upload_begin api_uploads_create;
api_handler api_uploads_options;
api_handler api_uploads_get;
api_upload_begin api_uploads_patch;
api_handler api_uploads_delete;

/* content.c: {sha256} */
api_handler api_content_get;

/* nodes.c, settings.c: {dp} */
api_handler api_nodes_list;
api_handler api_nodes_get;
api_handler api_settings_get;
api_handler api_settings_update;

/* library.c: {dp} */
api_handler api_library_get;
api_handler api_library_blobs;
api_handler api_library_collect;
api_handler api_library_recount;
api_handler api_library_validate;

/* keys.c: {dp} {kind} */
api_handler api_keys_list;
api_handler api_keys_get;
api_handler api_keys_check;
api_handler api_keys_rotate;
api_handler api_keys_revoke;

/* accounts.c: {account}; tokens.c: {account} or {token} */
api_handler api_accounts_list;
api_handler api_accounts_create;
api_handler api_accounts_get;
api_handler api_accounts_update;
api_handler api_accounts_delete;
api_handler api_accounts_unlock;
api_handler api_tokens_list;
api_handler api_tokens_create;
api_handler api_tokens_list_all;
api_handler api_tokens_get;
api_handler api_tokens_update;
api_handler api_tokens_delete;

/* certificates.c: {account} or {certificate} */
api_handler api_certificates_list;
api_handler api_certificates_create;
api_handler api_certificates_get;
api_handler api_certificates_delete;

/* sessions.c, receivers.c, decisions.c: {session} */
api_handler api_sessions_list;
api_handler api_sessions_get;
api_handler api_sessions_cancel;
api_handler api_session_receivers_list;
api_handler api_session_decisions_list;

/* joins.c: {join} */
api_handler api_joins_create;
api_handler api_joins_get;
api_handler api_joins_progress;
api_handler api_joins_result;

/* tasks.c: {task} */
api_handler api_tasks_list;
api_handler api_tasks_get;
api_handler api_tasks_cancel;
api_handler api_tasks_log;

/* events.c */
api_handler api_events_list;
api_handler api_events_stream;

/* audit_list.c */
api_handler api_audit_list;

/* webhooks.c: {webhook} */
api_handler api_webhooks_list;
api_handler api_webhooks_create;
api_handler api_webhooks_get;
api_handler api_webhooks_update;
api_handler api_webhooks_delete;
api_handler api_webhooks_deliveries;
api_handler api_webhooks_test;

#endif
