/* SPDX-License-Identifier: Apache-2.0
 * Reed-Solomon code of the NORM reference implementation (norm.md section 3). Pure; immutable
 * after fec_code_new, so that threads may share a code; a workspace belongs to one thread.
 *
 * With evaluation points x_c (sources) and y_r (parity), the generator is a scaled Cauchy matrix,
 *     coef[r][c] = N_r / (D_c (y_r + x_c)),  N_r = prod_j (y_r + x_j),  D_c = prod_{j!=c} (x_c + x_j)
 * which is why the inverse of its lost×lost part has a closed form too. */
#include "multicast/fec/fec.h"

#include <isa-l.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_POLYNOMIAL 0x11du /* x^8+x^4+x^3+x^2+1: RFC 5510, ISA-L and NRL alike */
#define FIELD_ORDER      255u   /* of the multiplicative group */
#define SYMBOLS_MAX      255u   /* per block: NRL's limit for GF(2^8) */
#define TABLE_STEP_MAX   32u    /* bytes of ISA-L's table of one coefficient */

struct fec_code {
    uint16_t max_block_len; /* B */
    uint16_t num_parity;    /* P */
    size_t table_step;      /* bytes per coefficient in `table` */
    uint8_t log[256];       /* log[0] is not used */
    uint8_t exp[256];
    uint8_t point[SYMBOLS_MAX + 1];
    uint8_t row_factor[SYMBOLS_MAX];    /* log N_r */
    uint8_t column_factor[SYMBOLS_MAX]; /* log D_c */
    uint8_t *coef;                      /* P × B, row-major */
    uint8_t *table;                     /* ISA-L's, same order */
};

struct fec_workspace {
    const struct fec_code *code; /* that it was made for */
    size_t symbol_size_max;
    unsigned lost_count;
    unsigned source_count;            /* sources present */
    uint16_t lost[SYMBOLS_MAX];       /* columns to rebuild, ascending */
    uint16_t row[SYMBOLS_MAX];        /* parity rows to rebuild them from */
    uint8_t *source[SYMBOLS_MAX];     /* of the sources present */
    uint8_t *target[SYMBOLS_MAX];     /* of the lost ones */
    uint8_t *syndrome[SYMBOLS_MAX];   /* into `syndromes` */
    uint8_t *syndromes;               /* lost × symbol_size_max */
    uint8_t *table;                   /* lost × present */
    uint8_t *inverse, *inverse_table; /* lost × lost */
};

/* ---- field ---- */

static void field_init(struct fec_code *c)
{
    unsigned x = 1;

    for (unsigned i = 0; i < FIELD_ORDER; i++) {
        c->exp[i] = (uint8_t)x;
        c->log[x] = (uint8_t)i;
        x <<= 1;
        if ((x & 0x100u) != 0) {
            x ^= FIELD_POLYNOMIAL;
        }
    }
    /* Rizzo's points: 0, 1, α, α² … */
    c->point[0] = 0;
    for (unsigned i = 1; i <= SYMBOLS_MAX; i++) {
        c->point[i] = c->exp[i - 1];
    }
}

/* log(point[i] + point[j]), i != j. */
static unsigned log_distance(const struct fec_code *c, unsigned i, unsigned j)
{
    return c->log[c->point[i] ^ c->point[j]];
}

static uint8_t quotient(const struct fec_code *c, unsigned log_numerator, unsigned log_denominator)
{
    return c->exp[(log_numerator % FIELD_ORDER + FIELD_ORDER - log_denominator % FIELD_ORDER) %
                  FIELD_ORDER];
}

/* ---- code ---- */

/* ISA-L up to 2.30 keeps 32 bytes per coefficient; later ones keep 8 where the CPU has GFNI.
 * Rows and columns are addressed inside the tables here, so find out. */
static size_t detect_table_step(void)
{
    uint8_t one = 1;
    uint8_t table[TABLE_STEP_MAX] = {0};
    const uint8_t zero[TABLE_STEP_MAX - 8] = {0};

    ec_init_tables(1, 1, &one, table);
    return memcmp(table + 8, zero, sizeof zero) == 0 ? 8 : TABLE_STEP_MAX;
}

static void fill_coefficients(struct fec_code *c)
{
    const unsigned columns = c->max_block_len;

    for (unsigned i = 0; i < columns; i++) {
        unsigned sum = 0;

        for (unsigned j = 0; j < columns; j++) {
            sum += j == i ? 0 : log_distance(c, i, j);
        }
        c->column_factor[i] = (uint8_t)(sum % FIELD_ORDER);
    }
    for (unsigned r = 0; r < c->num_parity; r++) {
        unsigned sum = 0;

        for (unsigned j = 0; j < columns; j++) {
            sum += log_distance(c, columns + r, j);
        }
        c->row_factor[r] = (uint8_t)(sum % FIELD_ORDER);
        for (unsigned i = 0; i < columns; i++) {
            c->coef[r * columns + i] =
                quotient(c, sum, c->column_factor[i] + log_distance(c, columns + r, i));
        }
    }
}

