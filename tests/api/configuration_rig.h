/* SPDX-License-Identifier: Apache-2.0
 * What tests of the configuration's document share. A failure ends the test by a cmocka assertion. */
#ifndef TESTS_API_CONFIGURATION_RIG_H
#define TESTS_API_CONFIGURATION_RIG_H

#include <pthread.h>

#include "tests/api/rig.h"

#define CONFIGURATION "/api/v1/configuration"

/* Imports a document: "" or "?prune=true" and its like, JSON text. */
struct rig_answer conf_put(const char *query, const char *body);
void conf_refused(const char *query, const char *body, const char *code, const char *word);

/* How many changes an answer lists; the first one's section, name and action as one text. */
size_t conf_changes(const struct rig_answer *a, char ret_first[128]);

/* An import in a thread of its own, which asserts nothing; its status is there when it has ended. */
struct conf_importer {
    pthread_t thread;
    const char *body;
    int status;
};
void conf_import_begin(struct conf_importer *i);
void conf_import_end(struct conf_importer *i);

#endif
