/* SPDX-License-Identifier: Apache-2.0
 * Tests of client/output: folder, file, device, resumption, a full disk, and that nothing half-written is
 * ever to be seen. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/output.h"
#include "content/object_map.h"
#include "tests/support/folder.h"

#define MIB ((size_t)CONTENT_CHUNK_SIZE)

/* Three files of 5 MiB and a bit: chunk 2 is zeros, chunks 1 and 3 straddle files. */
#define SIZE_A (MIB + 1000)
#define SIZE_B (2 * MIB + 500)
#define SIZE_C (2 * MIB + 77)
#define STREAM (SIZE_A + SIZE_B + SIZE_C)

struct fixture {
    char root[FOLDER_SIZE];
    char target[128];
    uint8_t *data;
    struct manifest *m; /* three files */
    struct manifest *single;
};

static struct manifest *make(const struct manifest_file *files, size_t count, const uint8_t *data,
                             size_t size)
{
    struct manifest_parts parts = {
        .package = "p", .version = 1, .files = files, .file_count = count};
    struct content_chunker *c;
    struct content_chunk *chunks;
    struct manifest *m;

    assert_int_equal(content_chunker_new(&c), CP_OK);
    assert_int_equal(content_chunker_add(c, data, size), CP_OK);
    assert_int_equal(content_chunker_finish(c, &chunks, &parts.chunk_count), CP_OK);
    content_chunker_free(c);
    parts.chunks = chunks;
    assert_int_equal(manifest_new(&parts, &m, NULL), CP_OK);
    free(chunks);
    return m;
}

static int setup(void **state)
{
    static const struct manifest_file files[] = {{.path = "a", .size = SIZE_A, .mode = 0644},
                                                 {.path = "sub/b", .size = SIZE_B, .mode = 0755},
                                                 {.path = "sub/x/c", .size = SIZE_C, .mode = 0600}};
    static const struct manifest_file one = {.path = "disk.img", .size = STREAM, .mode = 0640};
    struct fixture *f = calloc(1, sizeof *f);

    if (!folder_make("output", f->root)) {
        return -1;
    }
    (void)snprintf(f->target, sizeof f->target, "%s/out", f->root);
    f->data = malloc(STREAM);
    for (size_t i = 0; i < STREAM; i++) {
        f->data[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    memset(f->data + 2 * MIB, 0, MIB);
    f->m = make(files, 3, f->data, STREAM);
    f->single = make(&one, 1, f->data, STREAM);
    assert_true(f->m->chunks[2].zero);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    folder_remove(f->root);
    manifest_free(f->m);
    manifest_free(f->single);
    free(f->data);
    free(f);
    return 0;
}

static size_t entries_seen;
static int count_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)path;
    (void)st;
    (void)type;
    entries_seen += ftw->level > 0;
    return 0;
}

/* Files and folders below a folder. */
static size_t entries(const char *path)
{
    entries_seen = 0;
    assert_int_equal(nftw(path, count_entry, 8, FTW_PHYS), 0);
    return entries_seen;
}

static void write_chunk(const struct fixture *f, struct cl_output *o, size_t chunk)
{
    assert_int_equal(cl_output_write_chunk(o, chunk, f->data + chunk * MIB, NULL), CP_OK);
}

static void write_missing(const struct fixture *f, struct cl_output *o)
{
    for (size_t i = 0; i < f->m->chunk_count; i++) {
        if (cl_output_chunks(o)[i] == 0) {
            write_chunk(f, o, i);
        }
    }
}

static void assert_file(const char *folder, const char *name, const uint8_t *data, size_t size,
                        mode_t mode)
{
    uint8_t *found = malloc(size + 1);
    char path[256];
    struct stat st;
    FILE *file;

    (void)snprintf(path, sizeof path, "%s%s", folder, name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, size);
    assert_int_equal(st.st_mode & 07777, mode);
    file = fopen(path, "re");
    assert_int_equal(fread(found, 1, size + 1, file), size);
    (void)fclose(file);
    assert_memory_equal(found, data, size);
    free(found);
}

static void assert_folder(const struct fixture *f)
{
    mode_t mask = umask(0);

    (void)umask(mask);
    assert_file(f->target, "/a", f->data, SIZE_A, 0644 & ~mask);
    assert_file(f->target, "/sub/b", f->data + SIZE_A, SIZE_B, 0755 & ~mask);
    assert_file(f->target, "/sub/x/c", f->data + SIZE_A + SIZE_B, SIZE_C, 0600 & ~mask);
    assert_int_equal(entries(f->target), 5); /* three files, two folders, no partial file */
}

