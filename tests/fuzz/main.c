/* SPDX-License-Identifier: Apache-2.0
 * Runs a fuzz target without libFuzzer: over files, or over COUNT seeded random inputs.
 * Usage: fuzz_X COUNT [FIRST SEED] | fuzz_X FILE… A failure names the seed. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/prng.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 2048u

static volatile unsigned long seed;

static void on_abort(int number)
{
    (void)dprintf(2, "seed %lu\n", seed);
    (void)signal(number, SIG_DFL);
}

static int run_file(const char *path)
{
    static uint8_t data[1 << 20];
    FILE *f = fopen(path, "rb");
    size_t size;

    if (f == NULL) {
        perror(path);
        return 1;
    }
    size = fread(data, 1, sizeof(data), f);
    fclose(f);
    return LLVMFuzzerTestOneInput(data, size);
}

static void run_random(unsigned long first, unsigned long count)
{
    (void)signal(SIGABRT, on_abort);
    for (seed = first; seed < first + count; seed++) {
        uint8_t data[INPUT_MAX];
        struct cp_prng prng;
        size_t size;

        cp_prng_seed(&prng, seed);
        size = cp_prng_below(&prng, cp_prng_below(&prng, INPUT_MAX) + 1);
        for (size_t i = 0; i < size; i++) {
            data[i] = (uint8_t)cp_prng_u64(&prng);
        }
        (void)LLVMFuzzerTestOneInput(data, size);
    }
}

int main(int argc, char **argv)
{
    int status = 0;

    if (argc > 1 && argc < 4 && isdigit((unsigned char)argv[1][0])) {
        run_random(argc == 3 ? strtoul(argv[2], NULL, 10) : 0, strtoul(argv[1], NULL, 10));
        printf("%s inputs\n", argv[1]);
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        status |= run_file(argv[i]);
    }
    return status;
}
