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
api_handler api_openapi_get;

/* packages.c: {package} */
api_handler api_packages_list;
api_handler api_packages_create;
api_handler api_packages_get;
api_handler api_packages_update;
api_handler api_packages_delete;

/* versions.c, seal.c: {package} {version} */
api_handler api_versions_list;
api_handler api_versions_create;
api_handler api_versions_get;
api_handler api_versions_delete;
api_handler api_versions_seal;
api_handler api_versions_retire;

/* manifest.c: {package} {version} */
api_handler api_manifest_get;

/* files.c, upload.c: {package} {version} {path} */
api_handler api_files_list;
api_handler api_files_get;
api_upload_begin api_files_put;
api_handler api_files_delete;

/* content.c: {sha256} */
api_handler api_content_get;

/* nodes.c, settings.c: {dp} */
api_handler api_nodes_list;
api_handler api_nodes_get;
api_handler api_settings_get;
api_handler api_settings_update;

/* keys.c: {dp} {kind} */
api_handler api_keys_list;
api_handler api_keys_rotate;

/* accounts.c: {account}; tokens.c: {account} or {token} */
api_handler api_accounts_list;
api_handler api_accounts_create;
api_handler api_accounts_get;
api_handler api_accounts_update;
api_handler api_accounts_delete;
api_handler api_tokens_list;
api_handler api_tokens_create;
api_handler api_tokens_delete;

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

#endif