static void folder_is_filled(void **state)
{
    const struct fixture *f = *state;
    struct cl_output *o;

    assert_int_equal(cl_output_open(f->target, f->m, NULL, &o, NULL), CP_OK);
    assert_int_equal(cl_output_missing(o), f->m->chunk_count - 1); /* the zero chunk is there */
    assert_int_equal(cl_output_bytes(o), MIB);
    write_missing(f, o);
    assert_int_equal(cl_output_missing(o), 0);
    assert_int_equal(cl_output_bytes(o), STREAM);
    assert_int_equal(cl_output_commit(o, NULL), CP_OK);
    cl_output_close(o);
    assert_folder(f);
}

/* Until commit, no target has its name; afterwards, old content was replaced. */
static void nothing_is_visible_before_the_end(void **state)
{
    const struct fixture *f = *state;
    char path[256];
    struct cl_output *o;
    struct stat st;
    FILE *old;

    assert_int_equal(mkdir(f->target, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/a", f->target);
    old = fopen(path, "we");
    assert_true(fputs("old", old) >= 0);
    (void)fclose(old);
    assert_int_equal(cl_output_open(f->target, f->m, NULL, &o, NULL), CP_OK);
    write_missing(f, o);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 3);
    (void)snprintf(path, sizeof path, "%s/sub/b", f->target);
    assert_int_not_equal(stat(path, &st), 0);
    assert_int_equal(cl_output_commit(o, NULL), CP_OK);
    cl_output_close(o);
    assert_folder(f);
}

static void giving_up_leaves_nothing(void **state)
{
    const struct fixture *f = *state;
    struct cl_output *o;

    assert_int_equal(cl_output_open(f->target, f->m, NULL, &o, NULL), CP_OK);
    write_chunk(f, o, 0);
    cl_output_close(o);
    assert_int_equal(entries(f->root), 0); /* not even the folder that was made */
    assert_int_equal(mkdir(f->target, 0755), 0);
    assert_int_equal(cl_output_open(f->target, f->m, NULL, &o, NULL), CP_OK);
    cl_output_close(o);
    assert_int_equal(entries(f->root), 1); /* a folder of the user's stays */
    cl_output_close(NULL);
}

static void single_file_goes_to_a_file_or_folder(void **state)
{
    const struct fixture *f = *state;
    mode_t mask = umask(0);
    struct cl_output *o;
    struct stat st;

    (void)umask(mask);
    assert_int_equal(cl_output_open(f->target, f->single, NULL, &o, NULL), CP_OK);
    write_missing(f, o);
    assert_int_equal(cl_output_commit(o, NULL), CP_OK);
    cl_output_close(o);
    assert_file(f->target, "", f->data, STREAM, 0640 & ~mask);
    assert_int_equal(stat(f->target, &st), 0);
    assert_true((size_t)st.st_blocks * 512 < STREAM - MIB / 2); /* the zero chunk is a hole */
    assert_int_equal(entries(f->root), 1);
    /* an existing folder: below it, under the name of the manifest */
    assert_int_equal(cl_output_open(f->root, f->single, NULL, &o, NULL), CP_OK);
    write_missing(f, o);
    assert_int_equal(cl_output_commit(o, NULL), CP_OK);
    cl_output_close(o);
    assert_file(f->root, "/disk.img", f->data, STREAM, 0640 & ~mask);
}

/* A run that is killed: its partial files stay, and the next run believes only their bytes. */
static void killed_run_is_resumed(void **state)
{
    const struct fixture *f = *state;
    struct cl_output *o;
    char path[256];
    pid_t child = fork();
    int status, fd;

    if (child == 0) {
        if (cl_output_open(f->target, f->m, NULL, &o, NULL) != CP_OK ||
            cl_output_write_chunk(o, 0, f->data, NULL) != CP_OK ||
            cl_output_write_chunk(o, 1, f->data + MIB, NULL) != CP_OK ||
            cl_output_write_chunk(o, 3, f->data + 3 * MIB, NULL) != CP_OK) {
            _exit(1);
        }
        (void)raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    (void)snprintf(path, sizeof path, "%s/a", f->target);
    assert_int_not_equal(access(path, F_OK), 0);
    /* Damage: one byte of chunk 0, and a byte where the manifest says zeros. */
    (void)snprintf(path, sizeof path, "%s/a%s", f->target, CL_PARTIAL_SUFFIX);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "\0", 1, 77), 1);
    (void)close(fd);
    (void)snprintf(path, sizeof path, "%s/sub/b%s", f->target, CL_PARTIAL_SUFFIX);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "!", 1, (off_t)(2 * MIB + 100 - SIZE_A)), 1);
    (void)close(fd);
    assert_int_equal(cl_output_open(f->target, f->m, NULL, &o, NULL), CP_OK);
    assert_int_equal(cl_output_chunks(o)[0], 0);
    assert_int_equal(cl_output_chunks(o)[1], 1);
    assert_int_equal(cl_output_chunks(o)[2], 1);
    assert_int_equal(cl_output_chunks(o)[3], 1);
    assert_int_equal(cl_output_chunks(o)[4], 0);
    write_missing(f, o);
    assert_int_equal(cl_output_commit(o, NULL), CP_OK);
    cl_output_close(o);
    assert_folder(f);
}