enum cp_err fec_code_new(uint16_t max_block_len, uint16_t num_parity, struct fec_code **ret_code)
{
    const size_t cells = (size_t)max_block_len * num_parity;
    struct fec_code *c;

    if (max_block_len == 0 || (unsigned)max_block_len + num_parity > SYMBOLS_MAX) {
        return CP_ERR_INVALID;
    }
    c = calloc(1, sizeof *c);
    if (c == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    c->max_block_len = max_block_len;
    c->num_parity = num_parity;
    field_init(c);
    if (cells > 0) {
        c->coef = malloc(cells);
        c->table = malloc(cells * TABLE_STEP_MAX);
        if (c->coef == NULL || c->table == NULL) {
            fec_code_free(c);
            return CP_ERR_NO_MEMORY;
        }
        fill_coefficients(c);
        c->table_step = detect_table_step();
        ec_init_tables(max_block_len, num_parity, c->coef, c->table);
    }
    *ret_code = c;
    return CP_OK;
}

void fec_code_free(struct fec_code *c)
{
    if (c == NULL) {
        return;
    }
    free(c->table);
    free(c->coef);
    free(c);
}

uint8_t fec_code_coefficient(const struct fec_code *c, uint16_t row, uint16_t column)
{
    CP_ASSERT(row < c->num_parity && column < c->max_block_len);
    return c->coef[(size_t)row * c->max_block_len + column];
}

static uint8_t *table_row(const struct fec_code *c, unsigned row)
{
    return c->table + (size_t)row * c->max_block_len * c->table_step;
}

void fec_encode(const struct fec_code *c, uint16_t block_len, const uint8_t *const *source,
                size_t size, uint16_t first_row, uint16_t row_count, uint8_t *const *parity)
{
    uint8_t *in[SYMBOLS_MAX];
    uint8_t *out[SYMBOLS_MAX];

    CP_ASSERT(block_len > 0 && block_len <= c->max_block_len && size <= INT32_MAX);
    CP_ASSERT((unsigned)first_row + row_count <= c->num_parity);
    if (row_count == 0 || size == 0) {
        return;
    }
    for (unsigned i = 0; i < block_len; i++) {
        in[i] = (uint8_t *)source[i]; /* ISA-L's prototype lacks const */
    }
    memcpy(out, parity, row_count * sizeof out[0]);
    if (block_len == c->max_block_len) {
        ec_encode_data((int)size, block_len, row_count, table_row(c, first_row), in, out);
        return;
    }
    /* The tables of a shorter block's row are the beginning of the full row's, but its rows do not
     * follow each other: one at a time. Rare: objects are padded to whole blocks. */
    for (unsigned i = 0; i < row_count; i++) {
        ec_encode_data((int)size, block_len, 1, table_row(c, first_row + i), in, &out[i]);
    }
}

/* ---- decoding ---- */

enum cp_err fec_workspace_new(const struct fec_code *c, size_t symbol_size_max,
                              struct fec_workspace **ret_workspace)
{
    const size_t lost_max = c->num_parity < c->max_block_len ? c->num_parity : c->max_block_len;
    /* 64: no two symbols share a cache line. */
    const size_t stride = (symbol_size_max + 63) / 64 * 64;
    struct fec_workspace *w;

