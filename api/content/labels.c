/* SPDX-License-Identifier: Apache-2.0
 * Labels and descriptions: checks and merging. Pure but for malloc. */
#include "api/content/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX   63
#define VALUE_MAX 255

#define KEY_RULE "of a-z, 0-9, '.', '_', '/', '-', 1 to 63 of them, the first a letter or digit"

static bool key_ok(const char *key)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._/-";

    return key[0] != '\0' && strchr(first, key[0]) != NULL && key[strspn(key, rest)] == '\0' &&
           strlen(key) <= KEY_MAX;
}

static bool value_ok(const char *value)
{
    for (const char *p = value; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            return false;
        }
    }
    return strlen(value) <= VALUE_MAX;
}

static void merge_one(struct api_fields *f, json_t *labels, const char *key, json_t *value)
{
    if (!key_ok(key)) {
        api_field_error(f, "labels", "has the name '%.80s': names are " KEY_RULE, key);
    } else if (json_is_null(value) && f->rq->method == API_PATCH) {
        (void)json_object_del(labels, key);
    } else if (!json_is_string(value) || !value_ok(json_string_value(value))) {
        api_field_error(f, "labels",
                        "has under '%s' something else than text of up to %d bytes without control "
                        "characters",
                        key, VALUE_MAX);
    } else {
        (void)json_object_set(labels, key, value);
    }
}

static void store(struct api_fields *f, const json_t *labels, char ret_labels[DB_LABELS_SIZE])
{
    char *text;

    if (json_object_size(labels) > API_LABELS_MAX) {
        api_field_error(f, "labels", "must not be more than %d", API_LABELS_MAX);
        return;
    }
    text = json_dumps(labels, JSON_COMPACT);
    if (text != NULL) {
        CP_ASSERT(strlen(text) < DB_LABELS_SIZE);
        memcpy(ret_labels, text, strlen(text) + 1);
    }
    free(text);
}

void api_labels_read(struct api_fields *f, char labels[DB_LABELS_SIZE])
{
    json_t *given;
    json_t *merged;
    const char *key;
    json_t *value;

    if (f->rq->method == API_PATCH && api_field_null(f, "labels")) {
        (void)snprintf(labels, DB_LABELS_SIZE, "{}");
        return;
    }
    given = api_field_object(f, "labels", API_OPTIONAL);
    if (given == NULL) {
        return;
    }
    merged = f->rq->method == API_PATCH ? api_labels_json(labels) : json_object();
    json_object_foreach(given, key, value)
    {
        merge_one(f, merged, key, value);
    }
    store(f, merged, labels);
    json_decref(merged);
}

void api_description_read(struct api_fields *f, char description[DB_TEXT_SIZE])
{
    const char *text;

    if (f->rq->method == API_PATCH && api_field_null(f, "description")) {
        description[0] = '\0';
        return;
    }
    text = api_field_string(f, "description", API_OPTIONAL, 0, DB_TEXT_SIZE - 1);
    if (text != NULL) {
        (void)snprintf(description, DB_TEXT_SIZE, "%s", text);
    }
}

json_t *api_labels_json(const char *labels)
{
    json_t *value = labels[0] != '\0' ? json_loads(labels, 0, NULL) : NULL;

    return value != NULL ? value : json_object();
}

const char *api_labels_filter(struct api_fields *f, char ret_text[API_LABEL_SIZE])
{
    const char *text = api_field_string(f, "label", API_OPTIONAL, 2, KEY_MAX + 1 + VALUE_MAX);
    const char *colon = text != NULL ? strchr(text, ':') : NULL;
    char key[KEY_MAX + 1];
    json_t *label;
    size_t size;

    if (text == NULL) {
        return NULL;
    }
    (void)snprintf(key, sizeof key, "%.*s", colon != NULL ? (int)(colon - text) : 0, text);
    if (colon == NULL || colon - text > KEY_MAX || !key_ok(key) || !value_ok(colon + 1)) {
        api_field_error(f, "label", "must be name:value; a name is " KEY_RULE);
        return NULL;
    }
    label = json_pack("{s:s}", key, colon + 1);
    size = label != NULL ? json_dumpb(label, ret_text, API_LABEL_SIZE - 1, JSON_COMPACT) : 0;
    json_decref(label);
    if (size == 0 || size >= API_LABEL_SIZE) {
        api_field_error(f, "label", "must be UTF-8");
        return NULL;
    }
    ret_text[size] = '\0';
    return ret_text;
}