/* Looking at what a killed run left may take long on a large image: a signal ends it. */
static void looking_can_be_stopped(void **state)
{
    const struct fixture *f = *state;
    const atomic_bool stop = true;
    struct cl_output *o;
    char path[256];
    int fd;

    assert_int_equal(cl_output_open(f->target, f->single, &stop, &o, NULL), CP_OK);
    cl_output_close(o); /* nothing was there to look at */
    (void)snprintf(path, sizeof path, "%s%s", f->target, CL_PARTIAL_SUFFIX);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    (void)close(fd);
    assert_int_equal(cl_output_open(f->target, f->single, &stop, &o, NULL), CP_ERR_INTERRUPTED);
}

static void two_runs_do_not_mix(void **state)
{
    const struct fixture *f = *state;
    struct cl_output *o, *other;
    struct cp_error err;

    assert_int_equal(cl_output_open(f->target, f->m, NULL, &o, NULL), CP_OK);
    assert_int_equal(cl_output_open(f->target, f->m, NULL, &other, &err), CP_ERR_OUTPUT);
    assert_non_null(strstr(err.text, "another castget"));
    write_missing(f, o);
    assert_int_equal(cl_output_commit(o, NULL), CP_OK); /* the refused one removed nothing */
    cl_output_close(o);
    assert_folder(f);
}

static void bad_targets_are_refused(void **state)
{
    const struct fixture *f = *state;
    struct cl_output *o;
    struct cp_error err;
    char path[256];

    assert_int_equal(cl_output_open("/no/such/folder/file", f->single, NULL, &o, &err),
                     CP_ERR_OUTPUT);
    assert_non_null(strstr(err.text, "/no/such/folder"));
    assert_int_equal(cl_output_open("/dev/null", f->single, NULL, &o, &err), CP_ERR_OUTPUT);
    /* a folder where a file is to be */
    (void)snprintf(path, sizeof path, "%s/disk.img", f->root);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(cl_output_open(f->root, f->single, NULL, &o, &err), CP_ERR_OUTPUT);
    assert_non_null(strstr(err.text, "disk.img"));
    /* a link on the way out of the folder */
    (void)snprintf(path, sizeof path, "%s/sub", f->root);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(cl_output_open(f->root, f->m, NULL, &o, &err), CP_ERR_OUTPUT);
    assert_int_equal(entries(f->root), 2);
}

static void own_suffix_is_reserved(void **state)
{
    static const struct manifest_file file = {.path = "x" CL_PARTIAL_SUFFIX, .size = 3};
    const struct fixture *f = *state;
    struct manifest *m = make(&file, 1, f->data, 3);
    struct cl_output *o;
    struct cp_error err;

    assert_int_equal(cl_output_open(f->target, m, NULL, &o, &err), CP_ERR_OUTPUT);
    assert_non_null(strstr(err.text, CL_PARTIAL_SUFFIX));
    manifest_free(m);
}

static void longest_names_fit(void **state)
{
    const struct fixture *f = *state;
    char name[256];
    struct manifest_file file = {.path = name, .size = 3, .mode = 0600};
    struct manifest *m;
    struct cl_output *o;

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    m = make(&file, 1, f->data, 3);
    assert_int_equal(mkdir(f->target, 0755), 0);
    assert_int_equal(cl_output_open(f->target, m, NULL, &o, NULL), CP_OK);
    write_chunk(f, o, 0);
    assert_int_equal(cl_output_commit(o, NULL), CP_OK);
    cl_output_close(o);
    assert_int_equal(entries(f->target), 1);
    manifest_free(m);
}