    if (symbol_size_max == 0 || symbol_size_max > INT32_MAX - 63) {
        return CP_ERR_INVALID;
    }
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    w->code = c;
    w->symbol_size_max = symbol_size_max;
    if (lost_max > 0) {
        w->syndromes = malloc(lost_max * stride);
        w->table = malloc(lost_max * c->max_block_len * TABLE_STEP_MAX);
        w->inverse = malloc(lost_max * lost_max);
        w->inverse_table = malloc(lost_max * lost_max * TABLE_STEP_MAX);
        if (w->syndromes == NULL || w->table == NULL || w->inverse == NULL ||
            w->inverse_table == NULL) {
            fec_workspace_free(w);
            return CP_ERR_NO_MEMORY;
        }
    }
    for (size_t i = 0; i < lost_max; i++) {
        w->syndrome[i] = w->syndromes + i * stride;
    }
    *ret_workspace = w;
    return CP_OK;
}

void fec_workspace_free(struct fec_workspace *w)
{
    if (w == NULL) {
        return;
    }
    free(w->inverse_table);
    free(w->inverse);
    free(w->table);
    free(w->syndromes);
    free(w);
}

/* What is there, what is lost, and the parity rows that stand in for the lost. */
static enum cp_err survey(const struct fec_code *c, struct fec_workspace *w, uint16_t block_len,
                          uint8_t *const *symbol, const uint8_t *present)
{
    unsigned row_count = 0;

    w->lost_count = 0;
    w->source_count = 0;
    for (unsigned i = 0; i < block_len; i++) {
        if (present[i] != 0) {
            w->source[w->source_count++] = symbol[i];
        } else {
            w->target[w->lost_count] = symbol[i];
            w->lost[w->lost_count++] = (uint16_t)i;
        }
    }
    for (unsigned r = 0; r < c->num_parity && row_count < w->lost_count; r++) {
        if (present[block_len + r] != 0) {
            w->row[row_count++] = (uint16_t)r;
        }
    }
    return row_count == w->lost_count ? CP_OK : CP_ERR_INVALID;
}

/* The tables of the chosen rows with the columns of the sources present, close-packed. */
static void gather_tables(const struct fec_code *c, struct fec_workspace *w, uint16_t block_len)
{
    uint8_t *to = w->table;

    for (unsigned i = 0; i < w->lost_count; i++) {
        const uint8_t *from = table_row(c, w->row[i]);
        unsigned start = 0;

        for (unsigned j = 0; j <= w->lost_count; j++) {
            const unsigned end = j < w->lost_count ? w->lost[j] : block_len;
            const size_t run = (end - start) * c->table_step;

            memcpy(to, from + start * c->table_step, run);
            to += run;
            start = end + 1;
        }
    }
}

/* syndrome[i] = parity received + what the sources present contribute to it. */
static void compute_syndromes(const struct fec_code *c, struct fec_workspace *w, uint16_t block_len,
                              uint8_t *const *symbol, size_t size)
{
    if (w->source_count > 0) {
        gather_tables(c, w, block_len);
        ec_encode_data((int)size, (int)w->source_count, (int)w->lost_count, w->table, w->source,
                       w->syndrome);
    }
    for (unsigned i = 0; i < w->lost_count; i++) {
        const uint8_t *restrict parity = symbol[block_len + w->row[i]];
        uint8_t *restrict syndrome = w->syndrome[i];

        if (w->source_count == 0) {
            memcpy(syndrome, parity, size);
            continue;
        }
        for (size_t at = 0; at < size; at++) {
            syndrome[at] ^= parity[at];
        }
    }
}

/* Inverse of the chosen rows × lost columns of the generator, by the closed form of the Cauchy
 * matrix's inverse (Knuth, TAOCP 1, 1.2.3 exercise 41): quadratic, and it always exists. */
static void invert(const struct fec_code *c, struct fec_workspace *w)
{
    const unsigned n = w->lost_count;
    const unsigned base = c->max_block_len;
    unsigned row_log[SYMBOLS_MAX]; /* log of prod_k (y_r + x_k) / (N_r prod_{k!=r} (y_r + y_k)) */

    for (unsigned r = 0; r < n; r++) {
        unsigned up = 0;
        unsigned down = c->row_factor[w->row[r]];

        for (unsigned k = 0; k < n; k++) {
            up += log_distance(c, base + w->row[r], w->lost[k]);
            down += k == r ? 0 : log_distance(c, base + w->row[r], base + w->row[k]);
        }
        row_log[r] = c->log[quotient(c, up, down)];
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned up = c->column_factor[w->lost[i]];
        unsigned down = 0;

        for (unsigned k = 0; k < n; k++) {
            up += log_distance(c, base + w->row[k], w->lost[i]);
            down += k == i ? 0 : log_distance(c, w->lost[i], w->lost[k]);
        }
        for (unsigned r = 0; r < n; r++) {
            w->inverse[i * n + r] =
                quotient(c, up + row_log[r], down + log_distance(c, base + w->row[r], w->lost[i]));
        }
    }
}

enum cp_err fec_decode(const struct fec_code *c, struct fec_workspace *w, uint16_t block_len,
                       uint8_t *const *symbol, const uint8_t *present, size_t size)
{
    CP_ASSERT(w->code == c);
    if (block_len == 0 || block_len > c->max_block_len || size == 0 || size > w->symbol_size_max) {
        return CP_ERR_INVALID;
    }
    CP_TRY(survey(c, w, block_len, symbol, present));
    if (w->lost_count == 0) {
        return CP_OK;
    }
    compute_syndromes(c, w, block_len, symbol, size);
    invert(c, w);
    ec_init_tables((int)w->lost_count, (int)w->lost_count, w->inverse, w->inverse_table);
    ec_encode_data((int)size, (int)w->lost_count, (int)w->lost_count, w->inverse_table, w->syndrome,
                   w->target);
    return CP_OK;
}
