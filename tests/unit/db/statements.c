/* SPDX-License-Identifier: Apache-2.0
 * Reads this program's own table of symbols. */
#include "tests/unit/db/statements.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct visitor {
    void (*visit)(void *arg, const struct db_stmt *stmt);
    void *arg;
    size_t count;
};

/* "list_stmt", and "list_stmt.0" for one within a function. */
static bool ends_in(const char *name, const char *tail)
{
    size_t size = strcspn(name, ".");
    size_t tail_size = strlen(tail);

    return size >= tail_size && memcmp(name + size - tail_size, tail, tail_size) == 0;
}

/* Under ASan an array is followed by poisoned bytes, which its symbol's size counts in. */
__attribute__((no_sanitize("address"))) static void take(struct visitor *v, const void *at,
                                                         size_t size)
{
    const struct db_stmt *s = at;

    for (size_t i = 0; i < size / sizeof *s; i++) {
        if (s[i].name != NULL) {
            v->visit(v->arg, &s[i]);
            v->count++;
        }
    }
}

static int find_base(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    *(uintptr_t *)arg = info->dlpi_addr;
    return 1; /* the program itself comes first */
}

static const ElfW(Shdr) * find_section(const char *file, ElfW(Word) type)
{
    const ElfW(Ehdr) *head = (const void *)file;
    const ElfW(Shdr) *sections = (const void *)(file + head->e_shoff);

    for (size_t i = 0; i < head->e_shnum; i++) {
        if (sections[i].sh_type == type) {
            return &sections[i];
        }
    }
    fail_msg("%s", "this program was stripped of its symbols");
    return NULL;
}

static void walk(const char *file, struct visitor *v)
{
    const ElfW(Ehdr) *head = (const void *)file;
    const ElfW(Shdr) *sections = (const void *)(file + head->e_shoff);
    const ElfW(Shdr) *table = find_section(file, SHT_SYMTAB);
    const ElfW(Sym) *symbols = (const void *)(file + table->sh_offset);
    const char *names = file + sections[table->sh_link].sh_offset;
    uintptr_t base = 0;

    (void)dl_iterate_phdr(find_base, &base);
    for (size_t i = 0; i < table->sh_size / sizeof *symbols; i++) {
        const char *name = names + symbols[i].st_name;
        bool one = ends_in(name, "_stmt");

        if (ELF64_ST_TYPE(symbols[i].st_info) == STT_OBJECT && (one || ends_in(name, "_stmts"))) {
            take(v, (const void *)(base + symbols[i].st_value),
                 one ? sizeof(struct db_stmt) : symbols[i].st_size);
        }
    }
}

size_t statements_visit(void (*visit)(void *arg, const struct db_stmt *stmt), void *arg)
{
    struct visitor v = {.visit = visit, .arg = arg};
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *file;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(file, MAP_FAILED);
    walk(file, &v);
    assert_int_equal(munmap(file, (size_t)st.st_size), 0);
    (void)close(fd);
    return v.count;
}