/* A file system of 3 MiB for 4 MiB of content: refused before a byte is fetched; and when it runs
 * full on the way, the write says so. */
static void full_disk_is_told(void **state)
{
    const struct fixture *f = *state;
    struct cl_output *o;
    struct cp_error err;
    enum cp_err code = CP_OK;
    char path[256];
    FILE *filler;

    assert_int_equal(mkdir(f->target, 0755), 0);
    if (mount("tmpfs", f->target, "tmpfs", 0, "size=3m") != 0) {
        fail_msg("needs root, to mount a small tmpfs");
    }
    assert_int_equal(cl_output_open(f->target, f->m, NULL, &o, &err), CP_ERR_OUTPUT_FULL);
    assert_non_null(strstr(err.text, "has room for"));
    assert_int_equal(entries(f->target), 0);
    assert_int_equal(mount("tmpfs", f->target, "tmpfs", MS_REMOUNT, "size=6m"), 0);
    assert_int_equal(cl_output_open(f->target, f->m, NULL, &o, &err), CP_OK);
    (void)snprintf(path, sizeof path, "%s/filler", f->target);
    filler = fopen(path, "we"); /* somebody else takes the room meanwhile */
    assert_int_equal(fwrite(f->data, 1, 4 * MIB, filler), 4 * MIB);
    (void)fclose(filler);
    for (size_t i = 0; i < f->m->chunk_count && code == CP_OK; i++) {
        code = cl_output_write_chunk(o, i, f->data + i * MIB, &err);
    }
    assert_int_equal(code, CP_ERR_OUTPUT_FULL);
    cl_output_close(o);
    assert_int_equal(entries(f->target), 1); /* the filler */
    assert_int_equal(umount(f->target), 0);
}

/* A loop device over a file of `size` bytes full of noise; -1 when that is not allowed here. */
static int make_device(const struct fixture *f, off_t size, char *ret_path, size_t path_size)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
    int file = memfd_create("device", MFD_CLOEXEC);
    int device;

    if (control >= 0) {
        (void)close(control);
    }
    (void)snprintf(ret_path, path_size, "/dev/loop%d", number);
    device = number < 0 ? -1 : open(ret_path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(file, f->data, 2 * MIB, (off_t)(2 * MIB)), 2 * MIB);
    assert_int_equal(ftruncate(file, size), 0);
    if (device >= 0 && ioctl(device, LOOP_SET_FD, file) != 0) {
        (void)close(device);
        device = -1;
    }
    (void)close(file);
    return device;
}

static void device_is_written(void **state)
{
    const struct fixture *f = *state;
    uint8_t *found = malloc(STREAM);
    char path[32];
    struct cl_output *o;
    struct cp_error err;
    int device = make_device(f, 8 * MIB, path, sizeof path);

    if (device < 0) {
        free(found);
        skip();
    }
    assert_int_equal(cl_output_open(path, f->m, NULL, &o, &err), CP_ERR_OUTPUT); /* three files */
    assert_int_equal(cl_output_open(path, f->single, NULL, &o, &err), CP_OK);
    write_missing(f, o);
    assert_int_equal(cl_output_commit(o, NULL), CP_OK);
    cl_output_close(o);
    assert_int_equal(pread(device, found, STREAM, 0), STREAM);
    assert_memory_equal(found, f->data, STREAM); /* the noise under the zero chunk is gone */
    (void)ioctl(device, LOOP_CLR_FD);
    (void)close(device);
    free(found);
}

static void small_device_is_refused(void **state)
{
    const struct fixture *f = *state;
    char path[32];
    struct cl_output *o;
    struct cp_error err;
    int device = make_device(f, 5 * MIB, path, sizeof path);

    if (device < 0) {
        skip();
    }
    assert_int_equal(cl_output_open(path, f->single, NULL, &o, &err), CP_ERR_OUTPUT_FULL);
    assert_non_null(strstr(err.text, "5242880"));
    (void)ioctl(device, LOOP_CLR_FD);
    (void)close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folder_is_filled, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_visible_before_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(giving_up_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(single_file_goes_to_a_file_or_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_run_is_resumed, setup, teardown),
        cmocka_unit_test_setup_teardown(looking_can_be_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(two_runs_do_not_mix, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_targets_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(own_suffix_is_reserved, setup, teardown),
        cmocka_unit_test_setup_teardown(longest_names_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(full_disk_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(device_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(small_device_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
