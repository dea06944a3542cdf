/* SPDX-License-Identifier: Apache-2.0
 * The import of a configuration document, between its frame (configuration_import.c) and what it does
 * with each thing that the document names (configuration_items.c). One object belongs to one request. */
#ifndef API_POINT_CONFIGURATION_IMPORT_H
#define API_POINT_CONFIGURATION_IMPORT_H

#include <jansson.h>

#include "api/point/configuration.h"
#include "db/version.h"

#define API_IMPORT_SECTIONS 4
/* With what was before and after; of more only the number is kept. */
#define API_IMPORT_SHOWN 1000

enum api_import_action {
    API_IMPORT_CREATE,
    API_IMPORT_CHANGE,
    API_IMPORT_DELETE,
    API_IMPORT_ACTIONS
};

/* What the look at a section found. */
struct api_import_found {
    json_t *names; /* that it gives; NULL: the document does not have the section */
    bool *differs; /* of each item: it is not what there is */
};

struct api_import {
    const struct api_context *ctx;
    const struct api_call *call;
    struct api_fields f;
    bool prune, dry_run;
    bool looking;    /* nothing is written yet */
    bool differs;    /* the item at hand does */
    bool access;     /* content access is changed: what follows from that comes last */
    bool refused;    /* the document is wrong: f has the errors */
    bool held_back;  /* all went well, and it is rolled back because it is a dry run */
    json_t *changes; /* the first API_IMPORT_SHOWN of them */
    size_t counts[API_IMPORT_ACTIONS];
    json_t *left;           /* what cannot be here, and stays as it is; as many at most */
    json_t *before, *after; /* of the item at hand */
    struct api_import_found found[API_IMPORT_SECTIONS];
    struct api_import_found *section; /* that is read */
    struct api_package_change package;
    struct db_version version;
    struct api_account_change account;
    struct api_settings_change settings;
    struct api_webhook_change webhook;
};

struct api_import_section {
    const char *name;
    /* Reads one item, compares it with what there is (im->differs), and unless im->looking writes
     * what differs, with a note in im->changes. What is wrong is collected in f. */
    enum cp_err (*item)(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                        struct cp_error *err);
    /* Deletes what im->section does not name; NULL: nothing can be. */
    enum cp_err (*prune)(struct db_conn *conn, struct api_import *im, struct cp_error *err);
};
extern const struct api_import_section api_import_sections[API_IMPORT_SECTIONS];

#endif
