/* SPDX-License-Identifier: Apache-2.0
 * What the operator writes to packages and versions: a description, and labels, words by name. Pure
 * but for malloc. */
#ifndef API_CONTENT_LABELS_H
#define API_CONTENT_LABELS_H

#include <jansson.h>

#include "api/framework/fields.h"
#include "db/package.h"

#define API_LABELS_MAX 32
/* {"key":"value"} of one label, with a backslash before each byte of the value. */
#define API_LABEL_SIZE (63 + 2 * 255 + 8)

/* Field "labels", an object of texts, instead of what is there. By a PATCH it is merged into that (RFC
 * 7396): a name that is not given stays, one with null goes, and null instead of the object takes
 * all away. */
void api_labels_read(struct api_fields *f, char labels[DB_LABELS_SIZE]);

/* Field "description", of DB_TEXT_SIZE - 1 bytes at most; null in a merge patch empties it. */
void api_description_read(struct api_fields *f, char description[DB_TEXT_SIZE]);

/* As they are stored, to JSON. */
json_t *api_labels_json(const char *labels);

/* Query "label=key:value" as the JSON that db_package_list takes; NULL when absent or wrong. */
const char *api_labels_filter(struct api_fields *f, char ret_text[API_LABEL_SIZE]);

#endif
