/* SPDX-License-Identifier: Apache-2.0
 * Systematic Reed-Solomon code over GF(2^8), polynomial 0x11d, with the generator of the NORM
 * reference implementation (Rizzo's points 0, 1, α, α² …; norm.md section 3), not that of RFC 5510.
 * Shortened blocks use the matrix for max_block_len. Pure; ISA-L does the arithmetic. */
#ifndef MULTICAST_FEC_FEC_H
#define MULTICAST_FEC_FEC_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct fec_code;

/* A code for blocks of up to max_block_len source symbols (1 …) and num_parity parity symbols,
 * max_block_len + num_parity ≤ 255; num_parity 0 is allowed. Immutable once made: may be shared
 * by threads. CP_ERR_INVALID, CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err fec_code_new(uint16_t max_block_len, uint16_t num_parity,
                                       struct fec_code **ret_code);
void fec_code_free(struct fec_code *c);

/* Coefficient of parity row `row` and source column `column`: for the test vectors. */
uint8_t fec_code_coefficient(const struct fec_code *c, uint16_t row, uint16_t column);

/* parity[i] (size bytes each) for rows first_row … first_row + row_count - 1, from block_len
 * source symbols of `size` bytes. No allocation. */
void fec_encode(const struct fec_code *c, uint16_t block_len, const uint8_t *const *source,
                size_t size, uint16_t first_row, uint16_t row_count, uint8_t *const *parity);

/* Room that one decode needs, from the caller, so that the packet path does not allocate. */
struct fec_workspace;
CP_MUST_CHECK enum cp_err fec_workspace_new(const struct fec_code *c, size_t symbol_size_max,
                                            struct fec_workspace **ret_workspace);
void fec_workspace_free(struct fec_workspace *w);

/* Rebuilds the missing source symbols in place. symbol[i], i < block_len + num_parity: storage of
 * symbol i (source, then parity), size bytes each, NULL allowed for absent parity; present[i] tells
 * which are filled. Source symbols with present[i] == 0 are written. Works on the missing symbols
 * only (lost × lost inversion). CP_ERR_INVALID when fewer than block_len are present. */
CP_MUST_CHECK enum cp_err fec_decode(const struct fec_code *c, struct fec_workspace *w,
                                     uint16_t block_len, uint8_t *const *symbol,
                                     const uint8_t *present, size_t size);

#endif
