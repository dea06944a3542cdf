/* SPDX-License-Identifier: Apache-2.0
 * What output.c and output_files.c share: the output's state. One thread. */
#ifndef CLIENT_OUTPUT_PRIVATE_H
#define CLIENT_OUTPUT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/output.h"

enum output_kind { OUTPUT_FOLDER, OUTPUT_FILE, OUTPUT_DEVICE };

struct output_file {
    const char *path; /* below the root; borrowed from the manifest, or the output's own name */
    int fd;           /* -1: not open */
    bool resumed;     /* was there before: its bytes have to be looked at */
};

struct cl_output {
    const struct manifest *manifest;
    enum output_kind kind;
    int root;        /* folder in which the paths lie; -1 for a device */
    char *root_path; /* for messages and for removing a folder made */
    char *name;      /* OUTPUT_FILE: the file's name in the root */
    bool root_made;  /* by us */
    char **made;     /* folders made below the root, in that order */
    size_t made_count;
    struct output_file *files;
    size_t file_count;
    uint8_t *chunks;
    size_t missing;
    uint64_t bytes;
    bool committed;
};

/* CP_ERR_OUTPUT_FULL or CP_ERR_OUTPUT by errno, with "what: reason". */
CP_MUST_CHECK enum cp_err output_error(struct cp_error *err, int error, const char *what);

/* Finds the kind and opens root or device. */
CP_MUST_CHECK enum cp_err output_open_root(struct cl_output *o, const char *path,
                                           struct cp_error *err);
/* Makes or takes over the partial files. */
CP_MUST_CHECK enum cp_err output_open_files(struct cl_output *o, struct cp_error *err);
/* Gives all files their names and syncs the folders. */
CP_MUST_CHECK enum cp_err output_rename_files(struct cl_output *o, struct cp_error *err);
/* Removes partial files and folders made. */
void output_remove_files(struct cl_output *o);

#endif
