/* SPDX-License-Identifier: Apache-2.0
 * The import of a configuration document, between its frame (configuration_import.c) and what it does
 * with each thing that the document names (configuration_items.c, and of packages
 * configuration_packages.c). One object belongs to one request. */
#ifndef API_POINT_CONFIGURATION_IMPORT_H
#define API_POINT_CONFIGURATION_IMPORT_H

#include <jansson.h>

#include "api/content/package_batch.h"
#include "api/point/configuration.h"

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

/* Items that are read together from the database, and written together to it. */
#define API_IMPORT_BATCH API_PACKAGE_BATCH_MAX
struct api_import_batch {
    size_t count;
    size_t places[API_IMPORT_BATCH]; /* in the section */
    json_t *items[API_IMPORT_BATCH]; /* borrowed; whatever the client sent */
    size_t name_count;
    const char *names[API_IMPORT_BATCH]; /* of those that have one of a possible length */
};

struct api_import_packages;

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
    struct api_import_batch batch;    /* of that section */
    struct api_import_packages *packages;
    struct db_account *accounts; /* of the batch, by name */
    size_t account_count;
    struct api_account_change account;
    struct api_consequences consequences;
    struct api_settings_change settings;
    struct api_webhook_change webhook;
};

/* A step of a section, with the section's batch. */
typedef enum cp_err api_import_step(struct db_conn *conn, struct api_import *im,
                                    struct cp_error *err);

struct api_import_section {
    const char *name;
    /* Before anything is written: locks what is going to be; NULL: nothing. */
    api_import_step *hold;
    /* Reads what there is of the batch, by few statements; NULL: each item does. */
    api_import_step *fetch;
    /* Reads one item, compares it with what there is (im->differs), and unless im->looking writes
     * what differs, or leaves that to `flush`. What is wrong is collected in f. */
    enum cp_err (*item)(struct db_conn *conn, struct api_import *im, struct api_fields *f,
                        struct cp_error *err);
    /* Writes what the batch's items have left to it; NULL: nothing. */
    api_import_step *flush;
    /* Deletes what im->section does not name; NULL: nothing can be. */
    api_import_step *prune;
    /* Last, when something was to be written: what must hold for all of it; NULL: nothing. */
    api_import_step *end;
};
extern const struct api_import_section api_import_sections[API_IMPORT_SECTIONS];

/* ---- what all sections do ---- */

/* There is a name, which the section has not had yet. */
bool api_import_first_time(struct api_import *im, struct api_fields *f, const char *name);
bool api_import_is_named(const struct api_import *im, const char *name);

/* Takes over before and after (json_null() for none). True: they differ, and it is time to write;
 * api_import_written() follows. */
bool api_import_to_write(struct api_import *im, json_t *before, json_t *after);
/* Notes the change im->before → im->after in im->changes unless it failed; gives rc back. */
enum cp_err api_import_written(struct api_import *im, const char *section, const char *name,
                               enum cp_err rc);

/* ---- packages ---- */

CP_MUST_CHECK enum cp_err api_import_packages_hold(struct db_conn *conn, struct api_import *im,
                                                   struct cp_error *err);
CP_MUST_CHECK enum cp_err api_import_packages_fetch(struct db_conn *conn, struct api_import *im,
                                                    struct cp_error *err);
CP_MUST_CHECK enum cp_err api_import_package(struct db_conn *conn, struct api_import *im,
                                             struct api_fields *f, struct cp_error *err);
CP_MUST_CHECK enum cp_err api_import_packages_flush(struct db_conn *conn, struct api_import *im,
                                                    struct cp_error *err);
CP_MUST_CHECK enum cp_err api_import_packages_prune(struct db_conn *conn, struct api_import *im,
                                                    struct cp_error *err);
void api_import_packages_free(struct api_import_packages *p);

#endif
